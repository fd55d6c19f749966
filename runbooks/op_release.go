package runbooks

import (
	"context"
	"errors"
	"fmt"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// ReleaseSteps gives what each line of a release plan does. The operation runs
// on the released node.
func ReleaseSteps(d Deps, o *Operation) map[string]Step {
	other := o.Plan.Other
	steps := d.outOfRecovery(o, other)
	steps[StepLock] = d.lockStep(o)
	steps[StepIntent] = d.intentStep(o)
	steps[StepFence] = d.releaseFence(o)
	steps[StepProof] = Step{Fresh: true, Act: func(ctx context.Context, s *Scribe) error { return d.proveOther(ctx, s, o, other) }}
	steps[StepLift] = Step{Sticky: true, Guard: d.sameHold(o), Act: func(context.Context, *Scribe) error {
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

// sameHold refuses to lift what came after the plan: a fence of this node that
// arrived meanwhile was not weighed by anybody (DESIGN rule 6).
func (d Deps) sameHold(o *Operation) func(context.Context) error {
	return func(context.Context) error {
		dur, err := d.State.Read()
		if err != nil {
			return err
		}
		for _, operation := range holding(dur) {
			if !contains(o.Plan.Lifts, operation) {
				return &Refusal{Exit: ExitRefused, Rule: "6", Reason: fmt.Sprintf("%s was fenced meanwhile by operation %s", d.Self, operation),
					Hint: "watchdog ops abort " + o.ID + ", then: watchdog release " + d.Self}
			}
		}
		return nil
	}
}

// releaseFence fences the other node under the release's own intent. The
// releasing node is itself held by a marker at this point, so that the token of
// a promotion does not apply.
func (d Deps) releaseFence(o *Operation) Step {
	s := d.fenceStep(o, o.Plan.Other)
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
		order := fence.Order{Operation: o.ID, Node: o.Plan.Other, Issuer: d.Self, Epoch: i.Epoch, By: o.Request.By, IssuedAt: d.Now()}
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
	dur, err := d.State.Read()
	if err != nil {
		return err
	}
	// Its answer proves something only while it holds this intent: it may have
	// been silent when the intent was told (DESIGN rule 3).
	if i, open := dur.OpenIntent(o.ID); open {
		if err := d.Others.Tell(ctx, other, fence.Notice{Intent: &i}); err != nil && !errors.Is(err, ErrNotReached) {
			return fmt.Errorf("tell %s: %w", other, err)
		}
	}
	n, err := d.Others.Answer(ctx, other)
	if err != nil {
		return &Refusal{Exit: ExitRefused, Rule: "4", Reason: fmt.Sprintf("%s does not answer any more: %v", other, err),
			Hint: "watchdog release " + d.Self + " --i-have-powered-off " + other}
	}
	if n.Durable != nil {
		if _, holds := n.Durable.OpenIntent(o.ID); !holds {
			return &Refusal{Exit: ExitRefused, Rule: "3", Reason: other + " does not hold the intent of this release", Hint: "watchdog ops resume " + o.ID}
		}
		own := *n.Durable
		own.Intents = without(own.Intents, o.ID)
		n.Durable = &own
	}
	text, proven := otherProof(Facts{Own: dur}, n)
	if !proven {
		return &Refusal{Exit: ExitRefused, Rule: "4", Reason: text, Hint: "watchdog release " + d.Self + " --i-have-powered-off " + other}
	}
	if err := s.Note("%s", text); err != nil {
		return err
	}
	return s.Figure(figureProven, 1)
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
