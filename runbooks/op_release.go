package runbooks

import (
	"context"
	"fmt"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// ReleaseSteps gives what each line of a release plan does. The operation runs
// on the released node.
func ReleaseSteps(d Deps, o *Operation) map[string]Step {
	other := otherOf(o)
	steps := d.outOfRecovery(o, other)
	steps[StepLock] = d.lockStep(o)
	steps[StepIntent] = d.releaseIntent(o)
	steps[StepFence] = d.releaseFence(o)
	steps[StepProof] = Step{Act: func(ctx context.Context, s *Scribe) error { return d.proveOther(ctx, s, o, other) }}
	steps[StepLift] = Step{Sticky: true, Act: func(context.Context, *Scribe) error {
		return d.State.Apply(fence.Notice{Release: &fence.Release{Operation: o.ID, At: d.Now()}})
	}}
	steps[StepEnable] = Step{Act: func(ctx context.Context, _ *Scribe) error { return d.Host.Bind(ctx) }}
	steps[StepStart] = Step{Act: func(ctx context.Context, _ *Scribe) error { return d.Host.Start(ctx) },
		Verify: func(ctx context.Context) error {
			in, err := d.Server.InRecovery(ctx)
			if err == nil && !in && !o.Done(StepPromote) {
				return fmt.Errorf("%s is out of recovery before its release", d.Self)
			}
			return err
		}}
	return steps
}

// otherOf finds the other node of the pair in the plan: the one that the slot
// step or the proof step speaks of.
func otherOf(o *Operation) string {
	for _, l := range o.Plan.Steps {
		if l.Name == StepProof {
			return l.Node
		}
	}
	return ""
}

// releaseIntent opens the intent of a release. When the other node could not
// say which epochs it has seen, the new number leaves room for them.
func (d Deps) releaseIntent(o *Operation) Step {
	return Step{Act: func(ctx context.Context, s *Scribe) error {
		jump := uint64(0)
		known, err := d.highestEpoch(ctx, otherOf(o))
		if err != nil {
			return err
		}
		dur, err := d.State.Read()
		if err != nil {
			return err
		}
		switch {
		case known == 0:
			jump = epochGap
		case known > dur.Epoch.Number:
			jump = known - dur.Epoch.Number
		}
		return d.intentStep(o, true, jump).Act(ctx, s)
	}}
}

// highestEpoch asks the other node; zero when it does not answer.
func (d Deps) highestEpoch(ctx context.Context, other string) (uint64, error) {
	n, err := d.Others.Answer(ctx, other)
	if err != nil || n.Durable == nil {
		return 0, nil //nolint:nilerr // silence is an answer here: the caller leaves room
	}
	return n.Durable.Epoch.Number, nil
}

// releaseFence fences the other node under the release's own intent. The
// releasing node is itself held by a marker at this point, so that the token of
// a promotion does not apply.
func (d Deps) releaseFence(o *Operation) Step {
	s := d.fenceStep(o, otherOf(o))
	s.Guard = nil
	s.Act = func(ctx context.Context, sc *Scribe) error {
		dur, err := d.State.Read()
		if err != nil {
			return err
		}
		i, open := dur.OpenIntent(o.ID)
		if !open {
			return &Refusal{Exit: ExitRefused, Rule: "6", Reason: "the intent of this release is not open any more", Hint: "watchdog status"}
		}
		order := fence.Order{Operation: o.ID, Node: otherOf(o), Issuer: d.Self, Epoch: i.Epoch, By: o.Request.By, IssuedAt: d.Now()}
		if err := Applied(d.State.Apply(fence.Notice{Order: &order})); err != nil {
			return err
		}
		if err := d.spreadOrder(ctx, sc, order); err != nil {
			return err
		}
		out := d.Fencer.Fence(ctx, order, statedBy(o, order.Node))
		if err := sc.Fence(out); err != nil {
			return err
		}
		return judgeFence(o, out)
	}
	return s
}

// proveOther re-reads the proof right before the marker is lifted: a fence that
// was done in this operation, or the other node's own answer.
func (d Deps) proveOther(ctx context.Context, s *Scribe, o *Operation, other string) error {
	if out := o.FenceOutcome(); out != nil {
		return s.Note("%s is fenced, grade %s, by %s", out.Node, out.Grade, out.Device)
	}
	n, err := d.Others.Answer(ctx, other)
	if err != nil {
		return &Refusal{Exit: ExitRefused, Rule: "4", Reason: fmt.Sprintf("%s does not answer any more: %v", other, err),
			Hint: "watchdog release " + d.Self + " --i-have-powered-off " + other}
	}
	dur, err := d.State.Read()
	if err != nil {
		return err
	}
	if n.Durable != nil {
		// The other node holds this release's own intent by now.
		own := *n.Durable
		own.Intents = without(own.Intents, o.ID)
		n.Durable = &own
	}
	text, proven := otherProof(Facts{Own: dur}, n)
	if !proven {
		return &Refusal{Exit: ExitRefused, Rule: "4", Reason: text, Hint: "watchdog release " + d.Self + " --i-have-powered-off " + other}
	}
	return s.Note("%s", text)
}

func without(list []fence.Intent, operation string) []fence.Intent {
	var rest []fence.Intent
	for _, i := range list {
		if i.Operation != operation {
			rest = append(rest, i)
		}
	}
	return rest
}

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
	if primaryAlready(f, node) {
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
		StepIntent: d.intentStep(o, true, 0),
		StepEpoch:  d.epochStep(o, true),
		StepEnable: {Act: func(ctx context.Context, _ *Scribe) error { return d.Host.Bind(ctx) }},
		StepVerify: d.verifyStep(o),
		StepClose:  d.closeStep(o),
	}
}
