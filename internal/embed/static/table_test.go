package static

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// tableWith makes a table file: pieces and stems, and which pieces have rows.
func tableWith(pieces, stems []string, has ...bool) []byte {
	rows := len(stems)
	bitmap := make([]byte, (len(pieces)+7)/8)
	for i, h := range has {
		if h {
			rows++
			bitmap[i/8] |= 1 << (i % 8)
		}
	}
	vocabulary := ""
	for _, e := range append(slices.Clip(pieces), stems...) {
		vocabulary += e + "\n"
	}
	file := []byte(tableMagic)
	for _, n := range []int{Dimension, len(pieces), len(stems), rows, len(vocabulary)} {
		file = binary.LittleEndian.AppendUint32(file, uint32(n))
	}
	file = binary.LittleEndian.AppendUint32(file, math.Float32bits(0.01))
	file = append(append(file, vocabulary...), bitmap...)
	for row := range rows {
		file = append(file, bytes.Repeat([]byte{byte(row + 1)}, Dimension)...)
	}
	return file
}

func TestReadTable(t *testing.T) {
	file := tableWith([]string{"[UNK]", "dog", "##s", "é", "##dog"}, []string{"dog", "gat"}, false, true, true, false, true)
	table, err := readTable(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		entry string
		kind  uint64
		row   int // as its values say; 0: none, -1: no entry
	}{
		{"dog", hashWord, 1},
		{"s", hashMore, 2},
		{"é", hashWord, 0},
		{"dog", hashMore, 3},
		{"dog", hashStem, 4},
		{"gat", hashStem, 5},
		{"gat", hashWord, -1},
		{"s", hashWord, -1},
		{"cat", hashStem, -1},
		{"", hashWord, -1},
	} {
		i, ok := table.vocabulary.find([]byte(test.entry), hashOf(test.kind, test.entry), test.kind)
		got := -1
		if ok {
			if got = 0; table.rowOf[i] != rowNone {
				got = int(table.rows[int(table.rowOf[i])*Dimension])
			}
		}
		if got != test.row {
			t.Errorf("entry %q of kind %x has row %d, want %d", test.entry, test.kind, got, test.row)
		}
	}
}

func TestReadTableDamaged(t *testing.T) {
	good := tableWith([]string{"dog", "cat"}, []string{"gat"}, true, true)
	change := func(at int, to byte) []byte {
		file := bytes.Clone(good)
		file[at] = to
		return file
	}
	for _, test := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "does not start with"},
		{"header cut", good[:20], "does not start with"},
		{"other magic", change(0, 'X'), "does not start with"},
		{"dimension", change(8, 1), "dimensions, not 256"},
		{"pieces", change(12, 9), "bytes do not hold"},
		{"far too many pieces", change(15, 0xff), "pieces"},
		{"rows", change(20, 2), "bytes do not hold"},
		{"cut", good[:len(good)-1], "bytes do not hold"},
		{"more", append(bytes.Clone(good), 0), "bytes do not hold"},
		{"bitmap", change(tableHeader+12, 1), "for 2 entries"},
		{"an entry less", change(tableHeader+3, 'x'), "ends at entry"},
		{"an entry more", change(tableHeader+1, '\n'), "more than"},
	} {
		if _, err := readTable(test.file); !errors.Is(err, errTable) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
	}
}

// Whatever the file, reading it does not panic, and what is read can be used.
func FuzzReadTable(f *testing.F) {
	f.Add(tableWith([]string{"dog", "##s", "."}, []string{"gat"}, true, true, false))
	f.Add(tableWith(nil, nil))
	f.Add([]byte(tableMagic))
	f.Fuzz(func(t *testing.T, file []byte) {
		m, err := newModel(file)
		if err != nil {
			return
		}
		if _, err := m.Embed(t.Context(), []string{"dogs. gatos " + string(file)}); err != nil {
			t.Error(err)
		}
		m.Near("dog")
	})
}

// The table is the one that the training wrote, and what it says of it.
func TestTrainedTable(t *testing.T) {
	sum := sha256.Sum256(trained)
	got := hex.EncodeToString(sum[:])
	file, err := os.ReadFile("table.sha256")
	if err != nil {
		t.Fatal(err)
	}
	if fields := strings.Fields(string(file)); len(fields) == 0 || fields[0] != got {
		t.Errorf("table.sha256 says %q, the table's is %s", file, got)
	}
	file, err = os.ReadFile("../../../train/output.json")
	if err != nil {
		t.Fatal(err)
	}
	var output struct {
		SHA256 string `json:"sha256"`
	}
	if err := json.Unmarshal(file, &output); err != nil {
		t.Fatal(err)
	}
	if output.SHA256 != got {
		t.Errorf("train/output.json says %q, the table's is %s", output.SHA256, got)
	}
	if len(trained) > 12_000_000 {
		t.Errorf("the table has %d bytes, and may have 12,000,000", len(trained))
	}
}
