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
// state was lost. It lets a start pass as configured only when nothing at all
// knows this node; what is refused is refused before anything is isolated,
// because isolating writes standby.signal and so hides why.
func gateUnknownNode(f GateFacts) GateDecision {
	held, isHeld := unknownButHeld(f)
	if !isHeld {
		switch {
		case f.Data.Empty:
			return GateDecision{Outcome: GateInactive, Reason: "the data directory is empty and this node was never adopted"}
		case !f.Asked:
			return GateDecision{Outcome: GateUndecided, Reason: "asking the peers whether they know this system identifier"}
		}
		return GateDecision{Outcome: GateInactive, Reason: "this node was never adopted: the gate is not active",
			Next: "watchdog adopt NODE"}
	}
	switch {
	case f.Data.Empty:
		return refuseEmpty(f)
	case f.Data.BackupLabel && !f.Data.StandbySignal:
		return refuseBackupLabel(f)
	}
	return held
}

// unknownButHeld finds what shows that a node without an epoch is no stranger.
func unknownButHeld(f GateFacts) (GateDecision, bool) {
	if m := f.Durable.Marker; m != nil {
		return isolate("watchdog release "+f.Node, "a fence marker of operation %s is set", m.Operation), true
	}
	if o, ok := f.Durable.StandingOrder(f.Node); ok {
		d := isolate("watchdog status", "a fence order of operation %s stands", o.Operation)
		d.Obey = &o
		return d, true
	}
	if f.Data.Empty {
		return GateDecision{}, false
	}
	if f.Data.Adopted {
		return isolate("watchdog release "+f.Node, "this data directory was adopted, but the state beside it is gone"), true
	}
	for _, p := range f.Peers {
		if p.Answered && p.Durable != nil && !p.Durable.Epoch.Zero() && p.Durable.SystemID == f.Data.SystemID {
			return isolate("watchdog status", "%s knows this system identifier in epoch %d, but this node has no state",
				p.Node, p.Durable.Epoch.Number), true
		}
	}
	return GateDecision{}, false
}

func refuseBackupLabel(f GateFacts) GateDecision {
	return refuse("restore it as a standby, or remove it after you know why it is there",
		"%s holds backup_label without standby.signal: a restored copy must not start as primary", f.Data.Directory)
}

func refuseEmpty(f GateFacts) GateDecision {
	return refuse("restore the data directory, or clone it from the primary",
		"the data directory %s is empty, but this node's state knows system identifier %s: an initdb here would make another primary",
		f.Data.Directory, f.Durable.SystemID)
}

// gateForeign refuses data that is not the data that the state speaks of.
func gateForeign(f GateFacts) (GateDecision, bool) {
	d := f.Durable
	switch {
	case f.Data.Empty:
		return refuseEmpty(f), true
	case f.Data.Holders > 0:
		// Isolating would write standby.signal beneath a server that runs.
		return refuse("watchdog status; stop it first if it has to start anew",
			"%d processes of a server hold %s already", f.Data.Holders, f.Data.Directory), true
	case d.SystemID != f.Data.SystemID:
		return refuse("watchdog config show", "the data directory has system identifier %s, the state says %s", f.Data.SystemID, d.SystemID), true
	case d.DataDirectory != "" && d.DataDirectory != f.Data.Directory:
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
	if m := d.Marker; m != nil && !(f.Data.StandbySignal && openRejoin(f, m.Operation)) {
		return isolate("watchdog status", "the fence marker of operation %s is set (%s)", m.Operation, m.Reason), true
	}
	if o, ok := d.StandingOrder(f.Node); ok {
		g := isolate("watchdog status", "the fence order of operation %s (issued by %s) stands", o.Operation, o.Issuer)
		g.Obey = &o
		return g, true
	}
	return GateDecision{}, false
}

// openRejoin says whether a rejoin of this node is open; operation names the
// one that set the marker, and is empty when there is no marker.
func openRejoin(f GateFacts, operation string) bool {
	for _, i := range f.Durable.Intents {
		if i.Kind == "rejoin" && i.Target == f.Node && (operation == "" || i.Operation == operation) {
			return true
		}
	}
	return false
}

func openRelease(f GateFacts) (Intent, bool) {
	for _, i := range f.Durable.Intents {
		if i.Kind == "release" && i.Target == f.Node {
			return i, true
		}
	}
	return Intent{}, false
}

// gateStandby lets a standby start as configured; no peer is asked, because a
// server in recovery cannot write.
func gateStandby(f GateFacts) (GateDecision, bool) {
	if !f.Data.StandbySignal {
		return GateDecision{}, false
	}
	if i, open := openRelease(f); open {
		// It is about to be promoted from what it holds: no archive may lead a
		// former primary onto another timeline first.
		return isolate("watchdog ops show "+i.Operation, "the release %s of this node is open", i.Operation), true
	}
	if f.Durable.Role == replication.RoleStandby {
		return GateDecision{Outcome: GateStandby, Reason: "standby.signal is present and the durable role is standby"}, true
	}
	if openRejoin(f, "") { // a marker here is the rejoin's own: gateHeld saw to that
		return GateDecision{Outcome: GateStandby, Reason: "a rejoin of this node is open"}, true
	}
	return isolate("watchdog release "+f.Node, "standby.signal is present, but the durable role is %s", f.Durable.Role), true
}

// gatePrimary decides for a former or present primary: it starts only when a
// peer that holds data says that it may, and nobody says that it may not.
func gatePrimary(f GateFacts) GateDecision {
	d := f.Durable
	switch {
	case d.Role != replication.RolePrimary:
		return isolate("watchdog release "+f.Node, "the durable role is %s, but standby.signal is gone", d.Role)
	case f.Data.RecoverySignal:
		return isolate("watchdog release "+f.Node, "recovery.signal is present: a targeted recovery would end as a writable server")
	case d.DataDirectory == "":
		// Adopted, and cut short before the data directory was recorded: this
		// could be any copy of it.
		return isolate("watchdog release "+f.Node, "the state does not say which data directory it belongs to")
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
