package runbooks

import (
	"context"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// PlanAdopt plans to record the present primary as a new epoch: the first epoch
// of an existing pair, and the way back after work by hand (DESIGN rule 5). It
// runs on that primary.
func PlanAdopt(f Facts, r Request, id string) Plan {
	p := newPlan(f, KindAdopt, id)
	p.Target = r.Node
	node, found := f.Node(r.Node)
	other, pair := f.Other(r.Node)
	if !found || node.Witness || !pair {
		p.settle([]check{no("target", ExitUsage, "", "watchdog status", "%q is not a node of a pair", r.Node)})
		return p
	}
	p.Other = other.Node
	if primaryAlready(f, node) && knowsToo(f, other) {
		p.Already = true
		p.settle([]check{ok("already", "%s is the primary of epoch %d already; nothing is done", r.Node, f.Own.Epoch.Number)})
		return p
	}
	if s, seen := node.Last(); seen {
		p.SystemID = s.SystemID
	}
	p.Steps = number([]StepLine{
		{Name: StepLock, Node: "all", Text: "take the operation lock on every node that answers", Limit: 5, IfFails: "released, nothing changed"},
		{Name: StepIntent, Node: "all", Text: "record the intent durably", Limit: 10, IfFails: "withdrawn, nothing changed"},
		{Name: StepEpoch, Node: "all", Text: "record epoch and roles durably on both nodes: their boot gates become active", Limit: 10, IfFails: "stop (exit 7)", Final: true},
		{Name: StepEnable, Node: r.Node, Text: "bind the state to the data directory and mark it as adopted", Limit: 10, IfFails: "stop (exit 7)"},
		{Name: StepVerify, Node: r.Node, Text: "write the epoch row", Limit: 30, IfFails: "stop (exit 7)"},
		{Name: StepClose, Node: "all", Text: "close the intent everywhere and report", Limit: 10, IfFails: "stop (exit 7)"},
	})
	p.settle([]check{checkState(f), checkOperation(f), checkAdoptee(f, node), checkPartner(node, other),
		checkOtherPrimaries(f, r.Node), checkSameSystem(node, other), checkIdentity(f, node, other), checkHeld(f, r.Node)})
	if p.Refusal == nil {
		p.Next = "watchdog adopt " + r.Node + " --confirm"
	}
	return p
}

// knowsToo says whether the partner has this epoch, as far as can be asked: an
// adoption that reached only one node is made again.
func knowsToo(f Facts, other NodeFacts) bool {
	return !other.Answers || other.Durable == nil || other.Durable.Epoch.Same(f.Own.Epoch)
}

func checkAdoptee(f Facts, node NodeFacts) check {
	v, seen := node.Verdict()
	switch {
	case v == replication.VerdictUnknown:
		return no("target", ExitUnavailable, "5", "watchdog status", "no probe has spoken about %s yet", node.Node)
	case v != replication.VerdictHealthy || seen.Role != replication.RolePrimary:
		return no("target", ExitRefused, "5", "watchdog status", "%s is %s and %s, not a healthy primary", node.Node, v, seen.Role)
	case f.Own.SystemID != 0 && seen.SystemID != f.Own.SystemID:
		return no("system-id", ExitRefused, "13", "watchdog status", "%s has system identifier %s, the state says %s", node.Node, seen.SystemID, f.Own.SystemID)
	}
	return ok("target", "%s is a healthy primary on timeline %d", node.Node, seen.Timeline)
}

// checkPartner wants the other service up: adopt writes epoch and roles on both
// nodes.
func checkPartner(node, other NodeFacts) check {
	if !other.Answers {
		return no("partner", ExitUnavailable, "4", "start the service on "+other.Node, "%s's service does not answer: %s", other.Node, other.Silence)
	}
	if s, seen := other.Last(); seen && s.Role == replication.RoleStandby {
		return ok("partner", "%s's service answers, its PostgreSQL is a standby", other.Node)
	}
	return ok("partner", "%s's service answers", other.Node)
}

func checkSameSystem(node, other NodeFacts) check {
	a, _ := node.Last()
	b, seen := other.Last()
	if seen && b.SystemID != 0 && a.SystemID != 0 && a.SystemID != b.SystemID {
		return no("system-id", ExitRefused, "13", "clone "+other.Node+" from "+node.Node,
			"%s has system identifier %s, %s has %s", node.Node, a.SystemID, other.Node, b.SystemID)
	}
	return ok("same-data", "both hold the same system identifier")
}

// AdoptSteps gives what each line of an adopt plan does.
func AdoptSteps(d Deps, o *Operation) map[string]Step {
	return map[string]Step{
		StepLock:   d.lockStep(o),
		StepIntent: d.intentStep(o),
		StepEpoch:  d.adoptStep(o),
		StepEnable: {Act: func(ctx context.Context, _ *Scribe) error { return d.Host.Bind(ctx) }},
		StepVerify: d.verifyStep(o),
		StepClose:  d.closeStep(o),
	}
}
