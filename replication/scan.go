package replication

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// scan reads the columns of one row in order, strictly, and keeps the first
// error. NULL gives the zero value.
type scan struct {
	cols []text
	at   int
	err  error
}

func (s *scan) next() (string, bool) {
	if s.at >= len(s.cols) {
		s.fail("column", "", fmt.Errorf("row has %d columns", len(s.cols)))
		return "", false
	}
	c := s.cols[s.at]
	s.at++
	return c.s, !c.null
}

func (s *scan) fail(what, v string, err error) {
	if s.err == nil {
		s.err = fmt.Errorf("read %s %.60q in column %d: %w: %w", what, v, s.at, err, ErrProtocol)
	}
}

func (s *scan) str() string {
	v, _ := s.next()
	return v
}

func (s *scan) bool() bool {
	v, ok := s.next()
	switch {
	case !ok || v == "f":
		return false
	case v == "t":
		return true
	}
	s.fail("boolean", v, strconv.ErrSyntax)
	return false
}

// int reads a number that fits an int of 32 bits, as all counts and version
// numbers here do.
func (s *scan) int() int {
	v, ok := s.next()
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		s.fail("number", v, err)
	}
	return int(n)
}

func (s *scan) uint64() uint64 {
	v, ok := s.next()
	if !ok {
		return 0
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		s.fail("number", v, err)
	}
	return n
}

func (s *scan) int64() int64 {
	v, ok := s.next()
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		s.fail("number", v, err)
	}
	return n
}

// maybe is nil for NULL: a figure that does not apply is no 0.
func (s *scan) maybe() *int64 {
	if s.at < len(s.cols) && s.cols[s.at].null {
		s.at++
		return nil
	}
	n := s.int64()
	return &n
}

func (s *scan) lsn() LSN {
	v, ok := s.next()
	if !ok {
		return 0
	}
	n, err := ParseLSN(v)
	if err != nil {
		s.fail("LSN", v, err)
	}
	return n
}

func (s *scan) timeline() Timeline {
	v, ok := s.next()
	if !ok || v == "0" {
		return 0
	}
	n, err := ParseTimeline(v)
	if err != nil {
		s.fail("timeline", v, err)
	}
	return n
}

// millis reads a duration sent as whole milliseconds; negative ages (a clock
// that stepped back) count as 0.
func (s *scan) millis() time.Duration {
	v, ok := s.next()
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n > math.MaxInt64/int64(time.Millisecond) {
		s.fail("milliseconds", v, strconv.ErrRange)
		return 0
	}
	return time.Duration(max(n, 0)) * time.Millisecond
}
