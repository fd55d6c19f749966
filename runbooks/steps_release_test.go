package runbooks

import (
	"context"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// Rule 5: an adoption reaches both servers or says that it did not; the partner
// comes first, so that its refusal leaves nothing changed.
func TestAdoptRule5_BothOrNot(t *testing.T) {
	run := func(change func(*cluster)) (*cluster, *Operation, error) {
		c := newCluster()
		for _, n := range []string{"db1", "db2", "w1"} {
			c.change(n, func(d *fence.Durable) { *d = fence.Durable{Node: n} })
		}
		change(c)
		p := Plan{Kind: KindAdopt, Target: "db1", Other: "db2", Owner: "db1", SystemID: 7}
		for n, name := range []string{StepLock, StepIntent, StepEpoch} {
			p.Steps = append(p.Steps, StepLine{N: n + 1, Name: name, Limit: 5})
		}
		op := NewOperation("adopt-X", p, Request{}, nil)
		d := c.deps("db1", sealed)
		r := &Runner{Journal: &memory{}, Now: time.Now, Close: d.Closer()}
		return c, op, r.Run(t.Context(), op, AdoptSteps(d, op))
	}
	c, _, err := run(func(*cluster) {})
	if a, b, w := c.of("db1"), c.of("db2"), c.of("w1"); err != nil || a.Role != replication.RolePrimary || b.Role != replication.RoleStandby || !a.Epoch.Same(b.Epoch) || !w.Epoch.Same(a.Epoch) {
		t.Errorf("%v: %+v, %+v, %+v", err, a, b, w)
	}
	if c, _, err = run(func(c *cluster) { c.silent["w1"] = true }); err != nil || c.of("db2").Epoch.Zero() {
		t.Errorf("an absent witness: %v", err)
	}
	c, op, err := run(func(c *cluster) { c.silent["db2"] = true })
	wantExit(t, err, ExitPartWay)
	if _, closed := op.Closed(); closed || !c.of("db1").Epoch.Zero() {
		t.Errorf("a partner that fell silent was left out: %+v", c.of("db1"))
	}
	c, op, err = run(func(c *cluster) { c.change("db2", func(d *fence.Durable) { d.SystemID = 99 }) })
	wantExit(t, err, ExitRefused)
	if result, closed := op.Closed(); !closed || result != fence.ResultNotDone || !c.of("db1").Epoch.Zero() {
		t.Errorf("a partner with other data: closed %v, %+v", closed, c.of("db1"))
	}
	c, _, err = run(func(c *cluster) {
		c.change("db2", func(d *fence.Durable) { d.SystemID, d.Epoch = 7, fence.Epoch{Number: 6, ID: "six", Primary: "db2"} })
	})
	if err != nil || c.of("db2").Epoch.Number != 7 || c.of("db2").Role != replication.RoleStandby {
		t.Errorf("the way back after work by hand: %v, %+v", err, c.of("db2"))
	}
}

// The epoch is durable here when the others hear of it: a refusal there is no
// proof that nothing was changed, and a node that was never adopted has no say.
func TestEpochStepRule5_OthersRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		witness func(*fence.Durable)
		goesOn  bool
	}{
		"never adopted":   {func(d *fence.Durable) { d.Epoch, d.SystemID = fence.Epoch{}, 0 }, true},
		"a later epoch":   {func(d *fence.Durable) { d.Epoch = fence.Epoch{Number: 9, ID: "nine", Primary: "db1"} }, false},
		"another cluster": {func(d *fence.Durable) { d.SystemID = 99 }, false},
	} {
		cl := newCluster()
		r, op, _ := cl.fenceOp("db2", "promote-X", sealed, Request{})
		op.Plan.Kind, op.Plan.Target = KindPromote, "db2"
		op.Plan.Steps = []StepLine{{N: 1, Name: StepIntent, Limit: 5}, {N: 2, Name: "then", Limit: 5}, {N: 3, Name: StepEpoch, Limit: 5}}
		d := cl.deps("db2", sealed)
		steps := PromoteSteps(d, op)
		steps["then"] = Step{Act: func(context.Context, *Scribe) error { cl.change("w1", c.witness); return nil }}
		err := r.Run(t.Context(), op, steps)
		if c.goesOn != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			wantExit(t, err, ExitPartWay)
		}
		if own := cl.of("db2"); !own.Epoch.Same(fence.Epoch{Number: 2, ID: "two"}) || own.Role != replication.RolePrimary {
			t.Errorf("%s: own epoch %+v", name, own.Epoch)
		}
	}
}

