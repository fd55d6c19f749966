package alerts

import (
	"slices"
	"time"
)

// round is what one Observe works on: every incident that exists or begins, and
// which conditions were seen.
type round struct {
	incidents map[string]*Incident
	present   map[string]bool
	order     []string // sorted identities, so that every result is repeatable
	rules     rules
	now       time.Time

	roots   map[string]*Incident
	visited map[string]bool
	// peers are the incidents that stand open at live peers.
	peers openCodes
}

// cause is what explains the incident of this identity: one of this engine, or
// one that stands open at a peer only. The second is the case of a service that
// has just started, or that sees the cause go before the hold is over: people
// were told by the peer, whose mail lists the effect.
func (r *round) cause(id string) cause {
	if root := r.roots[id]; root != nil {
		return cause{root.Condition.Code, root.State.Open() || r.peers.has(root.Condition)}
	}
	effect := r.incidents[id].Condition
	for _, code := range effect.InhibitedBy {
		if r.peers.explain(code, effect) {
			return cause{code, true}
		}
	}
	return cause{}
}

// root finds the incident that tells of this one, following explanations to the
// one that is told by itself. A circle of explanations is cut where it closes,
// so one member always speaks.
func (r *round) root(id string) *Incident {
	if root, done := r.roots[id]; done {
		return root
	}
	r.visited[id] = true
	in := r.incidents[id]
	var found *Incident
	for _, other := range r.order {
		if other == id || r.visited[other] && !r.decided(other) || !r.explains(r.incidents[other], in) {
			continue
		}
		if found = r.root(other); found == nil {
			found = r.incidents[other]
		}
		break
	}
	r.roots[id] = found
	return found
}

func (r *round) decided(id string) bool {
	_, ok := r.roots[id]
	return ok
}

// explains says whether the cause is open, or about to open, and loud enough to
// speak for the effect. A mail must not swallow a page, and what tells nobody
// swallows nothing.
func (r *round) explains(cause, effect *Incident) bool {
	if !slices.Contains(effect.Condition.InhibitedBy, cause.Condition.Code) ||
		cause.Condition.Severity == SeverityInfo || cause.Condition.Severity < effect.Condition.Severity {
		return false
	}
	if cause.State.Open() {
		return true
	}
	if !r.present[cause.identity()] {
		return false
	}
	if r.peers.explain(cause.Condition.Code, effect.Condition) {
		return true
	}
	// Not told yet: it counts when it began no later, or fires within the slack.
	begun, hold := cause.HoldFrom, cause.Condition.Hold
	if !cause.State.waiting() {
		begun = r.now
	}
	effectBegun := effect.FirstSeen
	if !effect.State.waiting() && !effect.State.Open() {
		effectBegun = r.now
	}
	return !begun.After(effectBegun) || hold-r.now.Sub(begun) <= r.rules.inhibitSlack
}

// explained lists, in order, what an incident tells of besides itself.
func (r *round) explained(id string) []Condition {
	var out []Condition
	for _, other := range r.order {
		if root := r.roots[other]; root == r.incidents[id] && r.present[other] {
			out = append(out, r.incidents[other].Condition)
		}
	}
	return out
}

// since is an age that is never negative.
func since(t, now time.Time) time.Duration { return max(now.Sub(t), 0) }
