package index

import "unsafe"

// Large slices are kept in chunks, so that growing one neither copies what is
// there nor holds half as much again; the first chunk grows like any slice, so
// that a small shelf stays small. None of them holds pointers: the garbage
// collector has nothing to look at in a shelf of a million memories.

const (
	chunkBits = 12
	chunkLen  = 1 << chunkBits
	chunkMask = chunkLen - 1

	rowBits = 8
	rowLen  = 1 << rowBits
	rowMask = rowLen - 1

	sliceHeader = int64(unsafe.Sizeof([]byte(nil)))
)

// A column holds one value for each of a running number.
type column[T any] struct {
	chunks [][]T
	n      uint32
}

func (c *column[T]) at(i uint32) *T { return &c.chunks[i>>chunkBits][i&chunkMask] }

func (c *column[T]) add(v T) {
	if c.n&chunkMask == 0 {
		var chunk []T
		if c.n > 0 {
			chunk = make([]T, 0, chunkLen)
		}
		c.chunks = append(c.chunks, chunk)
	}
	last := len(c.chunks) - 1
	c.chunks[last] = append(c.chunks[last], v)
	c.n++
}

func (c *column[T]) bytes() int64 {
	if c.n == 0 {
		return 0
	}
	var v T
	values := cap(c.chunks[0]) + (len(c.chunks)-1)*chunkLen
	return int64(values)*int64(unsafe.Sizeof(v)) + int64(cap(c.chunks))*sliceHeader
}

// rows holds a row of width values for each of a running number.
type rows[T any] struct {
	width  int
	chunks [][]T
	n      uint32
}

func (r *rows[T]) at(i uint32) []T {
	from := int(i&rowMask) * r.width
	return r.chunks[i>>rowBits][from : from+r.width]
}

func (r *rows[T]) add(row []T) {
	if r.n&rowMask == 0 {
		var chunk []T
		if r.n > 0 {
			chunk = make([]T, 0, rowLen*r.width)
		}
		r.chunks = append(r.chunks, chunk)
	}
	last := len(r.chunks) - 1
	r.chunks[last] = append(r.chunks[last], row...)
	r.n++
}

func (r *rows[T]) bytes() int64 {
	if r.n == 0 {
		return 0
	}
	var v T
	values := cap(r.chunks[0]) + (len(r.chunks)-1)*rowLen*r.width
	return int64(values)*int64(unsafe.Sizeof(v)) + int64(cap(r.chunks))*sliceHeader
}

const (
	arenaBits      = 16
	arenaChunk     = 1 << arenaBits
	arenaMask      = arenaChunk - 1
	arenaChunksMax = 1 << (32 - arenaBits)
)

// An arena holds byte strings of any length behind 32-bit addresses. A string
// lies within one chunk, which is as large as the string where that is larger
// than a chunk.
type arena struct {
	chunks [][]byte
	held   int64
}

// alloc makes room for n bytes, which are zero.
func (a *arena) alloc(n int) (addr uint32, room []byte) {
	last := len(a.chunks) - 1
	if last < 0 || len(a.chunks[last])+n > arenaChunk {
		var chunk []byte
		if last >= 0 {
			chunk = make([]byte, 0, max(n, arenaChunk))
		}
		a.chunks = append(a.chunks, chunk)
		a.held += int64(cap(chunk))
		last++
	}
	chunk := a.chunks[last]
	a.held -= int64(cap(chunk))
	from := len(chunk)
	chunk = append(chunk, make([]byte, n)...)
	a.held += int64(cap(chunk))
	a.chunks[last] = chunk
	return uint32(last)<<arenaBits | uint32(from), chunk[from:]
}

func (a *arena) add(b []byte) uint32 {
	addr, room := a.alloc(len(b))
	copy(room, b)
	return addr
}

// from returns the bytes from an address to the end of its chunk.
func (a *arena) from(addr uint32) []byte { return a.chunks[addr>>arenaBits][addr&arenaMask:] }

func (a *arena) bytes() int64 { return a.held + int64(cap(a.chunks))*sliceHeader }

// full tells that there may be no address for what one more record brings.
func (a *arena) full() bool { return len(a.chunks) > arenaChunksMax-1024 }
