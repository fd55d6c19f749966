package observe

import (
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Bounds of a ring of at most 256 KiB: the last minutes of a busy primary are
// kept as they were seen. What is older is thinned, so that its times are wrong
// by no more than a five-hundredth of their age, which reaches back for a day.
const (
	ringRuns    = 8192
	ringFine    = 20 * time.Minute
	ringCoarser = 500
)

// ring remembers when one primary passed which position, on one timeline and on
// the observer's monotonic clock: the time since it passed a standby's replayed
// position is that standby's lag. The zero value is empty. Not safe for
// concurrent use.
type ring struct {
	systemID replication.SystemID
	timeline replication.Timeline
	base     time.Time // times count from here
	runs     []run     // rising positions
	blind    bool      // the primary was missed since the newest run
}

// run is a span in which the position was seen unchanged. While nothing is
// written a ring does not grow.
type run struct {
	lsn         replication.LSN
	first, last time.Duration
	// blind marks a run before which the primary was not seen: when it passed the
	// positions in between is not known.
	blind bool
}

// push takes a healthy answer of the primary. Another line, or a position that
// falls, begins anew.
func (r *ring) push(m replication.Sample) {
	n := len(r.runs)
	if n == 0 || m.SystemID != r.systemID || m.Timeline != r.timeline || m.Position < r.runs[n-1].lsn {
		*r = ring{systemID: m.SystemID, timeline: m.Timeline, base: readAt(m), runs: r.runs[:0]}
		n = 0
	}
	at := max(0, readAt(m).Sub(r.base))
	if n > 0 && m.Position == r.runs[n-1].lsn {
		r.runs[n-1].last, r.blind = max(at, r.runs[n-1].last), false
		return
	}
	if n >= ringRuns {
		r.thin(at)
	}
	r.runs = append(r.runs, run{lsn: m.Position, first: at, last: at, blind: r.blind})
	r.blind = false
}

// readAt is when the server read what it answered: somewhere between question
// and answer, and nobody knows better.
func readAt(m replication.Sample) time.Time { return m.At.Add(-m.Took / 2) }

// miss notes that the primary did not answer.
func (r *ring) miss() { r.blind = len(r.runs) > 0 }

// thin drops older runs whose loss widens a gap to no more than a small part of
// its age, and the oldest ones when that does not make room.
func (r *ring) thin(now time.Duration) {
	kept := r.runs[:1]
	blind := false
	for i := 1; i < len(r.runs)-1; i++ {
		this, next := r.runs[i], r.runs[i+1]
		this.blind = this.blind || blind
		age := now - this.last
		if age > ringFine && next.first-kept[len(kept)-1].last <= age/ringCoarser {
			blind = this.blind
			continue
		}
		kept, blind = append(kept, this), false
	}
	newest := r.runs[len(r.runs)-1]
	newest.blind = newest.blind || blind
	kept = append(kept, newest)
	if over := len(kept) - ringRuns*3/4; over > 0 {
		kept = slices.Delete(kept, 0, over)
	}
	r.runs = kept
}

// behind gives how long before at the primary passed lsn. atLeast says that it
// was longer ago than that by an unknown time: the ring does not reach back so
// far, or the primary was not seen when it happened. known is false when the
// ring knows nothing.
func (r *ring) behind(lsn replication.LSN, at time.Time) (lag time.Duration, atLeast, known bool) {
	if len(r.runs) == 0 || lsn == 0 {
		return 0, false, false
	}
	now := at.Sub(r.base)
	i, found := slices.BinarySearchFunc(r.runs, lsn, func(e run, l replication.LSN) int {
		switch {
		case e.lsn < l:
			return -1
		case e.lsn > l:
			return 1
		}
		return 0
	})
	if !found {
		i-- // the newest run at or below lsn
	}
	switch {
	case i == len(r.runs)-1:
		return 0, false, true
	case i < 0:
		return max(0, now-r.runs[0].first), true, true
	}
	low, high := r.runs[i], r.runs[i+1]
	switch {
	case high.blind:
		return max(0, now-high.first), true, true
	case found && high.first > now:
		return 0, false, true // nothing newer was known at that moment
	}
	share := float64(lsn-low.lsn) / float64(high.lsn-low.lsn)
	passed := low.last + time.Duration(share*float64(high.first-low.last))
	return max(0, now-passed), false, true
}
