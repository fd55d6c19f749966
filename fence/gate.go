package fence

import (
	"fmt"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// GateOutcome is what the boot gate decides before a server starts. The zero
// value permits nothing: it means that the peers have to be asked again.
type GateOutcome uint8

// The outcomes of DESIGN rule 4, and GateInactive for a node that was never
// adopted.
const (
	GateUndecided GateOutcome = iota
	GateRefuse                // the server must not be started at all
	GateIsolated              // start read-only and cut off: standby.signal and overrides
	GateStandby               // start as configured: it is a standby
	GatePrimary               // start as configured: it is the primary
	GateInactive              // never adopted: start as configured
)

var gateNames = [...]string{"undecided", "refuse", "isolated-standby", "standby", "primary", "inactive"}

// String gives the name used in output and logs.
func (g GateOutcome) String() string {
	if int(g) < len(gateNames) {
		return gateNames[g]
	}
	return fmt.Sprintf("gate(%d)", uint8(g))
}

// StateReading says what the state directory gave.
type StateReading uint8

// The readings. StateUnreadable is the zero value: it permits nothing.
const (
	StateUnreadable StateReading = iota // damaged, half-written, of a newer format, or not permitted
	StateAbsent                         // certainly not there
	StateReadable
)

// GateFacts is everything that the gate's decision rests on. It needs no
// service, no database and no right clock.
type GateFacts struct {
	Node       string
	State      StateReading
	StateFault string // names the file, when StateUnreadable
	Durable    Durable
	Data       DataReading
	Peers      []PeerReading
	Asked      bool // every peer was asked at least once
	WaitOver   bool // the time to wait for peers is over
}

// DataReading is what the data directory gave, offline.
type DataReading struct {
	Directory      string
	Empty          bool   // nothing in it: an entrypoint would run initdb
	Fault          string // control file unreadable; names the file
	SystemID       replication.SystemID
	StandbySignal  bool
	RecoverySignal bool
	BackupLabel    bool
	Adopted        bool // adopt left its mark in this directory
}

// PeerReading is one peer's answer over the control API.
type PeerReading struct {
	Node             string
	Witness          bool // holds no data: its answer can only forbid
	Answered         bool
	Why              string // why it did not answer
	Durable          *Durable
	RunningAsPrimary bool
	RunningKnown     bool
}

// GateDecision is the gate's answer with its reason.
type GateDecision struct {
	Outcome GateOutcome
	Reason  string
	Next    string // what the operator types
	// Obey is the order that a starting node takes for its marker.
	Obey *Order
	// CloseIntents are operations whose owner answered that they ended: their
	// copies here are void.
	CloseIntents []Closed
}

// Gate decides whether and how the server of this node may start (DESIGN rule
// 4). It is pure; callers ask again with newer peer answers while the outcome is
// GateUndecided.
func Gate(f GateFacts) GateDecision {
	if d, ok := gateUnreadable(f); ok {
		return d
	}
	if f.State == StateAbsent || f.Durable.Epoch.Zero() {
		return gateUnknownNode(f)
	}
	if d, ok := gateForeign(f); ok {
		return d
	}
	if d, ok := gateHeld(f); ok {
		return d
	}
	if d, ok := gateStandby(f); ok {
		return d
	}
	return gatePrimary(f)
}

func refuse(next, format string, a ...any) GateDecision {
	return GateDecision{Outcome: GateRefuse, Reason: fmt.Sprintf(format, a...), Next: next}
}

func isolate(next, format string, a ...any) GateDecision {
	return GateDecision{Outcome: GateIsolated, Reason: fmt.Sprintf(format, a...), Next: next}
}

// gateUnreadable refuses what cannot be read: nothing may be concluded from it.
func gateUnreadable(f GateFacts) (GateDecision, bool) {
	if f.State == StateUnreadable {
		return refuse("move the file aside only after you know what it said; then watchdog status",
			"state cannot be read: %s", f.StateFault), true
	}
	if f.Data.Fault != "" && !f.Data.Empty {
		return refuse("look at the file system below "+f.Data.Directory, "data directory cannot be read: %s", f.Data.Fault), true
	}
	return GateDecision{}, false
}

// gateUnknownNode decides for a node without an epoch: never adopted, or its
// state was lost.
func gateUnknownNode(f GateFacts) GateDecision {
	if f.Durable.Marker != nil {
		return isolate("watchdog release "+f.Node, "a fence marker of operation %s is set", f.Durable.Marker.Operation)
	}
	if o, ok := f.Durable.StandingOrder(f.Node); ok {
		d := isolate("watchdog status", "a fence order of operation %s stands", o.Operation)
		d.Obey = &o
		return d
	}
	if f.Data.Empty {
		return GateDecision{Outcome: GateInactive, Reason: "the data directory is empty and this node was never adopted"}
	}
	if f.Data.BackupLabel && !f.Data.StandbySignal && f.Data.Adopted {
		return refuseBackupLabel(f)
	}
	if f.Data.Adopted {
		return isolate("watchdog release "+f.Node, "this data directory was adopted, but the state beside it is gone")
	}
	for _, p := range f.Peers {
		if p.Answered && p.Durable != nil && !p.Durable.Epoch.Zero() && p.Durable.SystemID == f.Data.SystemID {
			return isolate("watchdog status", "%s knows this system identifier in epoch %d, but this node has no state",
				p.Node, p.Durable.Epoch.Number)
		}
	}
	if !f.Asked {
		return GateDecision{Outcome: GateUndecided, Reason: "asking the peers whether they know this system identifier"}
	}
	return GateDecision{Outcome: GateInactive, Reason: "this node was never adopted: the gate is not active",
		Next: "watchdog adopt NODE"}
}

func refuseBackupLabel(f GateFacts) GateDecision {
	return refuse("restore it as a standby, or remove it after you know why it is there",
		"%s holds backup_label without standby.signal: a restored copy must not start as primary", f.Data.Directory)
}

// gateForeign refuses data that is not the data that the state speaks of.
func gateForeign(f GateFacts) (GateDecision, bool) {
	d := f.Durable
	switch {
	case f.Data.Empty:
		return refuse("restore the data directory, or clone it from the primary",
			"the data directory %s is empty, but this node's state knows system identifier %s: an initdb here would make another primary",
			f.Data.Directory, d.SystemID), true
	case d.SystemID != f.Data.SystemID:
		return refuse("watchdog config show", "the data directory has system identifier %s, the state says %s", f.Data.SystemID, d.SystemID), true
	case d.DataDirectory != f.Data.Directory:
		return refuse("watchdog config show", "the state belongs to data directory %s, not to %s", d.DataDirectory, f.Data.Directory), true
	case f.Data.BackupLabel && !f.Data.StandbySignal:
		return refuseBackupLabel(f), true
	}
	return GateDecision{}, false
}

// gateHeld isolates a node that a marker, an order or an intent holds. An open
// rejoin of this node may start under its own marker.
func gateHeld(f GateFacts) (GateDecision, bool) {
	d := f.Durable
	if m := d.Marker; m != nil && !openRejoin(f, m.Operation) {
		return isolate("watchdog status", "the fence marker of operation %s is set (%s)", m.Operation, m.Reason), true
	}
	if o, ok := d.StandingOrder(f.Node); ok {
		g := isolate("watchdog status", "the fence order of operation %s (issued by %s) stands", o.Operation, o.Issuer)
		g.Obey = &o
		return g, true
	}
	return GateDecision{}, false
}

func openRejoin(f GateFacts, operation string) bool {
	for _, i := range f.Durable.Intents {
		if i.Operation == operation && i.Kind == "rejoin" && i.Target == f.Node {
			return f.Data.StandbySignal
		}
	}
	return false
}

// gateStandby lets a standby start as configured; no peer is asked, because a
// server in recovery cannot write.
func gateStandby(f GateFacts) (GateDecision, bool) {
	if !f.Data.StandbySignal {
		return GateDecision{}, false
	}
	if f.Durable.Role == replication.RoleStandby {
		return GateDecision{Outcome: GateStandby, Reason: "standby.signal is present and the durable role is standby"}, true
	}
	if m := f.Durable.Marker; m != nil && openRejoin(f, m.Operation) {
		return GateDecision{Outcome: GateStandby, Reason: "the rejoin of operation " + m.Operation + " is open"}, true
	}
	return isolate("watchdog release "+f.Node, "standby.signal is present, but the durable role is %s", f.Durable.Role), true
}

// gatePrimary decides for a former or present primary: it starts only when a
// peer that holds data says that it may, and nobody says that it may not.
func gatePrimary(f GateFacts) GateDecision {
	d := f.Durable
	if d.Role != replication.RolePrimary {
		return isolate("watchdog release "+f.Node, "the durable role is %s, but standby.signal is gone", d.Role)
	}
	if f.Data.RecoverySignal {
		return isolate("watchdog release "+f.Node, "recovery.signal is present: a targeted recovery would end as a writable server")
	}
	closed, open := openIntents(f)
	for _, p := range f.Peers {
		if g, ok := peerForbids(f, p); ok {
			return g
		}
	}
	wait := waitReason(f, open)
	if wait == "" {
		return GateDecision{Outcome: GatePrimary, CloseIntents: closed,
			Reason: fmt.Sprintf("primary of epoch %d, and a peer that is standby agrees", d.Epoch.Number)}
	}
	if !f.WaitOver {
		return GateDecision{Outcome: GateUndecided, Reason: wait}
	}
	return isolate("start the other node, or: watchdog release "+f.Node, "unproven former primary: %s", wait)
}

// openIntents splits the intents held here into those whose owner told their
// durable outcome and those that still stand.
func openIntents(f GateFacts) (closed []Closed, open []Intent) {
	for _, i := range f.Durable.Intents {
		if c, ok := closedBy(f.Peers, i); ok && i.Owner != f.Node {
			closed = append(closed, c)
			continue
		}
		open = append(open, i)
	}
	return closed, open
}

func closedBy(peers []PeerReading, i Intent) (Closed, bool) {
	for _, p := range peers {
		if p.Node != i.Owner || !p.Answered || p.Durable == nil {
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

// peerForbids gives the reason why this peer's answer (a witness's too) rules
// out a start as primary, whatever the others say.
func peerForbids(f GateFacts, p PeerReading) (GateDecision, bool) {
	d := f.Durable
	if !p.Answered || p.Durable == nil || p.Durable.SystemID != d.SystemID {
		return GateDecision{}, false
	}
	o := p.Durable
	next := "watchdog status"
	switch {
	case o.Epoch.Number > d.Epoch.Number:
		return isolate(next, "superseded: %s knows epoch %d (primary %s), this node has epoch %d",
			p.Node, o.Epoch.Number, o.Epoch.Primary, d.Epoch.Number), true
	case o.Epoch.Number == d.Epoch.Number && o.Epoch.ID != d.Epoch.ID:
		return isolate(next, "%s has another epoch %d than this node: two histories", p.Node, d.Epoch.Number), true
	case p.RunningAsPrimary:
		return isolate(next, "%s runs as primary now", p.Node), true
	case !p.Witness && o.Role == replication.RolePrimary && !fencedUnder(o, d.Epoch):
		return isolate(next, "%s claims to be primary too", p.Node), true
	}
	if order, ok := o.StandingOrder(f.Node); ok && order.Stands(d.Epoch.Number) {
		g := isolate(next, "%s holds a fence order of operation %s against this node", p.Node, order.Operation)
		g.Obey = &order
		return g, true
	}
	return GateDecision{}, false
}

func fencedUnder(o *Durable, e Epoch) bool { return o.Marker != nil && o.Marker.Epoch.Same(e) }

// waitReason says what still stands in the way of a start as primary; empty
// when nothing does.
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
	why := "no peer is configured"
	for _, p := range f.Peers {
		if p.Witness {
			continue
		}
		if why = peerSilence(f, p); why == "" {
			return ""
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
	case o.SystemID != f.Durable.SystemID:
		return fmt.Sprintf("%s has system identifier %s", p.Node, o.SystemID)
	case o.Role != replication.RoleStandby && !fencedUnder(o, f.Durable.Epoch):
		return fmt.Sprintf("%s has the durable role %s", p.Node, o.Role)
	case !p.RunningKnown:
		return p.Node + " cannot say whether its PostgreSQL runs as primary"
	}
	return ""
}
