package index

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unsafe"

	"lembra"
)

// vectors keeps the vectors of one model: each as a code of one bit a dimension,
// which is quick to compare with a query, and as small integers, which are
// precise. A vector has a slot; the slots of one memory follow each other.
type vectors struct {
	dimension int
	element   lembra.Element
	rotation  rotation
	codes     rows[uint64]
	values    rows[byte]
	// factors turn a code's product with a query into a cosine.
	factors column[float32]
	// owners are the memories that the slots belong to, none once that is dead.
	owners column[uint32]
	// first is each memory's first slot, or none.
	first column[uint32]
	// several is true where some memory has, or had, more than one vector.
	several bool
	// sum is the sum of the living vectors, count their number.
	sum   []float64
	count int

	row  []byte
	unit []float32
	work []float32
	code []uint64
}

const none = math.MaxUint32

// Values of 32-bit floats are kept as integers of 10 bits, four in five bytes: of
// the first ten neighbours among a million, 8 bits lose one in twenty, 10 bits one
// in a hundred.
const (
	packedBits = 10
	packedMax  = 1<<(packedBits-1) - 1
	packedMask = 1<<packedBits - 1
	packedSize = 5 // bytes of a group of four
)

func (v *vectors) init(dimension int, element lembra.Element) {
	v.dimension, v.element = dimension, element
	v.rotation = newRotation(dimension)
	v.codes.width = v.rotation.size / 64
	v.values.width = dimension
	if element == lembra.Float32 {
		v.values.width = (dimension + 3) / 4 * packedSize
	}
	v.sum = make([]float64, dimension)
	v.row = make([]byte, v.values.width)
	v.unit = make([]float32, dimension)
	v.work = make([]float32, v.rotation.size)
	v.code = make([]uint64, v.codes.width)
}

// valid tells whether an embedding's vectors can be kept, or compared with those
// that are.
func (v *vectors) valid(dimension int, element lembra.Element, data []byte) bool {
	size := dimension * element.Size()
	return size > 0 && len(data) > 0 && len(data)%size == 0 && (v.dimension == 0 || v.dimension == dimension)
}

// add keeps the vectors of a memory and returns its first slot.
func (v *vectors) add(ordinal uint32, dimension int, element lembra.Element, data []byte) uint32 {
	if v.dimension == 0 {
		v.init(dimension, element)
	}
	first := v.owners.n
	size := dimension * element.Size()
	for ; len(data) > 0; data = data[size:] {
		v.keep(ordinal, element, data[:size])
	}
	if v.owners.n-first > 1 {
		v.several = true
	}
	return first
}

func (v *vectors) keep(ordinal uint32, element lembra.Element, data []byte) {
	decode(element, data, v.unit)
	if v.element == lembra.Float32 {
		pack(v.row, v.unit)
	} else {
		toInt8(v.row, v.unit, element)
	}
	v.values.add(v.row)
	normalize(v.unit)
	v.addToSum(1)
	v.factors.add(v.rotation.encode(v.unit, v.work, v.code))
	v.codes.add(v.code)
	v.owners.add(ordinal)
}

// addToSum adds v.unit to the sum, with a sign of -1 it takes it away.
func (v *vectors) addToSum(sign int) {
	for i, u := range v.unit {
		v.sum[i] += float64(sign) * float64(u)
	}
	v.count += sign
}

// normalize makes a vector one of length 1, if it has a direction.
func normalize(x []float32) {
	norm := length(x)
	if norm == 0 {
		return
	}
	inverse := float32(1 / norm)
	for i := range x {
		x[i] *= inverse
	}
}

// end returns the slot behind those of a memory, which are from first on.
func (v *vectors) end(owner, first uint32) uint32 {
	end := first + 1
	for v.several && end < v.owners.n && *v.owners.at(end) == owner {
		end++
	}
	return end
}

// remove makes the slots of a memory, from first on, nobody's.
func (v *vectors) remove(first uint32) {
	for i, end := first, v.end(*v.owners.at(first), first); i < end; i++ {
		v.unpack(v.values.at(i), v.unit)
		normalize(v.unit)
		v.addToSum(-1)
		*v.owners.at(i) = none
	}
}

