package static

import (
	"bytes"
	"fmt"
	"math/bits"
)

// A vocabulary finds entries by their bytes: open addressing with linear probing,
// at most half full.
type vocabulary struct {
	text []byte
	// ends are where the entries end in text, behind their line feed.
	ends []uint32
	// pieces is how many of the entries are pieces; stems follow.
	pieces int
	slots  []slot
	// longest is the length of the longest entry.
	longest int
}

// A slot has an entry's number plus one, and those bits of its hash that do not
// tell its slot.
type slot struct{ entry, tag uint32 }

// The hash is FNV-1a of 64 bits. The kinds of entries start with different values:
// whole words, what continues a word ("##…"), and stems.
const (
	hashPrime = 1099511628211
	hashWord  = 14695981039346656037
	hashMore  = 0x9e3779b97f4a7c15
	hashStem  = 0xbf58476d1ce4e5b9
)

const continues = "##"

func hashOf[T string | []byte](hash uint64, s T) uint64 {
	for i := range len(s) {
		hash = (hash ^ uint64(s[i])) * hashPrime
	}
	return hash
}

// read reads the entries, each ended by a line feed, of which pieces come first.
func (v *vocabulary) read(text []byte, pieces, stems int) error {
	n := pieces + stems
	v.text, v.pieces = text, pieces
	v.ends = make([]uint32, 0, n)
	v.slots = make([]slot, 2<<bits.Len(uint(n)))
	start := 0
	for i := range n {
		length := bytes.IndexByte(text[start:], '\n')
		if length < 0 {
			return fmt.Errorf("%w: its vocabulary ends at entry %d of %d", errTable, i, n)
		}
		entry, hash := text[start:start+length], uint64(hashWord)
		switch {
		case i >= pieces:
			hash = hashStem
		case v.continues(entry):
			entry, hash = entry[len(continues):], hashMore
		}
		v.longest = max(v.longest, length)
		start += length + 1
		v.ends = append(v.ends, uint32(start))
		v.insert(uint32(i), hashOf(hash, entry))
	}
	if start != len(text) {
		return fmt.Errorf("%w: its vocabulary has more than %d entries", errTable, n)
	}
	return nil
}

func (v *vocabulary) continues(entry []byte) bool {
	return len(entry) > len(continues) && string(entry[:len(continues)]) == continues
}

// place is the slot where an entry with a hash is looked for first.
func (v *vocabulary) place(hash uint64) uint64 { return (hash ^ hash>>32) & uint64(len(v.slots)-1) }

// insert adds an entry; of equal ones the first is found.
func (v *vocabulary) insert(i uint32, hash uint64) {
	at := v.place(hash)
	for v.slots[at].entry != 0 {
		at = (at + 1) & uint64(len(v.slots)-1)
	}
	v.slots[at] = slot{i + 1, uint32(hash >> 32)}
}

// find returns the entry with these bytes, whose hash started as those of a kind
// do: hashWord, hashMore, hashStem.
func (v *vocabulary) find(s []byte, hash, kind uint64) (int, bool) {
	for at := v.place(hash); ; at = (at + 1) & uint64(len(v.slots)-1) {
		slot := v.slots[at]
		if slot.entry == 0 {
			return 0, false
		}
		if slot.tag != uint32(hash>>32) {
			continue
		}
		i := int(slot.entry - 1)
		e := v.entry(i)
		if kind == hashMore && v.continues(e) {
			e = e[len(continues):]
		} else if kind == hashMore {
			continue
		}
		if string(e) == string(s) && (i >= v.pieces) == (kind == hashStem) {
			return i, true
		}
	}
}

// entry returns the bytes of an entry.
func (v *vocabulary) entry(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = v.ends[i-1]
	}
	return v.text[start : v.ends[i]-1]
}

// take appends the pieces of a word, each the longest there is, as WordPiece does;
// false where there are none, or the word is too long. hash is the word's.
func (v *vocabulary) take(pieces []int32, word []byte, chars int, hash uint64) ([]int32, bool) {
	if chars > charsMax {
		return pieces, false
	}
	if i, ok := v.find(word, hash, hashWord); ok {
		return append(pieces, int32(i)), true
	}
	before := len(pieces)
	kind := uint64(hashWord)
	for len(word) > 0 {
		longest, piece := 0, 0
		hash := kind
		for end := 1; end <= min(len(word), v.longest); end++ {
			hash = (hash ^ uint64(word[end-1])) * hashPrime
			if i, ok := v.find(word[:end], hash, kind); ok {
				longest, piece = end, i
			}
		}
		if longest == 0 {
			return pieces[:before], false
		}
		pieces = append(pieces, int32(piece))
		word, kind = word[longest:], hashMore
	}
	return pieces, true
}
