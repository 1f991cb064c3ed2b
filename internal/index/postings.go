package index

import "encoding/binary"

// A term is what the shelf knows of one term, and where its postings are.
type term struct {
	// memories and sessions count the living ones that the term is in.
	memories, sessions uint32
	// count is the number of postings, dead ones included.
	count uint32
	// last is one more than the last posting's ordinal.
	last uint32
	// head is the first block; tail is where the next posting goes, room the
	// bytes that are left there.
	head, tail uint32
	room       uint16
	level      uint8
	// dense is one more than the term's place in Shelf.dense, 0 if it is not there.
	dense uint8
}

// A term's postings are a chain of blocks in an arena. A posting is the distance
// to the ordinal before, shifted left by one, as a varint, and, where the lowest
// bit is set, how often the term occurs there. No posting crosses a block's
// border: what is left over is zero, which no posting starts with. The last four
// bytes of a block are the address of the next.
const (
	levelMax    = 28
	linkSize    = 4
	tfMax       = 1<<21 - 1 // three bytes, so that any posting fits the smallest block
	postingsBuf = 128
)

// blockSize is the size of a term's next block: with the square of their number,
// so that the free end is a small part of all.
func blockSize(level uint8) int { return 12 + int(level)*(4+int(level)) }

func nextLevel(level uint8) uint8 { return min(level+1, levelMax) }

func post(a *arena, t *term, ordinal, tf uint32) {
	var b [binary.MaxVarintLen64]byte
	v := uint64(ordinal+1-t.last) << 1
	n := 0
	if tf > 1 {
		n = binary.PutUvarint(b[:], v|1)
		n += binary.PutUvarint(b[n:], uint64(min(tf, tfMax)))
	} else {
		n = binary.PutUvarint(b[:], v)
	}
	switch {
	case t.count == 0:
		t.head, _ = a.alloc(blockSize(0))
		t.tail, t.room = t.head, uint16(blockSize(0)-linkSize)
	case int(t.room) < n:
		t.level = nextLevel(t.level)
		next, _ := a.alloc(blockSize(t.level))
		binary.LittleEndian.PutUint32(a.from(t.tail+uint32(t.room)), next)
		t.tail, t.room = next, uint16(blockSize(t.level)-linkSize)
	}
	copy(a.from(t.tail), b[:n])
	t.tail += uint32(n)
	t.room -= uint16(n)
	t.last = ordinal + 1
	t.count++
}

// A reader reads a term's postings in order.
type reader struct {
	a          *arena
	left, last uint32
	level      uint8
	buf, link  []byte
	ordinals   [postingsBuf]uint32
	tfs        [postingsBuf]uint32
}

func (r *reader) reset(a *arena, t *term) {
	r.a, r.left, r.last, r.level = a, t.count, 0, 0
	if t.count > 0 {
		r.load(t.head)
	}
}

func (r *reader) load(addr uint32) {
	b, size := r.a.from(addr), blockSize(r.level)
	r.buf, r.link = b[:size-linkSize], b[size-linkSize:size]
	r.level = nextLevel(r.level)
}

// fill reads the next postings into ordinals and tfs, behind the first kept of these, and
// returns how many there are then.
func (r *reader) fill(kept int) int {
	n, buf, last := kept, r.buf, r.last
	count := kept + int(min(r.left, uint32(postingsBuf-kept)))
	for ; n < count; n++ {
		if len(buf) == 0 || buf[0] == 0 {
			r.load(binary.LittleEndian.Uint32(r.link))
			buf = r.buf
		}
		v := uint64(buf[0])
		switch {
		case v < 0x80:
			buf = buf[1:]
		case len(buf) > 1 && buf[1] < 0x80:
			v = v&0x7f | uint64(buf[1])<<7
			buf = buf[2:]
		default:
			size := 0
			v, size = binary.Uvarint(buf)
			buf = buf[size:]
		}
		tf := uint32(1)
		if v&1 != 0 {
			if tf = uint32(buf[0]); tf < 0x80 {
				buf = buf[1:]
			} else {
				many, size := binary.Uvarint(buf)
				tf, buf = uint32(many), buf[size:]
			}
		}
		last += uint32(v >> 1)
		r.ordinals[n], r.tfs[n] = last-1, tf
	}
	r.buf, r.last = buf, last
	r.left -= uint32(count - kept)
	return n
}
