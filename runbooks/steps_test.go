package runbooks

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// cluster is the durable state of several nodes that hear each other, unless
// one is silent or refuses.
type cluster struct {
	mu      sync.Mutex
	state   map[string]fence.Durable
	silent  map[string]bool
	refuses map[string]error
}

var epochOne = fence.Epoch{Number: 1, ID: "one", Primary: "db1"}

func newCluster() *cluster {
	c := &cluster{state: map[string]fence.Durable{}, silent: map[string]bool{}, refuses: map[string]error{}}
	for _, n := range []string{"db1", "db2", "w1"} {
		c.state[n] = fence.Durable{Node: n, SystemID: 7, DataDirectory: "/d", Epoch: epochOne, Role: replication.RoleStandby}
	}
	d := c.state["db1"]
	d.Role = replication.RolePrimary
	c.state["db1"] = d
	return c
}

func (c *cluster) apply(node string, n fence.Notice) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.state[node].Apply(n)
	if err == nil {
		c.state[node] = d
	}
	return err
}

func (c *cluster) of(node string) fence.Durable {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state[node]
}

func (c *cluster) change(node string, f func(*fence.Durable)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.state[node]
	f(&d)
	c.state[node] = d
}

// view is the cluster as one node's service reaches it.
type view struct {
	*cluster
	self string
	out  func() fence.Outcome
}

func (v view) Read() (fence.Durable, error) { return v.of(v.self), nil }

func (v view) Apply(n fence.Notice) error { return v.apply(v.self, n) }

func (v view) Names() []string {
	return slices.DeleteFunc([]string{"w1", "db2", "db1"}, func(n string) bool { return n == v.self })
}

func (v view) Tell(_ context.Context, node string, n fence.Notice) error {
	runtime.Gosched() // a call over the network lets others go first
	v.mu.Lock()
	silent, refuses := v.silent[node], v.refuses[node]
	v.mu.Unlock()
	switch {
	case silent:
		return fmt.Errorf("%w: no route", ErrNotReached)
	case refuses != nil && n.Unlock == nil && n.Closed == nil:
		return refuses
	}
	return Applied(v.apply(node, n))
}

func (v view) Answer(_ context.Context, node string) (NodeFacts, error) {
	if v.silent[node] {
		return NodeFacts{}, ErrNotReached
	}
	d := v.of(node)
	return NodeFacts{Node: node, Answers: true, Durable: &d, RunningKnown: true}, nil
}

func (v view) Fence(context.Context, fence.Order, string) fence.Outcome { return v.out() }

func (c *cluster) deps(self string, out fence.Outcome) Deps {
	v := view{c, self, func() fence.Outcome { return out }}
	return Deps{Self: self, State: v, Others: v, Fencer: v, Now: time.Now, Random: func() string { return "two" },
		Exclusive: func() func() { return func() {} }, SlotName: func(n string) string { return n }}
}

// fenceOp is a fence of db1 by self, up to the point where it is carried out.
func (c *cluster) fenceOp(self, id string, out fence.Outcome, r Request) (*Runner, *Operation, map[string]Step) {
	p := Plan{Kind: KindFence, Target: "db1", Owner: self, Epoch: epochOne, Fence: FencePlan{Node: "db1", Grade: fence.GradeSealed}}
	for n, name := range []string{StepLock, StepIntent, StepFence, StepClose} {
		p.Steps = append(p.Steps, StepLine{N: n + 1, Name: name, Limit: 5})
	}
	op := NewOperation(id, p, r, nil)
	d := c.deps(self, out)
	return &Runner{Journal: &memory{}, Now: time.Now, Close: d.Closer()}, op, FenceSteps(d, op)
}

func (c *cluster) free(t *testing.T) {
	t.Helper()
	for _, n := range []string{"db1", "db2", "w1"} {
		if d := c.of(n); d.Lock != nil || len(d.Intents) > 0 {
			t.Errorf("%s still holds lock %+v, intents %+v", n, d.Lock, d.Intents)
		}
	}
}

var sealed = fence.Outcome{Node: "db1", Result: fence.ResultDone, Grade: fence.GradeSealed, Device: "peer"}

