package runbooks

import (
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
