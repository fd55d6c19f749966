package runbooks

import (
	"fmt"
	"strings"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// The step names of release and adopt.
const (
	StepProof  = "proof"
	StepLift   = "lift"
	StepStart  = "start"
	StepEnable = "enable"
)

// PlanRelease plans to let a held node be primary again, with proof that the
// other is off or fenced, or that it answers as a standby (DESIGN rule 4). It
// runs on the released node.
func PlanRelease(f Facts, r Request, id string) Plan {
	p := newPlan(f, KindRelease, id)
	p.Target = r.Node
	node, found := f.Node(r.Node)
	other, pair := f.Other(r.Node)
	if !found || node.Witness || !pair {
		p.settle([]check{no("target", ExitUsage, "", "watchdog status", "%q is not a node of a pair", r.Node)})
		return p
	}
	if primaryAlready(f, node) {
		p.Already = true
		p.settle([]check{ok("already", "%s runs as primary of epoch %d; nothing is done", r.Node, f.Own.Epoch.Number)})
		return p
	}
	p.Other = other.Node
	if s, seen := node.Last(); seen {
		p.SystemID = s.SystemID
	} else {
		p.SystemID = f.DataSystemID
	}
	p.Lifts = holding(f.Own)
	checks := []check{checkState(f), checkKnown(f, p.SystemID), checkReleaseLock(f), checkOtherPrimaries(f), checkReleasable(f, r.Node, p.Lifts)}
	if p.Over = leftBehind(f); len(p.Over) > 0 {
		p.Warnings = append(p.Warnings, "ends what a silent node left open: "+strings.Join(p.Over, ", "))
	}
	proof, proven := otherProof(f, other)
	if !proven {
		var fenceable check
		p.Fence, fenceable = planFence(f, other.Node, r)
		p.Phrase = phrase(other.Node, p.Fence.Grade)
		checks = append(checks, fenceable)
	}
	p.Why = append(p.Why, proof)
	p.Warnings = append(p.Warnings, "what "+other.Node+" received and "+r.Node+" did not is not on "+r.Node)
	p.Steps = releaseSteps(f.App, node, other, p.Fence)
	checks = append(checks, checkIdentity(f, node))
	var loss []check
	p.Loss, loss = releaseLoss(f, other, r)
	p.settle(append(checks, loss...))
	if p.Refusal != nil && p.Refusal.Gate != "loss" {
		return p
	}
	p.Next = "watchdog release " + r.Node + " --confirm"
	if r.StatedOff != "" {
		p.Next += " --i-have-powered-off " + r.StatedOff
	}
	if len(loss) > 0 {
		p.Next += " --accept-data-loss unknown"
	}
	return p
}

// holding names the operations whose marker or orders hold a node.
func holding(d fence.Durable) []string {
	var list []string
	if d.Marker != nil {
		list = append(list, d.Marker.Operation)
	}
	for _, o := range d.Orders {
		if o.Node == d.Node && o.Stands(d.Epoch.Number) && !contains(list, o.Operation) {
			list = append(list, o.Operation)
		}
	}
	return list
}

func primaryAlready(f Facts, n NodeFacts) bool {
	v, seen := n.Verdict()
	return f.Own.Epoch.Primary == n.Node && f.Own.Marker == nil && v == replication.VerdictHealthy && seen.Role == replication.RolePrimary
}

// checkKnown wants to know at least which data this node holds: its state, or
// (when that was lost) the server that runs on it.
func checkKnown(f Facts, running replication.SystemID) check {
	switch {
	case f.Own.SystemID == 0 && running == 0:
		return no("adopted", ExitRefused, "5", "start PostgreSQL (it comes up read-only), then again",
			"this node's state is lost, and no server runs that could say which data it holds")
	case f.Own.SystemID == 0:
		return ok("adopted", "this node's state is lost; its server has system identifier %s", running)
	}
	return ok("adopted", "epoch %d, primary %s", f.Own.Epoch.Number, f.Own.Epoch.Primary)
}

// heldOpen is one open operation as some node holds its lock or intent.
type heldOpen struct{ kind, operation, owner, by string }

// openAnywhere lists the operations whose lock or intent some node holds.
func openAnywhere(f Facts) []heldOpen {
	var list []heldOpen
	for _, n := range f.Nodes {
		d := n.Durable
		if n.Node == f.Self {
			d = &f.Own
		}
		if d == nil {
			continue
		}
		if l := d.Lock; l != nil {
			list = append(list, heldOpen{l.Kind, l.Operation, l.Owner, l.By})
		}
		for _, i := range d.Intents {
			list = append(list, heldOpen{i.Kind, i.Operation, i.Owner, i.By})
		}
	}
	return list
}

// checkReleaseLock refuses while an operation is open whose owner can be asked
// to resume or abort it.
func checkReleaseLock(f Facts) check {
	for _, h := range openAnywhere(f) {
		if ownerHolds(f, h) {
			return no("operation", ExitLocked, "10", "watchdog ops abort "+h.operation, "%s %s of %s is open (%s)", h.kind, h.operation, h.owner, h.by)
		}
	}
	return ok("operation", "no operation of a node that answers is open")
}

// leftBehind names the operations that nobody can end but a release: their
// owner is silent, or answers and knows nothing of them any more.
func leftBehind(f Facts) []string {
	var over []string
	for _, h := range openAnywhere(f) {
		if !ownerHolds(f, h) && !contains(over, h.operation) {
			over = append(over, h.operation)
		}
	}
	return over
}

// ownerHolds says whether the operation's owner answers and holds it open.
func ownerHolds(f Facts, h heldOpen) bool {
	d := &f.Own // this node answers, too: it may have lost its state
	if h.owner != f.Self {
		n, found := f.Node(h.owner)
		if !found || !n.Answers || n.Durable == nil {
			return false
		}
		d = n.Durable
	}
	_, open := d.OpenIntent(h.operation)
	return open || (d.Lock != nil && d.Lock.Operation == h.operation)
}

// otherProof says whether the other node's own answer proves that it is no
// primary and will not become one.
func otherProof(f Facts, other NodeFacts) (string, bool) {
	d := other.Durable
	switch {
	case !other.Answers || d == nil:
		return other.Node + " does not answer: it has to be fenced first", false
	case other.RunningAsPrimary || !other.RunningKnown:
		return other.Node + " does not prove that it is no primary", false
	case d.Marker != nil:
		return fmt.Sprintf("%s is fenced (operation %s) and does not run as primary", other.Node, d.Marker.Operation), true
	case d.Epoch.Number > f.Own.Epoch.Number:
		return fmt.Sprintf("%s knows epoch %d, which is higher: it has to be fenced first", other.Node, d.Epoch.Number), false
	case d.Role != replication.RoleStandby:
		return other.Node + " has the durable role " + d.Role.String() + ": it has to be fenced first", false
	case len(d.Intents) > 0:
		return other.Node + " holds the open intent of operation " + d.Intents[0].Operation, false
	}
	return other.Node + " answers: standby of an epoch not higher, no intent", true
}

func releaseSteps(app AppFact, node, other NodeFacts, fp FencePlan) []StepLine {
	a, b := node.Node, other.Node
	lines := []StepLine{
		{Name: StepLock, Node: "all", Text: "take the operation lock on every node that answers", Limit: 5, IfFails: "released, nothing changed"},
		{Name: StepIntent, Node: "all", Text: "record the intent durably", Limit: 10, IfFails: "withdrawn, nothing changed"},
	}
	if fp.Node != "" {
		lines = append(lines, StepLine{Name: StepFence, Node: b, Text: fenceText(b, fp), Limit: 120, IfFails: "stop (exit 5; 8 when the outcome is unknown)"})
	}
	lines = append(lines,
		StepLine{Name: StepProof, Node: b, Text: "prove that " + b + " is fenced, or a standby that knows no later epoch", Limit: 10, IfFails: "stop"},
		StepLine{Name: StepLift, Node: a, Text: "lift the marker, the orders and the dead intents that hold " + a, Limit: 10, IfFails: "stop (exit 7)"},
		StepLine{Name: StepStart, Node: a, Text: "start PostgreSQL read-only, if it does not run", Limit: 300, IfFails: "stop (exit 7)"},
		StepLine{Name: StepSlot, Node: a, Text: "make the replication slot for " + b, Limit: 30, IfFails: "stop (exit 7)"},
		StepLine{Name: StepEpoch, Node: a, Text: "record the new epoch durably, on every node that answers", Limit: 10, IfFails: "stop (exit 7)"},
		StepLine{Name: StepPromote, Node: a, Text: "pg_promote: a new timeline", Limit: 60, IfFails: "stop (exit 7)", Final: true},
		StepLine{Name: StepVerify, Node: a, Text: "verify: out of recovery, new timeline, epoch row written", Limit: 30, IfFails: "stop (exit 7)"},
		StepLine{Name: StepEnable, Node: a, Text: "bind the state to the data directory", Limit: 10, IfFails: "stop (exit 7)"},
		StepLine{Name: StepReleaseSync, Node: a, Text: "release synchronous waiting until a standby streams again", Limit: 30, IfFails: "stop (exit 7)"},
		StepLine{Name: StepCommit, Node: a, Text: "prove a normal commit", Limit: 30, IfFails: "stop (exit 7)"})
	lines = append(lines, startAppLine(app, a)...)
	lines = append(lines,
		StepLine{Name: StepCheckpoint, Node: a, Text: "checkpoint", Limit: 300, IfFails: "stop (exit 7)"},
		StepLine{Name: StepClose, Node: "all", Text: "close the intent everywhere and report", Limit: 10, IfFails: "stop (exit 7)"})
	return number(lines)
}
