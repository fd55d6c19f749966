package observe

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// countEvery is the raster in which a counter's past is kept.
const countEvery = 15 * time.Second

// count is a counter as it stood.
type count struct {
	at time.Time
	n  uint64
}

// counters follow what only two answers together tell.
type counters struct {
	conflicts    []count // the first is at the edge of the window, the last is the newest
	failingSince time.Time
}

// note takes an SQL answer.
func (c *counters) note(st *replication.Status) {
	c.conflict(count{st.At, st.Conflicts})
	switch {
	case st.Archiver == nil || !st.Archiver.LastFailedNow:
		c.failingSince = time.Time{}
	case c.failingSince.IsZero():
		c.failingSince = st.At
	}
}

// conflict replaces the newest entry until it is a raster away from the one
// before it. A counter that fell was reset: its past says nothing any more.
func (c *counters) conflict(now count) {
	k := len(c.conflicts)
	switch {
	case k > 0 && now.n < c.conflicts[k-1].n:
		c.conflicts = []count{now}
	case k > 1 && now.at.Sub(c.conflicts[k-2].at) < countEvery:
		c.conflicts[k-1] = now
	default:
		c.conflicts = append(c.conflicts, now)
	}
	for len(c.conflicts) > 1 && now.at.Sub(c.conflicts[0].at) > view.ConflictWindow {
		c.conflicts = c.conflicts[1:]
	}
}

// recent is how much the counter rose in the window; nil with one answer only.
func (c *counters) recent() *uint64 {
	k := len(c.conflicts)
	if k < 2 {
		return nil
	}
	rose := c.conflicts[k-1].n - c.conflicts[0].n
	return &rose
}

// failing is how long the archiver has been failing; 0 when it does not.
func (c *counters) failing(now time.Time) time.Duration {
	if c.failingSince.IsZero() {
		return 0
	}
	return age(now, c.failingSince)
}