// Rule 6: a fence that arrived after the plan of a release is not lifted by it.
func TestReleaseRule6_FencedMeanwhile_IsNotLifted(t *testing.T) {
	c := newCluster()
	c.change("db1", func(d *fence.Durable) {
		d.Marker = &fence.Marker{Operation: "fence-old"}
		d.Intents = []fence.Intent{{Operation: "release-X", Kind: "release", Owner: "db1", Target: "db1"}}
	})
	op := NewOperation("release-X", Plan{Kind: KindRelease, Target: "db1", Other: "db2", Epoch: epochOne, Lifts: holding(c.of("db1"))}, Request{}, nil)
	lift := ReleaseSteps(c.deps("db1", sealed), op)[StepLift]
	if err := lift.Guard(t.Context()); err != nil {
		t.Errorf("what was planned: %v", err)
	}
	c.change("db1", func(d *fence.Durable) { d.Marker = &fence.Marker{Operation: "promote-new"} })
	wantExit(t, lift.Guard(t.Context()), ExitRefused)
	c.change("db1", func(d *fence.Durable) {
		d.Marker, d.Orders = nil, []fence.Order{{Operation: "promote-new", Node: "db1"}}
	})
	wantExit(t, lift.Guard(t.Context()), ExitRefused)
}

// Rule 4: the other node's answer proves something only while it holds this
// release's intent.
func TestReleaseRule4_OtherProvesItself(t *testing.T) {
	intent := fence.Intent{Operation: "release-X", Kind: "release", Owner: "db1", Target: "db1", Epoch: fence.Epoch{Number: 2, ID: "two", Primary: "db1"}}
	for name, c := range map[string]struct {
		other func(*cluster)
		ok    bool
	}{
		"a standby that holds the intent": {func(c *cluster) { c.change("db2", func(d *fence.Durable) { d.Intents = []fence.Intent{intent} }) }, true},
		"a standby that was not told yet": {func(*cluster) {}, true}, // it is told now
		"a standby in another's operation": {func(c *cluster) {
			c.change("db2", func(d *fence.Durable) { d.Lock = &fence.Lock{Operation: "promote-Y", Owner: "db2"} })
		}, false},
		"silent": {func(c *cluster) { c.silent["db2"] = true }, false},
		"a later epoch": {func(c *cluster) {
			c.change("db2", func(d *fence.Durable) { d.Epoch = fence.Epoch{Number: 9, ID: "nine", Primary: "db2"} })
		}, false},
		"a durable primary": {func(c *cluster) { c.change("db2", func(d *fence.Durable) { d.Role = replication.RolePrimary }) }, false},
	} {
		cl := newCluster()
		cl.change("db1", func(d *fence.Durable) { d.Intents = []fence.Intent{intent} })
		c.other(cl)
		op := NewOperation("release-X", Plan{Kind: KindRelease, Target: "db1", Other: "db2", Epoch: epochOne}, Request{}, nil)
		r := &Runner{Journal: &memory{}, Now: time.Now}
		err := ReleaseSteps(cl.deps("db1", sealed), op)[StepProof].Act(t.Context(), &Scribe{r: r, o: op})
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if _, holds := cl.of("db2").OpenIntent("release-X"); c.ok && !holds {
			t.Errorf("%s: it does not hold the intent", name)
		}
	}
}
