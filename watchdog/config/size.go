package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, written with a unit: 0B, 16kB, 16MiB. kB, MB and
// GB are powers of 1000; KiB, MiB and GiB are powers of 1024.
type Size uint64

// The units, largest first of each kind, powers of 1024 before those of 1000.
var sizeUnits = []struct {
	name  string
	bytes uint64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3},
	{"B", 1},
}

// ParseSize reads a size. Units are matched without regard to case, a blank
// before the unit is allowed, and a bare number other than 0 is refused,
// because nobody can tell what it counts. Fractions round down to whole bytes.
func ParseSize(s string) (Size, error) {
	t := strings.TrimSpace(s)
	if t == "0" {
		return 0, nil
	}
	i := strings.IndexFunc(t, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if i <= 0 {
		return 0, fmt.Errorf("size %q: want a number and a unit, such as 0B, 16kB or 16MiB", s)
	}
	unit := strings.TrimSpace(t[i:])
	for _, u := range sizeUnits {
		if strings.EqualFold(u.name, unit) {
			return scale(s, t[:i], u.bytes)
		}
	}
	return 0, fmt.Errorf("size %q: unknown unit %q, want B, kB, MB, GB, TB, KiB, MiB, GiB or TiB", s, unit)
}

func scale(whole, number string, unit uint64) (Size, error) {
	if n, err := strconv.ParseUint(number, 10, 64); err == nil {
		if unit > 1 && n > math.MaxUint64/unit {
			return 0, fmt.Errorf("size %q: larger than 64 bits", whole)
		}
		return Size(n * unit), nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("size %q: %q is not a number", whole, number)
	}
	// 2^63 keeps the conversion below exact in range on every platform.
	if f *= float64(unit); f >= 1<<63 {
		return 0, fmt.Errorf("size %q: larger than 64 bits", whole)
	}
	return Size(f), nil
}

// String gives an exact form in the largest unit that divides the size, which
// ParseSize reads back unchanged.
func (s Size) String() string {
	if s == 0 {
		return "0B"
	}
	for _, u := range sizeUnits {
		if uint64(s)%u.bytes == 0 {
			return strconv.FormatUint(uint64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatUint(uint64(s), 10) + "B"
}
