package runbooks

import (
	"fmt"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// checkReleasable refuses to release what nothing holds: an ordinary standby
// becomes primary by promote alone, which weighs what it lacks (DESIGN rule 8).
func checkReleasable(f Facts, node string, lifts []string) check {
	if !f.Own.Epoch.Zero() && f.Own.Role == replication.RoleStandby && len(lifts) == 0 {
		return no("held", ExitRefused, "8", "watchdog promote", "nothing holds %s: it is the standby of epoch %d, and only promote makes a standby the primary",
			node, f.Own.Epoch.Number)
	}
	return ok("held", "%s is held, or was primary before", node)
}

// laterPrimary gives the newest epoch in which the other node is, or may have
// become, primary in place of this one; false when none is known. The other
// node's own answer is the best word: an epoch is durable on its target before
// the promotion. While it is silent, every trace here of an operation that would
// have made it primary counts.
func laterPrimary(f Facts, other NodeFacts) (fence.Epoch, bool) {
	own := f.Own
	newest := own.Epoch
	consider := func(e fence.Epoch) {
		if e.Number > newest.Number {
			newest = e
		}
	}
	if other.Answers && other.Durable != nil && !other.Durable.Epoch.Zero() {
		consider(other.Durable.Epoch)
		return newest, newest.Primary == other.Node
	}
	if own.Marker != nil {
		consider(own.Marker.Epoch)
	}
	for _, o := range own.Orders {
		if !o.Revoked {
			consider(o.Epoch)
		}
	}
	for _, i := range own.Intents {
		consider(i.Epoch)
	}
	return newest, newest.Primary == other.Node
}

// releaseLoss gives the loss of a release, and the gate for it where there may
// be one: a new history from here drops whatever a later primary acknowledged.
func releaseLoss(f Facts, other NodeFacts, r Request) (Loss, []check) {
	l := Loss{AllowedBytes: f.Allowed, SampleAgeMS: -1}
	e, later := laterPrimary(f, other)
	if !later {
		l.Basis = fmt.Sprintf("as far as is known, %s was never primary after %s", other.Node, f.Self)
		return l, nil
	}
	l.Basis = fmt.Sprintf("%s is the primary of epoch %d: whatever it acknowledged as such is not on %s", other.Node, e.Number, f.Self)
	c := check{gate: Gate{Name: "loss", OK: r.AcceptLossUnknown, Reason: "an unknown loss is accepted"}, exit: ExitRefused, rule: "8"}
	if !c.gate.OK {
		c.gate.Reason, c.gate.Hint = "at most unknown: "+l.Basis, "--accept-data-loss unknown"
	}
	return l, []check{c}
}
