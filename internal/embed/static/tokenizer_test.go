package static

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/google/go-cmp/cmp"
)

// unknown is the id of [UNK].
const unknown = 100

// A tokenizer is what the model reads texts with, as the reference: ids of pieces.
type tokenizer struct {
	scanner    scanner
	vocabulary *vocabulary
	ids        []int32
}

func newTokenizer(t testing.TB) *tokenizer {
	m := testModel(t)
	return &tokenizer{scanner: scanner{letters: m.reader.letters}, vocabulary: &m.reader.table.vocabulary}
}

func (k *tokenizer) tokenize(s string) []int32 {
	k.ids = k.ids[:0]
	k.scanner.reset(s)
	for k.scanner.next() {
		var ok bool
		if k.ids, ok = k.vocabulary.take(k.ids, k.scanner.word, k.scanner.chars, k.scanner.hash); !ok {
			k.ids = append(k.ids, unknown)
		}
	}
	return k.ids
}

// TestHardLines compares with the reference's ids of lines that are hard to take
// apart.
func TestHardLines(t *testing.T) {
	file, err := os.Open("testdata/hard.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	k := newTokenizer(t)
	n := 0
	for lines := bufio.NewScanner(file); lines.Scan(); n++ {
		var line struct {
			Text string  `json:"text"`
			IDs  []int32 `json:"ids"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		if diff := cmp.Diff(line.IDs, slices.Clone(k.tokenize(line.Text)), equalEmpty()); diff != "" {
			t.Errorf("line %d, %q (-reference +got):\n%s", n+1, line.Text, diff)
		}
	}
	if n < 200 {
		t.Errorf("%d hard lines, want 200 and more", n)
	}
}

func equalEmpty() cmp.Option {
	return cmp.Transformer("nil", func(ids []int32) []int32 {
		if len(ids) == 0 {
			return nil
		}
		return ids
	})
}

// TestReference compares with the reference's ids of 20,000 texts of the training
// text, which is not part of the project.
func TestReference(t *testing.T) {
	const folder = "../../../../shared/data/train-pt-en"
	if _, err := os.Stat(folder); err != nil {
		t.Skip("the training text is not here: ", err)
	}
	packed, err := os.Open("testdata/reference.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	ids := bufio.NewReader(unpacked)
	k := newTokenizer(t)
	n := 0
	for s := range trainingTexts(t, folder, 27) {
		want, err := readIDs(ids)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
		if got := k.tokenize(s); !slices.Equal(want, got) {
			t.Fatalf("text %d, %q (-reference +got):\n%s", n, s, cmp.Diff(want, slices.Clone(got)))
		}
	}
	if n < 20_000 {
		t.Errorf("%d texts were compared, want 20,000", n)
	}
}

func readIDs(from *bufio.Reader) ([]int32, error) {
	n, err := binary.ReadUvarint(from)
	if err != nil {
		return nil, err
	}
	ids := make([]int32, n)
	for i := range ids {
		id, err := binary.ReadUvarint(from)
		if err != nil {
			return nil, err
		}
		ids[i] = int32(id)
	}
	return ids, nil
}

// trainingTexts yields every so-manieth text of the training text, as
// testdata/reference.py does.
func trainingTexts(t testing.TB, folder string, every int) func(func(string) bool) {
	return func(yield func(string) bool) {
		n := 0
		for _, set := range []struct {
			name    string
			columns int
		}{{"english", 1}, {"lexicon", 3}, {"pairs", 2}} {
			file, err := os.Open(filepath.Join(folder, set.name+".tsv.gz"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = file.Close() }()
			unpacked, err := gzip.NewReader(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(unpacked)
			lines.Buffer(nil, 1<<20)
			for lines.Scan() {
				fields := strings.Split(lines.Text(), "\t")
				for _, text := range fields[:set.columns] {
					if n++; n%every == 0 && !yield(text) {
						return
					}
				}
			}
			if err := lines.Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// FuzzTokenizer compares with a plain reading of BERT's rules: any bytes.
func FuzzTokenizer(f *testing.F) {
	for _, s := range []string{"", "O cachorro do João comeu.", "e\u0301 私は犬 \u226e x\xffy\x00", strings.Repeat("é", 101)} {
		f.Add(s)
	}
	k := newTokenizer(f)
	o := newOracle(k.vocabulary)
	f.Fuzz(func(t *testing.T, s string) {
		if diff := cmp.Diff(o.tokenize(s), slices.Clone(k.tokenize(s)), equalEmpty()); diff != "" {
			t.Errorf("%q (-oracle +got):\n%s", s, diff)
		}
	})
}

// An oracle tokenizes as BERT's first implementation does: whole strings, step by
// step.
type oracle struct{ ids map[string]int32 }

func newOracle(v *vocabulary) *oracle {
	o := &oracle{ids: map[string]int32{}}
	for i := range v.pieces {
		o.ids[string(v.entry(i))] = int32(i)
	}
	return o
}

func (o *oracle) tokenize(s string) []int32 {
	var clean strings.Builder
	for _, r := range strings.ToValidUTF8(s, "") {
		switch {
		case r == 0 || r == utf8.RuneError:
		case r == '\t' || r == '\n' || r == '\r':
			clean.WriteByte(' ')
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co):
		case chinese(r):
			clean.WriteString(" " + string(r) + " ")
		default:
			clean.WriteRune(r)
		}
	}
	stripped := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(clean.String()))
	var ids []int32
	for word := range strings.FieldsSeq(strings.Map(unicode.ToLower, stripped)) {
		for _, word := range split(word) {
			ids = append(ids, o.pieces([]rune(word))...)
		}
	}
	return ids
}

// split cuts a string at its punctuation, which is kept.
func split(s string) []string {
	var words []string
	for i, r := range s {
		ascii := r < utf8.RuneSelf && (unicode.IsPunct(r) || unicode.IsSymbol(r))
		switch {
		case ascii || unicode.IsPunct(r):
			words = append(words, string(r), "")
		case i == 0:
			words = append(words, string(r))
		default:
			words[len(words)-1] += string(r)
		}
	}
	return slices.DeleteFunc(words, func(w string) bool { return w == "" })
}

func (o *oracle) pieces(word []rune) []int32 {
	if len(word) > 100 {
		return []int32{unknown}
	}
	var ids []int32
	for start := 0; start < len(word); {
		end := len(word)
		for ; end > start; end-- {
			piece := string(word[start:end])
			if start > 0 {
				piece = "##" + piece
			}
			if id, ok := o.ids[piece]; ok {
				ids = append(ids, id)
				break
			}
		}
		if end == start {
			return []int32{unknown}
		}
		start = end
	}
	return ids
}