// Rule 10: of two operators who start at once, one wins or none, and nothing is
// left locked by the one that did not.
func TestLockRule10_TwoOperatorsAtOnce(t *testing.T) {
	both, one, none := 0, 0, 0
	for range 300 {
		c := newCluster()
		errs := [2]error{}
		var wg sync.WaitGroup
		start := make(chan struct{})
		for n, self := range []string{"db2", "w1"} {
			r, op, steps := c.fenceOp(self, "fence-"+self, sealed, Request{})
			steps = map[string]Step{StepLock: steps[StepLock], StepIntent: steps[StepIntent]}
			op.Plan.Steps = op.Plan.Steps[:2]
			hold := r.Close
			r.Close = func(ctx context.Context, o *Operation, res fence.Result) error { // who has won keeps it
				if res == fence.ResultDone {
					return nil
				}
				return hold(ctx, o, res)
			}
			wg.Go(func() { <-start; errs[n] = r.Run(t.Context(), op, steps) })
		}
		close(start)
		wg.Wait()
		switch won := (errs[0] == nil) != (errs[1] == nil); {
		case won:
			one++
			winner := map[bool]string{true: "fence-db2", false: "fence-w1"}[errs[0] == nil]
			for _, n := range []string{"db1", "db2", "w1"} {
				if d := c.of(n); d.Lock == nil || d.Lock.Operation != winner || len(d.Intents) != 1 {
					t.Fatalf("%s won, %s holds %+v and %+v", winner, n, d.Lock, d.Intents)
				}
			}
		case errs[0] == nil:
			both++
		default:
			none++
			c.free(t)
		}
		for _, err := range errs {
			if err != nil {
				wantExit(t, err, ExitLocked)
			}
		}
	}
	t.Logf("one won %d times, none %d times", one, none)
	if both > 0 {
		t.Errorf("both won %d times", both)
	}
}

// A node that answers and refuses stops the operation, and nothing stays behind,
// on whichever node and in whichever step.
func TestStepsRule10_ANodeRefuses_EverythingIsGivenBack(t *testing.T) {
	for _, node := range []string{"db1", "w1"} {
		for name, refusal := range map[string]error{
			"a refusal":           &Refusal{Exit: ExitLocked, Rule: "10", Reason: "another operation is open"},
			"an error of its own": errors.New("fence.json: is damaged"),
		} {
			c := newCluster()
			c.refuses[node] = refusal
			r, op, steps := c.fenceOp("db2", "fence-X", sealed, Request{})
			err := r.Run(t.Context(), op, steps)
			if err == nil {
				t.Fatalf("%s by %s: went on", name, node)
			}
			c.free(t)
			if result, closed := op.Closed(); !closed || result != fence.ResultNotDone {
				t.Errorf("%s by %s: %s, closed %v", name, node, result, closed)
			}
		}
	}
	c := newCluster() // it refuses the intent, after it gave the lock
	c.change("w1", func(d *fence.Durable) { d.Epoch = fence.Epoch{Number: 9, ID: "nine", Primary: "db1"} })
	r, op, steps := c.fenceOp("db2", "promote-X", sealed, Request{})
	op.Plan.Kind, op.Plan.Target = KindPromote, "db2"
	wantExit(t, r.Run(t.Context(), op, steps), ExitRefused)
	c.free(t)
}

// A silent node is passed over and noted; it hears of the end when it is back.
func TestStepsRule3_ASilentNode_IsNotedAndPassedOver(t *testing.T) {
	c := newCluster()
	c.silent["w1"] = true
	r, op, steps := c.fenceOp("db2", "fence-X", sealed, Request{})
	if err := r.Run(t.Context(), op, steps); err != nil {
		t.Fatal(err)
	}
	_, noted := op.newest(func(r Record) bool { return r.Type == RecordNote && strings.Contains(r.Text, "w1 was not told") })
	if !noted {
		t.Error("nobody noted that w1 was not told")
	}
	c.free(t)
}

// Rule 3: the intent is durable here and on every reachable node before the fence
// begins; rule 6: so is the order.
func TestStepsRule3_IntentAndOrderComeBeforeTheFence(t *testing.T) {
	c := newCluster()
	d := c.deps("db2", sealed)
	seen := 0
	d.Fencer = view{c, "db2", func() fence.Outcome {
		for _, n := range []string{"db1", "db2", "w1"} {
			_, open := c.of(n).OpenIntent("fence-X")
			_, stands := c.of(n).StandingOrder("db1")
			if open && stands {
				seen++
			}
		}
		return sealed
	}}
	r, op, _ := c.fenceOp("db2", "fence-X", sealed, Request{})
	if err := r.Run(t.Context(), op, FenceSteps(d, op)); err != nil || seen != 3 {
		t.Errorf("%d nodes held intent and order when the fence began (%v)", seen, err)
	}
}

