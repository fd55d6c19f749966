package replication

import "time"

// UntilBeat gives the time from now to the next multiple of period on the wall
// clock, above 0 and at most period. Loops that wait with it fire together, on
// both nodes where their clocks agree: an idle process that is woken costs more
// than most of what it then does, so ten probes in one waking are cheaper than
// in ten. A clock that is set moves one beat and nothing else.
func UntilBeat(now time.Time, period time.Duration) time.Duration {
	if period <= 0 {
		return 0
	}
	return now.Truncate(period).Add(period).Sub(now.Round(0))
}