func (v *vectors) bytes() int64 {
	n := v.codes.bytes() + v.values.bytes() + v.owners.bytes() + v.factors.bytes() + v.first.bytes()
	return n + int64(8*cap(v.sum)+cap(v.row)+4*cap(v.unit)+4*cap(v.work)+8*cap(v.code)) + v.rotation.bytes()
}

// decode reads one vector. What is no number counts as 0.
func decode(element lembra.Element, data []byte, into []float32) {
	if element == lembra.Int8 {
		for i := range into {
			into[i] = float32(int8(data[i]))
		}
		return
	}
	const exponent = 0xff << 23 // all of it is set in what is infinite or no number
	for i := range into {
		bits := binary.LittleEndian.Uint32(data[4*i:])
		if bits&exponent == exponent {
			bits = 0
		}
		into[i] = math.Float32frombits(bits)
	}
}

func length(x []float32) float64 {
	sum := 0.0
	for _, f := range x {
		sum += float64(f) * float64(f)
	}
	return math.Sqrt(sum)
}

// largest returns the largest absolute value; the bits of positive floats are in
// their order.
func largest(x []float32) float32 {
	most := uint32(0)
	for _, f := range x {
		most = max(most, math.Float32bits(f)&^(1<<31))
	}
	return math.Float32frombits(most)
}

// scaleTo is what makes the largest absolute value this many; 0 of a vector that is
// too short for that.
func scaleTo(most float32, x []float32) float32 {
	scale := most / largest(x)
	if math.IsInf(float64(scale), 0) {
		return 0
	}
	return scale
}

// toInt8 writes a vector as bytes. x becomes what is written.
func toInt8(row []byte, x []float32, element lembra.Element) {
	scale := float32(1)
	if element != lembra.Int8 {
		scale = scaleTo(math.MaxInt8, x)
	}
	for i, f := range x {
		a := round(f * scale)
		row[i], x[i] = byte(int8(a)), float32(a)
	}
}

// pack writes a vector as integers of 10 bits; otherwise like toInt8.
func pack(row []byte, x []float32) {
	scale := scaleTo(packedMax, x)
	for at := 0; at < len(x); at += 4 {
		group := x[at:min(at+4, len(x))]
		bits := uint64(0)
		for i, f := range group {
			a := round(f * scale)
			group[i] = float32(a)
			bits |= uint64(a&packedMask) << (i * packedBits)
		}
		to := row[at/4*packedSize:][:packedSize]
		binary.LittleEndian.PutUint32(to, uint32(bits))
		to[4] = byte(bits >> 32)
	}
}

// group reads four values of a row; only the lowest 40 bits count.
func group(row []byte) uint64 {
	if len(row) >= 8 {
		return binary.LittleEndian.Uint64(row)
	}
	return uint64(binary.LittleEndian.Uint32(row)) | uint64(row[4])<<32
}

// packed returns one of a group's four values.
func packed(group uint64, at int) int64 {
	const unused = 64 - packedBits
	return int64(group<<(unused-at*packedBits)) >> unused // with its sign
}

func round(f float32) int32 {
	// Half of the same sign, without a branch that random signs would miss.
	return int32(f + math.Float32frombits(math.Float32bits(0.5)|math.Float32bits(f)&(1<<31)))
}

// unpack reads a row of values.
func (v *vectors) unpack(row []byte, into []float32) {
	if v.element != lembra.Float32 {
		for i := range into {
			into[i] = float32(int8(row[i]))
		}
		return
	}
	for i := range into {
		into[i] = float32(packed(group(row[i/4*packedSize:]), i%4))
	}
}

// A query's vector is compared with the codes in few levels, as many as queryPlanes
// bits tell apart: each bit costs time, and the codes themselves err far more. The
// values of a vector turned about are nearly normal, for which levels that are
// queryStep standard deviations apart err least (Max, Quantizing for minimum
// distortion, 1960, table II).
const (
	queryPlanes = 3
	queryStep   = 0.586
)

// A queryVector is a query's vector, as it is and as the codes are compared with
// it.
type queryVector struct {
	unit []float64
	// The levels are odd numbers: of each plane the bit says whether 1, 2 and so on
	// is added or taken away.
	planes [queryPlanes][]uint64
	// step is the size of one unit of the levels, total what they add up to with a
	// code that all planes agree with.
	step  float32
	total int
	// signStep is step where only the signs count, which the last plane has.
	signStep float32
}