// Rule 2: only a proof counts for a fence, and nothing weaker than was confirmed.
func TestFenceStepRule2_TakesOnlyAProof(t *testing.T) {
	for name, c := range map[string]struct {
		out  fence.Outcome
		req  Request
		exit int
		open bool
	}{
		"sealed":                           {sealed, Request{}, ExitDone, false},
		"surer than planned":               {fence.Outcome{Result: fence.ResultDone, Grade: fence.GradePower}, Request{}, ExitDone, false},
		"certainly not done":               {fence.Outcome{Result: fence.ResultNotDone}, Request{}, ExitRefused, false},
		"nobody knows":                     {fence.Outcome{Result: fence.ResultUnknown}, Request{}, ExitUnknown, true},
		"certainly not done, with a grade": {fence.Outcome{Result: fence.ResultNotDone, Grade: fence.GradePower}, Request{}, ExitRefused, false},
		"done, and no grade":               {fence.Outcome{Result: fence.ResultDone}, Request{}, ExitRefused, false},
		"unknown with a grade":             {fence.Outcome{Result: fence.ResultUnknown, Grade: fence.GradePower}, Request{}, ExitUnknown, true},
		"weaker than confirmed":            {fence.Outcome{Result: fence.ResultDone, Grade: fence.GradeIsolated}, Request{}, ExitUnknown, true},
		"weaker, but stated by a person":   {fence.Outcome{Result: fence.ResultDone, Grade: fence.GradeStated}, Request{StatedOff: "db1", By: "anna"}, ExitDone, false},
		"weaker, another node was stated":  {fence.Outcome{Result: fence.ResultDone, Grade: fence.GradeStated}, Request{StatedOff: "db2", By: "anna"}, ExitUnknown, true},
		"the zero value":                   {fence.Outcome{}, Request{}, ExitUnknown, true},
	} {
		t.Run(name, func(t *testing.T) {
			cl := newCluster()
			c.out.Node = "db1"
			r, op, steps := cl.fenceOp("db2", "fence-X", c.out, c.req)
			err := r.Run(t.Context(), op, steps)
			if c.exit == ExitDone {
				if err != nil {
					t.Fatal(err)
				}
			} else {
				wantExit(t, err, c.exit)
			}
			_, closed := op.Closed()
			_, open := cl.of("db1").OpenIntent("fence-X")
			_, stands := cl.of("w1").StandingOrder("db1")
			if closed == c.open || open != c.open || (!c.open && stands) {
				t.Errorf("closed %v, intent open %v, order stands %v", closed, open, stands)
			}
		})
	}
}

// Rule 6: a fence, an abort or a later epoch takes the right to go on away, at
// every step after the intent.
func TestTokenRule6_IsTakenAway(t *testing.T) {
	takes := map[string]func(*fence.Durable){
		"a fence":           func(d *fence.Durable) { d.Marker = &fence.Marker{Operation: "fence-Y"} },
		"an order":          func(d *fence.Durable) { d.Orders = append(d.Orders, fence.Order{Operation: "fence-Y", Node: "db2"}) },
		"an abort":          func(d *fence.Durable) { d.Intents = nil },
		"a later epoch":     func(d *fence.Durable) { d.Epoch = fence.Epoch{Number: 9, ID: "nine", Primary: "db1"} },
		"a fork of its own": func(d *fence.Durable) { d.Epoch = fence.Epoch{Number: 2, ID: "other", Primary: "db1"} },
	}
	for name, take := range takes {
		c := newCluster()
		r, op, all := c.fenceOp("db2", "promote-X", sealed, Request{AcceptLossUnknown: true})
		op.Plan.Kind, op.Plan.Target = KindPromote, "db2"
		op.Plan.Steps = op.Plan.Steps[:2]
		r.Close = func(context.Context, *Operation, fence.Result) error { return nil }
		if err := r.Run(t.Context(), op, all); err != nil {
			t.Fatal(err)
		}
		c.change("db2", take)
		steps := PromoteSteps(c.deps("db2", sealed), op)
		for _, step := range []string{StepFence, StepLoss, StepReplay, StepFreeze, StepSlot, StepEpoch, StepPromote, StepVerify} {
			s := steps[step]
			err := error(nil)
			if s.Guard != nil {
				err = s.Guard(t.Context())
			} else {
				err = s.Act(t.Context(), &Scribe{r: r, o: op})
			}
			if got := wantExit(t, err, ExitRefused); got.Rule != "6" && got.Rule != "5" {
				t.Errorf("%s, step %s: %+v", name, step, got)
			}
		}
		if d := c.of("db1"); d.Marker != nil || !d.Epoch.Same(epochOne) {
			t.Errorf("%s: acted on db1: %+v", name, d)
		}
	}
}
