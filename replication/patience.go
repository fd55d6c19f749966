package replication

import "time"

// Own slowness must not accuse a server: on a host whose processors are taken,
// or after this process was stopped, an answer that came in time is read late.
// So a watcher measures how late it is woken itself and waits that much longer.
const (
	// onTime is a lateness that every idle host shows.
	onTime = 20 * time.Millisecond
	// mostPatience bounds the widening, in deadlines: a host that is starved for
	// long must still tell of a server that is gone.
	mostPatience = 4
)

// patience is how late this process was woken lately. The zero value was on time.
type patience struct{ late time.Duration }

// woke notes a waking that was due at want. Lateness is believed at once and
// forgotten by halves.
func (p *patience) woke(want, now time.Time) {
	p.late = max(now.Sub(want), p.late/2)
	if p.late < onTime {
		p.late = 0
	}
}

// widen gives a deadline as this process has to take it now: the lateness counts
// for the sending and for the reading.
func (p *patience) widen(deadline time.Duration) time.Duration {
	return deadline + min(2*p.late, mostPatience*deadline)
}

// secondLook is how much longer a read may take whose deadline was noticed so
// late that the answer may have come meanwhile; 0 when it was noticed in time.
func secondLook(end, now time.Time) time.Duration {
	late := now.Sub(end)
	if late < onTime {
		return 0
	}
	return min(late, time.Second)
}
