package observe

import (
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

func TestCounters_ConflictsCountInTheWindowOnly(t *testing.T) {
	var c counters
	start := time.Now()
	at := func(seconds int, n uint64) {
		c.note(&replication.Status{At: start.Add(time.Duration(seconds) * time.Second), Conflicts: n})
	}
	want := func(when string, n uint64) {
		t.Helper()
		if got := c.recent(); got == nil || *got != n {
			t.Errorf("%s: %v, want %d", when, got, n)
		}
	}
	at(0, 100)
	if got := c.recent(); got != nil {
		t.Errorf("%d from one answer", *got)
	}
	for s := 5; s <= 300; s += 5 {
		at(s, 100)
	}
	want("a quiet beginning", 0)
	at(305, 112)
	want("a burst", 12)
	for s := 310; s <= 880; s += 5 {
		at(s, 112)
	}
	want("while it lies in the window", 12)
	for s := 885; s <= 930; s += 5 {
		at(s, 112)
	}
	want("when it has left the window", 0)
	if n := len(c.conflicts); n > 80 {
		t.Errorf("%d entries are kept", n)
	}
	at(935, 3)
	if got := c.recent(); got != nil {
		t.Errorf("%d across a reset of the statistics", *got)
	}
	at(940, 5)
	want("after the reset", 2)
}

func TestCounters_ArchiverFailsSinceItsFirstFailure(t *testing.T) {
	var c counters
	start := time.Now()
	at := func(minutes int, failing bool) {
		c.note(&replication.Status{At: start.Add(time.Duration(minutes) * time.Minute), Archiver: &replication.ArchiverRow{LastFailedNow: failing}})
	}
	for i, failing := range []bool{false, true, true, true} {
		at(i, failing)
	}
	if got := c.failing(start.Add(5 * time.Minute)); got != 4*time.Minute {
		t.Errorf("failing for %s", got)
	}
	at(6, false)
	if got := c.failing(start.Add(7 * time.Minute)); got != 0 {
		t.Errorf("failing for %s after a success", got)
	}
	at(8, true)
	c.note(&replication.Status{At: start.Add(9 * time.Minute)})
	if got := c.failing(start.Add(10 * time.Minute)); got != 0 {
		t.Errorf("failing for %s with archiving off", got)
	}
}
