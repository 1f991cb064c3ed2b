package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Size is a number of bytes, written with a unit: 512MiB, 4GB, or plain bytes.
type Size int64

// A unit of Size.
type unit struct {
	name  string
	bytes Size
}

// units are the binary ones, largest first, and then the decimal ones.
func units() []unit {
	return []unit{
		{"TiB", 1 << 40},
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"TB", 1e12},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"B", 1},
	}
}

func parseSize(s string) (Size, error) {
	number, factor := strings.TrimSpace(s), Size(1)
	for _, u := range units() {
		if n := len(number) - len(u.name); n > 0 && strings.EqualFold(number[n:], u.name) {
			number, factor = strings.TrimSpace(number[:n]), u.bytes
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if f *= float64(factor); err != nil || !(f >= 0 && f < math.MaxInt64) || f != math.Trunc(f) {
		return 0, fmt.Errorf("%q is no number of bytes: use one like 512MiB or 4GB", s)
	}
	return Size(f), nil
}

// String writes the size in the largest binary unit that needs no fraction.
func (s Size) String() string {
	for _, u := range units()[:4] {
		if s >= u.bytes && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// rounded drops what is less than a MiB, for people.
func (s Size) rounded() Size { return s &^ (1<<20 - 1) }
