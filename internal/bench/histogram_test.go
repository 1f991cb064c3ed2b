package bench

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// record is the histogram of values in milliseconds.
func record(values []float64, scale int32) histogram {
	h := histogram{scale: scale}
	buckets := map[int32]uint64{}
	for _, v := range values {
		if h.count == 0 {
			h.min, h.max = v, v
		}
		h.count++
		h.sum += v
		h.min, h.max = min(h.min, v), max(h.max, v)
		if v == 0 {
			h.zero++
			continue
		}
		buckets[int32(math.Ceil(math.Log2(v/1000)*math.Exp2(float64(scale)))-1)]++
	}
	if len(buckets) == 0 {
		return h
	}
	first, last := int32(math.MaxInt32), int32(math.MinInt32)
	for i := range buckets {
		first, last = min(first, i), max(last, i)
	}
	h.offset, h.counts = first, make([]uint64, last-first+1)
	for i, n := range buckets {
		h.counts[i-first] = n
	}
	return h
}

func values() *rapid.Generator[[]float64] {
	return rapid.SliceOfN(rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0.001, 20000)), 0, 200)
}

// The histograms of several processes, merged, give counts exactly and
// quantiles within the error they state.
func TestMergedHistogramsAgreeWithTheValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []float64
		var merged histogram
		for range 3 {
			v := values().Draw(t, "values")
			merged = merged.add(record(v, rapid.Int32Range(-2, 8).Draw(t, "scale")))
			all = append(all, v...)
		}
		if len(all) == 0 {
			return
		}
		slices.Sort(all)
		if merged.count != uint64(len(all)) || merged.min != all[0] || merged.max != all[len(all)-1] {
			t.Fatalf("count %d, min %v, max %v, want %d, %v, %v", merged.count, merged.min, merged.max, len(all), all[0], all[len(all)-1])
		}
		for _, q := range []float64{0.001, 0.5, 0.9, 0.95, 0.99, 1} {
			want := all[max(0, int(math.Ceil(q*float64(len(all))))-1)]
			got := merged.quantile(q)
			if bound := merged.relativeError() + 1e-9; got < want/(1+bound) || got > want*(1+bound) {
				t.Fatalf("quantile %v = %v, want %v within %v", q, got, want, bound)
			}
		}
	})
}

// What came between two states of a process's histogram is their difference,
// also where the later one is coarser.
func TestHistogramSince(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, after := values().Draw(t, "before"), values().Draw(t, "after")
		scale := rapid.Int32Range(0, 6).Draw(t, "scale")
		earlier := record(before, scale+rapid.Int32Range(0, 3).Draw(t, "finer"))
		got := record(append(slices.Clone(before), after...), scale).since(earlier)
		if got.count != uint64(len(after)) {
			t.Fatalf("count %d, want %d", got.count, len(after))
		}
		if len(after) == 0 {
			return
		}
		want := slices.Max(after)
		if bound := got.relativeError() + 1e-9; math.Abs(got.quantile(1)-want) > want*bound {
			t.Fatalf("greatest %v, want %v within %v", got.quantile(1), want, bound)
		}
	})
}
