package testenv

import (
	"testing"
	"time"
)

// waitPeriod is short enough not to show in a test's duration and long enough
// not to disturb what is waited for on two cores.
const waitPeriod = 20 * time.Millisecond

// Wait asks done every 20 ms until it says yes. When limit has passed the test
// fails with the state that done saw last, so that a timeout says what was
// there instead of only what was missing.
func Wait(t testing.TB, limit time.Duration, what string, done func() (ok bool, state string)) {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(waitPeriod)
	defer tick.Stop()
	for {
		ok, state := done()
		if ok {
			return
		}
		if waited := time.Since(start); waited >= limit {
			t.Fatalf("waited %v for %s; last state: %s", waited.Round(time.Millisecond), what, state)
			return
		}
		<-tick.C
	}
}
