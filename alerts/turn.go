package alerts

import (
	"slices"
	"time"
)

// PeerView is what the service knows of the other nodes when it calls Observe.
type PeerView struct {
	Self string
	// Alive names the nodes whose services are alive, this one included.
	Alive []string
	// Configured names all nodes that run a service. With it, an engine that has
	// just started does not trust being alone before TakeOver is over: its peer
	// may have told everybody already.
	Configured []string
	// Notified is what Notified gave on the other nodes in Alive, taken together.
	// Leave dead nodes out: their last words may be about an earlier opening.
	Notified []string
}

// rank is the number of live nodes whose turn comes before this one's. Names
// decide, because roles may be what is in dispute.
func (p PeerView) rank() int {
	var n int
	for _, name := range slices.Compact(slices.Sorted(slices.Values(p.Alive))) {
		if name < p.Self {
			n++
		}
	}
	return n
}

// alone says whether a configured peer has not been heard of.
func (p PeerView) alone() bool {
	other := func(name string) bool { return name != p.Self }
	return slices.ContainsFunc(p.Configured, other) && !slices.ContainsFunc(p.Alive, other)
}

// turn is the earliest time at which this node may send what was queued at the
// given time, when the first round of this run was at start.
func (p PeerView) turn(queued, start time.Time, takeOver time.Duration) time.Time {
	if p.alone() {
		return laterOf(queued, start.Add(takeOver))
	}
	rank := p.rank()
	if rank == 0 {
		return queued
	}
	return laterOf(queued, start).Add(time.Duration(rank) * takeOver)
}

func laterOf(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// missing names the configured nodes that are not alive.
func (p PeerView) missing() []string {
	var out []string
	for _, name := range p.Configured {
		if name != p.Self && !slices.Contains(p.Alive, name) {
			out = append(out, name)
		}
	}
	return out
}