// prepare readies a query's vector; nil where it has no direction.
func (v *vectors) prepare(e *lembra.Embedding) *queryVector {
	x := make([]float32, v.dimension)
	decode(e.Element, e.Data[:v.dimension*e.Element.Size()], x)
	norm := length(x)
	if norm == 0 {
		return nil
	}
	q := &queryVector{unit: make([]float64, v.dimension)}
	for i, f := range x {
		q.unit[i] = float64(f) / norm
		x[i] = float32(q.unit[i])
	}
	rotated := make([]float32, v.rotation.size)
	v.rotation.rotate(x, rotated)
	for p := range q.planes {
		q.planes[p] = make([]uint64, v.codes.width)
	}
	product, sum := float32(0), float32(0) // of the levels and the vector, and of its signs
	for i, f := range rotated {
		level := int(math.Floor(float64(f / queryStep)))
		if f == 0 { // as many are, of a text of a few features
			level = -(i & 1)
		}
		level = min(max(level+1<<(queryPlanes-1), 0), 1<<queryPlanes-1)
		product += f * float32(2*level+1-1<<queryPlanes)
		sum += max(f, -f)
		for p := range q.planes {
			q.planes[p][i/64] |= uint64(level>>p&1) << (i % 64)
		}
	}
	q.total = (1<<queryPlanes - 1) * len(rotated)
	// The rotation stretches every vector by the same length.
	q.step, q.signStep = v.rotation.stretch/product, v.rotation.stretch/sum
	return q
}

// rough writes how far the cosines of slots from first on are above a mean, as the signs
// of the query's vector alone tell: a third of the work of estimate, for an error half as
// large again. All are of one chunk of the codes.
func (v *vectors) rough(q *queryVector, first uint32, mean float32, above []float32) {
	w := v.codes.width
	codes := v.codes.chunks[first>>rowBits][int(first&rowMask)*w:][:len(above)*w]
	factors := v.factors.chunks[first>>chunkBits][first&chunkMask:][:len(above)]
	signs := q.planes[queryPlanes-1]
	if w == 4 {
		signs := (*[4]uint64)(signs)
		done := rough256(above, factors, codes, signs, q.signStep, mean)
		one256(above[done:], factors[done:], codes[4*done:], signs, q.signStep, mean)
		return
	}
	for i := range above {
		apart := 0
		for j, c := range codes[i*w : (i+1)*w] {
			apart += bits.OnesCount64(c ^ signs[j])
		}
		above[i] = q.signStep*float32(int32(64*w)-2*int32(apart))*factors[i] - mean
	}
}

// one256 is rough for codes of 256 bits.
func one256(above, factors []float32, codes []uint64, signs *[4]uint64, step, mean float32) {
	factors = factors[:len(above)]
	for i := range above {
		above[i] = step*float32(256-2*int32(apart256((*[4]uint64)(codes), signs)))*factors[i] - mean
		codes = codes[4:]
	}
}

// estimate returns the estimated cosine of a slot.
func (v *vectors) estimate(q *queryVector, slot uint32) float32 {
	apart, code := 0, v.codes.at(slot)
	for p, plane := range q.planes {
		if len(code) == 4 {
			apart += apart256((*[4]uint64)(code), (*[4]uint64)(plane)) << p
			continue
		}
		for j, c := range code {
			apart += bits.OnesCount64(c^plane[j]) << p
		}
	}
	return q.step * float32(q.total-2*apart) * *v.factors.at(slot)
}

// apart256 returns in how many of 256 bits two codes differ.
func apart256(x, y *[4]uint64) int {
	return bits.OnesCount64(x[0]^y[0]) + bits.OnesCount64(x[1]^y[1]) + bits.OnesCount64(x[2]^y[2]) + bits.OnesCount64(x[3]^y[3])
}

