package state

import "time"

// SetClock lets a test look at files that have settled, or have not.
func (s *Store) SetClock(now func() time.Time) { s.epochs.now, s.fences.now = now, now }

// Keeps says whether the content of both files is kept.
func (s *Store) Keeps() bool { return s.epochs.data != nil && s.fences.data != nil }
