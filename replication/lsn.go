package replication

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a byte position in the write-ahead log, printed as two hex halves
// ("4A/3C0151A0"). LSNs of two servers are comparable only through timeline
// history; see History.
type LSN uint64

// ParseLSN reads the text form strictly: one to eight hex digits, a slash, one
// to eight hex digits, and nothing else. (pglogrepl.ParseLSN accepts trailing
// garbage and a low half above 32 bits; so every LSN enters through here.)
func ParseLSN(s string) (LSN, error) {
	hi, lo, ok := strings.Cut(s, "/")
	if !ok {
		return 0, fmt.Errorf("parse LSN %q: want two hex halves with a slash", s)
	}
	h, err := parseHalf(hi)
	if err != nil {
		return 0, fmt.Errorf("parse LSN %q: %w", s, err)
	}
	l, err := parseHalf(lo)
	if err != nil {
		return 0, fmt.Errorf("parse LSN %q: %w", s, err)
	}
	return LSN(h<<32 | l), nil
}

func parseHalf(s string) (uint64, error) {
	if len(s) == 0 || len(s) > 8 {
		return 0, fmt.Errorf("half %q has %d digits, want 1 to 8", s, len(s))
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return 0, fmt.Errorf("half %q is not hexadecimal", s)
		}
	}
	return strconv.ParseUint(s, 16, 64)
}

// String prints the LSN as PostgreSQL does.
func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint64(l)>>32, uint64(l)&0xFFFFFFFF) }

// MarshalText implements encoding.TextMarshaler.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText parses strictly, as ParseLSN.
func (l *LSN) UnmarshalText(b []byte) error {
	v, err := ParseLSN(string(b))
	if err != nil {
		return err
	}
	*l = v
	return nil
}

// Since gives how many bytes l lies after m, and 0 when it does not.
func (l LSN) Since(m LSN) uint64 {
	if l <= m {
		return 0
	}
	return uint64(l - m)
}

// Timeline is the number of a branch of WAL history. It identifies a branch
// only together with its switch point.
type Timeline uint32

// SystemID is the 64-bit identifier that initdb gives a data directory.
// Differing ids mean different data, and every action is refused. It is text
// in JSON, because JSON numbers lose the low bits.
type SystemID uint64

// ParseSystemID reads the decimal form, as IDENTIFY_SYSTEM and pg_controldata
// print it.
func ParseSystemID(s string) (SystemID, error) {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("parse system identifier %q: want a decimal 64-bit number", s)
	}
	return SystemID(v), nil
}

// String gives the decimal form.
func (s SystemID) String() string { return strconv.FormatUint(uint64(s), 10) }

// MarshalText implements encoding.TextMarshaler.
func (s SystemID) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses strictly, as ParseSystemID.
func (s *SystemID) UnmarshalText(b []byte) error {
	v, err := ParseSystemID(string(b))
	if err != nil {
		return err
	}
	*s = v
	return nil
}
