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
	// table is open addressing over hash<<32 | number+1; 0 is free. 32 bits of
	// the hash are enough for as many strings as have numbers.
	table []uint64
}

const tableMin = 16

// numbersMax leaves room below 30 bits, which a term's number has at most, for
// one more memory.
const numbersMax = 1<<30 - 1<<22

func newDictionary() dictionary {
	return dictionary{seed: maphash.MakeSeed(), table: make([]uint64, tableMin)}
}

func (d *dictionary) find(s string) (uint32, bool) {
	n, _, ok := d.lookup(s)
	return n, ok
}

// lookup returns the number of a string; where it has none, the top half of its
// hash and the free slot where it belongs.
func (d *dictionary) lookup(s string) (number, slot uint32, ok bool) {
	hash := uint32(maphash.String(d.seed, s) >> 32)
	mask := uint32(len(d.table) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		e := d.table[i]
		if e == 0 {
			return hash, i, false
		}
		if uint32(e>>32) == hash && string(d.get(uint32(e)-1)) == s {
			return uint32(e) - 1, i, true
		}
	}
}

// add returns the number of a string, which it gets if it is new.
func (d *dictionary) add(s string) uint32 {
	hash, slot, ok := d.lookup(s)
	if ok {
		return hash
	}
	n := d.places.n
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], uint64(len(s)))
	addr, room := d.strings.alloc(size + len(s))
	copy(room[copy(room, length[:size]):], s)
	d.places.add(addr)
	d.table[slot] = uint64(hash)<<32 | uint64(n+1)
	if int(n) >= len(d.table)*3/4 {
		d.grow()
	}
	return n
}

// grow doubles the table.
func (d *dictionary) grow() {
	table := make([]uint64, 2*len(d.table))
	mask := uint32(len(table) - 1)
	for _, e := range d.table {
		if e == 0 {
			continue
		}
		i := uint32(e>>32) & mask
		for table[i] != 0 {
			i = (i + 1) & mask
		}
		table[i] = e
	}
	d.table = table
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
	return d.strings.bytes() + d.places.bytes() + 8*int64(cap(d.table))
}

// full tells that there may be no number or address for what one more record
// brings.
func (d *dictionary) full() bool { return d.strings.full() || d.places.n > numbersMax }
