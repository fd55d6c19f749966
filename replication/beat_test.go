package replication_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Whatever the clock says, a loop waits at least a moment and at most a period,
// and loops of one period meet.
func TestUntilBeat_AnyClock_WithinThePeriodAndTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		period := time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "period"))
		a := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		d := replication.UntilBeat(a, period)
		if d <= 0 || d > period {
			t.Fatalf("waits %s of %s", d, period)
		}
		b := a.Add(time.Duration(rapid.Int64Range(0, int64(d)-1).Draw(t, "later")))
		if other := replication.UntilBeat(b, period); !b.Add(other).Equal(a.Add(d)) {
			t.Fatalf("at %s the next beat is %s, at %s it is %s", a, a.Add(d), b, b.Add(other))
		}
	})
}

func TestUntilBeat_MonotonicReading_IsNotMixedIn(t *testing.T) {
	now := time.Now()
	if d := replication.UntilBeat(now, time.Second); d <= 0 || d > time.Second {
		t.Errorf("waits %s of a second", d)
	}
	if d := replication.UntilBeat(now, 0); d != 0 {
		t.Errorf("without a period it waits %s", d)
	}
}