// cosine returns the cosine of a slot's vector and the query's.
func (v *vectors) cosine(q *queryVector, at uint32) float64 {
	row, x := v.values.at(at), q.unit
	var s0, s1, s2, s3 float64
	square := int64(0)
	if v.element != lembra.Float32 {
		for ; len(x) >= 4 && len(row) >= 4; x, row = x[4:], row[4:] {
			a, b, c, d := int64(int8(row[0])), int64(int8(row[1])), int64(int8(row[2])), int64(int8(row[3]))
			s0 += x[0] * float64(a)
			s1 += x[1] * float64(b)
			s2 += x[2] * float64(c)
			s3 += x[3] * float64(d)
			square += a*a + b*b + c*c + d*d
		}
		for i := range x {
			a := int64(int8(row[i]))
			s0 += x[i] * float64(a)
			square += a * a
		}
	} else {
		for ; len(x) >= 4; x, row = x[4:], row[packedSize:] {
			g := group(row)
			a, b, c, d := packed(g, 0), packed(g, 1), packed(g, 2), packed(g, 3)
			s0 += x[0] * float64(a)
			s1 += x[1] * float64(b)
			s2 += x[2] * float64(c)
			s3 += x[3] * float64(d)
			square += a*a + b*b + c*c + d*d
		}
		for i := range x {
			a := packed(group(row), i)
			s0 += x[i] * float64(a)
			square += a * a
		}
	}
	if square == 0 {
		return 0
	}
	return (s0 + s1 + s2 + s3) / math.Sqrt(float64(square))
}

// A rotation turns vectors about, the same way each, so that no dimension says
// more than another and one bit of each tells the direction (RaBitQ, arXiv
// 2405.12497): random signs and a Walsh-Hadamard transform.
type rotation struct {
	size  int
	signs []float32
	// stretch is what the transform lengthens a vector by.
	stretch float32
}

func newRotation(dimension int) rotation {
	size := max(64, 1<<bits.Len(uint(dimension-1)))
	r := rotation{size: size, signs: make([]float32, size), stretch: float32(math.Sqrt(float64(size)))}
	state := uint64(1)
	for i := range r.signs {
		// SplitMix64 (Steele, Lea, Flood 2014).
		state += 0x9E3779B97F4A7C15
		z := (state ^ state>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		r.signs[i] = 1 - 2*float32((z^z>>31)&1)
	}
	return r
}

func (r *rotation) bytes() int64 { return int64(unsafe.Sizeof(*r)) + 4*int64(r.size) }

func (r *rotation) rotate(x, into []float32) {
	for i, f := range x {
		into[i] = f * r.signs[i]
	}
	clear(into[len(x):])
	transform(into)
}

// transform is the Walsh-Hadamard transform, in place, of 64 values or more: two
// stages at a time, as long as there are two.
func transform(x []float32) {
	for q := x; len(q) >= 4; q = q[4:] {
		a, b, c, d := q[0]+q[1], q[0]-q[1], q[2]+q[3], q[2]-q[3]
		q[0], q[1], q[2], q[3] = a+c, b+d, a-c, b-d
	}
	part := 4
	for ; 4*part <= len(x); part *= 4 {
		for from := 0; from < len(x); from += 4 * part {
			p, q := x[from:from+part], x[from+part:from+2*part]
			r, s := x[from+2*part:from+3*part], x[from+3*part:from+4*part]
			q, r, s = q[:len(p)], r[:len(p)], s[:len(p)]
			for i := range p {
				a, b, c, d := p[i]+q[i], p[i]-q[i], r[i]+s[i], r[i]-s[i]
				p[i], q[i], r[i], s[i] = a+c, b+d, a-c, b-d
			}
		}
	}
	if part < len(x) {
		p, q := x[:part], x[part:2*part]
		for i, f := range p {
			p[i], q[i] = f+q[i], f-q[i]
		}
	}
}

// encode writes the code of a unit vector, and returns the factor that turns its
// product with a rotated unit vector into an unbiased estimate of their cosine.
func (r *rotation) encode(unit, work []float32, code []uint64) float32 {
	r.rotate(unit, work)
	clear(code)
	sum := float32(0)
	for i, f := range work {
		code[i/64] |= uint64(1^math.Float32bits(f)>>31) << (i % 64)
		sum += max(f, -f)
	}
	if sum == 0 {
		return 0
	}
	return r.stretch / sum
}
