package runbooks

import (
	"context"
	"errors"
	"testing"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// db1 was held when the plan was gathered, and released before the lock was
// taken: by what the plan knows, the healthy primary of epoch 2 would be fenced.
func TestIntentRule5_EpochChangedSinceThePlan_NothingIsFenced(t *testing.T) {
	c := newCluster()
	run, op, steps := c.fenceOp("db2", "fence-X", fence.Outcome{Node: "db1", Result: fence.ResultDone, Grade: fence.GradeSealed}, Request{})
	for _, n := range []string{"db1", "db2", "w1"} {
		c.change(n, func(d *fence.Durable) { d.Epoch = fence.Epoch{Number: 2, ID: "two", Primary: "db1"} })
	}
	err := run.Run(t.Context(), op, steps)
	var r *Refusal
	if !errors.As(err, &r) || r.Exit != ExitUnconfirmed || r.Rule != "5" {
		t.Errorf("got %v", err)
	}
	if op.begun(StepFence) {
		t.Error("the fence was begun")
	}
	c.free(t)
}

// asked is a standby that counts how often it is told to leave recovery.
type asked struct {
	Server
	Promoted
	times int
}

func (a *asked) InRecovery(context.Context) (bool, error) { return true, nil }

func (a *asked) Promote(context.Context) error { a.times++; return nil }

// An epoch is durable on its target before pg_promote: without it the node would
// be writable and, after a restart, a standby by its own state.
func TestPromoteRule5_EpochIsNotDurable_Refused(t *testing.T) {
	c, two := newCluster(), fence.Epoch{Number: 2, ID: "two", Primary: "db2"}
	op := NewOperation("promote-X", Plan{Kind: KindPromote, Target: "db2", Epoch: epochOne, Fence: FencePlan{Node: "db1", Grade: fence.GradeSealed}}, Request{}, nil)
	server := &asked{}
	d := c.deps("db2", fence.Outcome{Node: "db1", Result: fence.ResultDone, Grade: fence.GradeSealed})
	d.Server, d.Promoted = server, server
	if err := d.State.Apply(fence.Notice{Intent: &fence.Intent{Operation: op.ID, Kind: "promote", Owner: "db2", Target: "db2", Epoch: two}}); err != nil {
		t.Fatal(err)
	}
	sc := &Scribe{r: &Runner{Journal: memoryJournal{}, Now: d.Now}, o: op}
	promote := func() error { return d.promoteStep(op).Act(t.Context(), sc) }
	var r *Refusal
	if err := promote(); !errors.As(err, &r) || r.Rule != "5" || server.times > 0 {
		t.Errorf("got %v, promoted %d times", err, server.times)
	}
	if err := d.State.Apply(fence.Notice{Epoch: &fence.EpochNotice{SystemID: 7, Epoch: two}}); err != nil {
		t.Fatal(err)
	}
	if err := promote(); err != nil || server.times != 1 {
		t.Errorf("with the epoch durable: %v, promoted %d times", err, server.times)
	}
}
