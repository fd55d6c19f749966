package fence

import (
	"fmt"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// openIntents splits the intents held here into those whose owner told their
// durable outcome and those that still stand.
func openIntents(f GateFacts) (closed []Closed, open []Intent) {
	for _, i := range f.Durable.Intents {
		if c, ok := closedBy(f, i); ok && i.Owner != f.Node {
			closed = append(closed, c)
			continue
		}
		open = append(open, i)
	}
	return closed, open
}

func closedBy(f GateFacts, i Intent) (Closed, bool) {
	for _, p := range f.Peers {
		if p.Node != i.Owner || !p.Answered || p.Durable == nil || foreign(f, p) {
			continue
		}
		for _, c := range p.Durable.Closed {
			if c.Operation == i.Operation && c.Result != ResultUnknown {
				return c, true
			}
		}
	}
	return Closed{}, false
}

// foreign says whether the peer's state speaks of another cluster. One that
// knows no system identifier (never adopted, or lost) is not foreign.
func foreign(f GateFacts, p PeerReading) bool {
	return p.Durable.SystemID != 0 && p.Durable.SystemID != f.Durable.SystemID
}

// peerForbids gives the reason why this peer's answer (a witness's too) rules
// out a start as primary, whatever the others say.
func peerForbids(f GateFacts, p PeerReading) (GateDecision, bool) {
	const next = "watchdog status"
	if !p.Answered {
		return GateDecision{}, false
	}
	if p.RunningAsPrimary {
		// What its state says, or that it is lost, makes no difference.
		return isolate(next, "%s runs as primary now", p.Node), true
	}
	if p.Durable == nil || foreign(f, p) {
		return GateDecision{}, false
	}
	d, o := f.Durable, p.Durable
	switch {
	case o.Epoch.Number > d.Epoch.Number:
		g := isolate(next, "superseded: %s knows epoch %d (primary %s), this node has epoch %d",
			p.Node, o.Epoch.Number, o.Epoch.Primary, d.Epoch.Number)
		g.Obey = superseding(f, p)
		return g, true
	case o.Epoch.Number == d.Epoch.Number && o.Epoch.ID != d.Epoch.ID:
		return isolate(next, "%s has another epoch %d than this node: two histories", p.Node, d.Epoch.Number), true
	case !p.Witness && o.Epoch.Same(d.Epoch) && o.Role == replication.RolePrimary:
		// Under a lower epoch it has not heard of this one yet: that is waited for.
		return isolate(next, "%s claims to be primary of this epoch too", p.Node), true
	}
	for _, order := range o.Orders {
		if order.Node == f.Node && order.Stands(d.Epoch.Number) && (order.SystemID == 0 || order.SystemID == d.SystemID) {
			g := isolate(next, "%s holds a fence order of operation %s against this node", p.Node, order.Operation)
			g.Obey = &order
			return g, true
		}
	}
	return GateDecision{}, false
}

// superseding is the order of the epoch that replaced this node. Where no copy of
// it was kept, the epoch itself holds this node: without a marker, its server
// would be an ordinary standby, with whatever it wrote past the fork, as soon as
// it has heard of the epoch.
func superseding(f GateFacts, p PeerReading) *Order {
	for _, o := range p.Durable.Orders {
		if o.Node == f.Node && !o.Revoked && o.Epoch.Same(p.Durable.Epoch) {
			return &o
		}
	}
	e := p.Durable.Epoch
	return &Order{Operation: fmt.Sprintf("epoch-%d-%s", e.Number, e.ID), Node: f.Node, Issuer: p.Node, Epoch: e, By: p.Node}
}

func fencedUnder(o *Durable, e Epoch) bool { return o.Marker != nil && o.Marker.Epoch.Same(e) }

// waitReason says what still stands in the way of a start as primary; empty
// when nothing does. A cluster is a pair, so that the peer of rule 4 is every
// other node that holds data: were there more, one of those that are silent
// could have been promoted without the others.
func waitReason(f GateFacts, open []Intent) string {
	if len(open) > 0 {
		return fmt.Sprintf("operation %s (%s, owner %s) is open", open[0].Operation, open[0].Kind, open[0].Owner)
	}
	for _, p := range f.Peers {
		if p.Answered && p.Durable != nil && len(p.Durable.Intents) > 0 {
			i := p.Durable.Intents[0]
			return fmt.Sprintf("%s holds the open intent of operation %s (%s)", p.Node, i.Operation, i.Kind)
		}
	}
	why := "no peer that holds data is configured"
	for _, p := range f.Peers {
		if p.Witness {
			continue
		}
		if why = peerSilence(f, p); why != "" {
			return why
		}
	}
	return why
}

// peerSilence says why this data-holding peer's answer is not yet a permission.
func peerSilence(f GateFacts, p PeerReading) string {
	o := p.Durable
	switch {
	case !p.Answered:
		return fmt.Sprintf("%s does not answer (%s)", p.Node, p.Why)
	case o == nil:
		return p.Node + " cannot read its own state"
	case o.Epoch.Zero():
		return p.Node + " knows no epoch"
	case o.SystemID != f.Durable.SystemID:
		return fmt.Sprintf("%s has system identifier %s", p.Node, o.SystemID)
	case o.Role != replication.RoleStandby && !fencedUnder(o, f.Durable.Epoch):
		return fmt.Sprintf("%s has the durable role %s", p.Node, o.Role)
	case p.SeesPrimary:
		return p.Node + " sees a PostgreSQL at this node's address that runs as primary now: a copy of this node?"
	case !p.RunningKnown:
		return p.Node + " cannot say whether its PostgreSQL runs as primary"
	}
	return ""
}
