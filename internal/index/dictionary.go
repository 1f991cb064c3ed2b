package index

import (
	"encoding/binary"
	"hash/maphash"
)

// A dictionary numbers strings from 0 on, in the order of their first use.
type dictionary struct {
	seed    maphash.Seed
	strings arena
	places  column[uint32]
	// table is open addressing over numbers + 1; 0 is free. tags holds eight bits
	// of each one's hash, so that hardly any other string is looked at.
	table []uint32
	tags  []byte
}

const (
	tableMin = 16
	tagShift = 56
)

// numbersMax leaves room below 30 bits, which a term's number has at most, for
// one more memory.
const numbersMax = 1<<30 - 1<<22

func newDictionary() dictionary {
	return dictionary{seed: maphash.MakeSeed(), table: make([]uint32, tableMin), tags: make([]byte, tableMin)}
}

func (d *dictionary) find(s string) (uint32, bool) {
	n, _, ok := d.lookup(s, maphash.String(d.seed, s))
	return n, ok
}

// lookup returns the number of a string with a hash; where it has none, the free
// slot where it belongs.
func (d *dictionary) lookup(s string, hash uint64) (number, slot uint32, ok bool) {
	mask, tag := uint32(len(d.table)-1), byte(hash>>tagShift)
	for i := uint32(hash) & mask; ; i = (i + 1) & mask {
		e := d.table[i]
		if e == 0 {
			return 0, i, false
		}
		if d.tags[i] == tag && string(d.get(e-1)) == s {
			return e - 1, i, true
		}
	}
}

// add returns the number of a string, which it gets if it is new.
func (d *dictionary) add(s string) uint32 {
	hash := maphash.String(d.seed, s)
	n, slot, ok := d.lookup(s, hash)
	if ok {
		return n
	}
	n = d.places.n
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], uint64(len(s)))
	addr, room := d.strings.alloc(size + len(s))
	copy(room[copy(room, length[:size]):], s)
	d.places.add(addr)
	d.table[slot], d.tags[slot] = n+1, byte(hash>>tagShift)
	if int(n) >= len(d.table)*4/5 {
		d.grow()
	}
	return n
}

// grow doubles the table.
func (d *dictionary) grow() {
	size := 2 * len(d.table)
	d.table, d.tags = make([]uint32, size), make([]byte, size)
	mask := uint32(size - 1)
	for n := range d.places.n {
		hash := maphash.Bytes(d.seed, d.get(n))
		i := uint32(hash) & mask
		for d.table[i] != 0 {
			i = (i + 1) & mask
		}
		d.table[i], d.tags[i] = n+1, byte(hash>>tagShift)
	}
}

func (d *dictionary) get(n uint32) []byte {
	b := d.strings.from(*d.places.at(n))
	if length := int(b[0]); length < 0x80 {
		return b[1 : 1+length]
	}
	length, size := binary.Uvarint(b)
	return b[size : size+int(length)]
}

func (d *dictionary) bytes() int64 {
	return d.strings.bytes() + d.places.bytes() + 4*int64(cap(d.table)) + int64(cap(d.tags))
}

// full tells that there may be no number or address for what one more record
// brings.
func (d *dictionary) full() bool { return d.strings.full() || d.places.n > numbersMax }
