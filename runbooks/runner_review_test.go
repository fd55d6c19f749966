package runbooks

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// Rule 6: a fence, rejoin or abort kills an operation in progress. A step that
// only writes its own state knows of no context, and went on all the same.
func TestRun_KilledBetweenTwoSteps_TheNextIsNotDone(t *testing.T) {
	ctx, kill := context.WithCancelCause(t.Context())
	r := &Runner{Journal: memoryJournal{}, Now: time.Now, Close: func(context.Context, *Operation, fence.Result) error { return nil }}
	wrote := false
	o := NewOperation("promote-X", Plan{Kind: KindPromote, Steps: number([]StepLine{{Name: StepSlot, Limit: 1}, {Name: StepEpoch, Limit: 1}})}, Request{}, nil)
	err := r.Run(ctx, o, map[string]Step{
		StepSlot:  {Act: func(context.Context, *Scribe) error { kill(errors.New("fenced")); return nil }},
		StepEpoch: {Sticky: true, Act: func(context.Context, *Scribe) error { wrote = true; return nil }},
	})
	if err == nil || wrote {
		t.Errorf("%v, epoch written: %t", err, wrote)
	}
	if result, closed := o.Closed(); !closed || result != fence.ResultNotDone {
		t.Errorf("closed %t as %s", closed, result)
	}
}

// The clock of a machine that was suspended, and one that was set: a proof is
// recent only when both say so (rule 6).
func TestRecent_EitherClockSaysOld_IsOld(t *testing.T) {
	at := time.Now()
	for _, c := range []struct {
		now  time.Time
		want bool
	}{
		{at.Add(time.Second), true},
		{at.Add(time.Hour), false},
		{at.Round(0).Add(time.Second), true},
		{at.Round(0).Add(-time.Second), false},
		{at.Round(0).Add(time.Hour), false},
	} {
		d := Deps{Now: func() time.Time { return c.now }}
		if got := d.recent(at); got != c.want {
			t.Errorf("%s after %s: %t", c.now, at, got)
		}
	}
	if (Deps{Now: time.Now}).recent(time.Time{}) {
		t.Error("never is recent")
	}
}

// Typed on a node that had not heard of epoch 2 yet, forwarded to the new primary:
// that one must not plan the promotion of its own standby, for it would fence
// itself.
func TestPlanPromote_AskedOnTheWrongNode_Refuses(t *testing.T) {
	own := fence.Durable{Node: "db2", SystemID: 7, Epoch: fence.Epoch{Number: 2, ID: "two", Primary: "db2"}}
	f := Facts{Self: "db2", Own: own, RateBytes: -1, Nodes: []NodeFacts{{Node: "db1", Answers: true, Durable: &own, Advanced: -1}, {Node: "db2", Answers: true, Durable: &own, Advanced: -1}}}
	if p := PlanPromote(f, Request{Kind: KindPromote}, "X"); p.Refusal == nil || p.Refusal.Gate != "owner" {
		t.Errorf("refusal %+v", p.Refusal)
	}
	f.Self = "db1"
	f.Own.Node = "db1"
	if p := PlanPromote(f, Request{Kind: KindPromote}, "X"); p.Refusal == nil || p.Refusal.Gate == "owner" {
		t.Errorf("refusal %+v", p.Refusal)
	}
}

// A fence makes no epoch that its target could refuse by: the plan must.
func TestPlanFence_TargetKnowsALaterEpoch_Refuses(t *testing.T) {
	own := fence.Durable{Node: "db2", SystemID: 7, Epoch: fence.Epoch{Number: 1, ID: "one", Primary: "db1"}}
	theirs := fence.Durable{Node: "db1", SystemID: 7, Epoch: fence.Epoch{Number: 5, ID: "five", Primary: "db1"}}
	f := Facts{Self: "db2", Own: own, RateBytes: -1, Devices: map[string][]DeviceFact{"db1": {{Name: "peer", Grade: fence.GradeSealed, Ready: true}}},
		Nodes: []NodeFacts{{Node: "db1", Answers: true, Durable: &theirs, Advanced: -1}, {Node: "db2", Answers: true, Durable: &own, Advanced: -1}}}
	if p := PlanFence(f, Request{Kind: KindFence, Node: "db1"}, "X"); p.Refusal == nil || p.Refusal.Gate != "epoch" {
		t.Errorf("refusal %+v", p.Refusal)
	}
	theirs.Epoch = own.Epoch
	if p := PlanFence(f, Request{Kind: KindFence, Node: "db1"}, "X"); p.Refusal != nil {
		t.Errorf("refusal %+v", p.Refusal)
	}
}
