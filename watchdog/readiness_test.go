package watchdog

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// outlet is a power device that counts how often it is asked.
type outlet struct {
	asked int
	err   error
}

func (o *outlet) Name() string { return "outlet" }
func (o *outlet) Off(context.Context, fence.Order) fence.Outcome {
	panic("readiness switches nothing off")
}
func (o *outlet) Status(context.Context, string) (fence.PowerState, fence.Evidence, error) {
	o.asked++
	return fence.PowerOn, fence.Evidence{Text: "on"}, o.err
}

// readyService is db2's, whose peer db1 has one power device.
func readyService(t *testing.T, o *outlet, now *time.Time) *Service {
	t.Helper()
	clock := func() time.Time { return *now }
	s := &Service{cfg: &config.Config{Node: "db2"}, readiness: newReadiness(), now: clock, log: zaptest.NewLogger(t)}
	s.fencer = &fencer{self: "db2", others: &others{}, now: clock, every: map[string][]time.Duration{"db1": {5 * time.Minute}},
		agents: map[string][]fence.Link{"db1": {{Device: o, Grade: fence.GradePower, Limit: time.Second}}}}
	s.ops = newOps(state.OpenJournal(filepath.Join(t.TempDir(), "ops")), s.log, clock)
	s.board = view.NewBoard("c", "db2", []view.NodeInfo{{Name: "db1"}, {Name: "db2"}}, *now)
	return s
}

func TestReadiness_PowerDevice_IsAskedAtItsIntervalAndSoonerWhileItFails(t *testing.T) {
	now, o := time.Now(), &outlet{}
	s := readyService(t, o, &now)
	ask := func(want int, ready bool) {
		t.Helper()
		facts := s.deviceFacts(t.Context(), "db1")["db1"]
		if o.asked != want || len(facts) != 2 || facts[0].Name != "peer" || facts[0].Ready || facts[1].Name != "outlet" || facts[1].Ready != ready {
			t.Fatalf("asked %d times, want %d: %+v", o.asked, want, facts)
		}
	}
	ask(1, true)
	now = now.Add(4 * time.Minute)
	ask(1, true)
	now = now.Add(time.Minute)
	o.err = errors.New("controller does not answer")
	ask(2, false)
	now = now.Add(time.Minute)
	ask(3, false) // it may have been mended
	o.err = nil
	ask(4, true)
	ask(4, true)
}

func TestReadiness_OperationRunsAnywhere_NothingIsAskedAndTheOldAnswerAges(t *testing.T) {
	now, o := time.Now(), &outlet{}
	s := readyService(t, o, &now)
	s.readiness.keep(now, []runbooks.Readiness{{Operation: "promote", Target: "db2", Gates: []runbooks.Gate{{Name: "state", OK: true}}}})
	now = now.Add(time.Minute)
	s.ops.current = &flight{op: runbooks.NewOperation("fence-X", runbooks.Plan{}, runbooks.Request{}, nil)}
	if s.checkReadiness(t.Context()) || o.asked != 0 {
		t.Errorf("checked beside an operation of its own; the device was asked %d times", o.asked)
	}
	s.ops.current = nil
	s.limits.Store(new(view.DefaultLimits()))
	s.board.Put(view.Report{Node: "db1", Boot: "b", Seq: 1, Operations: []view.OperationReport{{ID: "promote-Y", State: "running"}}}, now)
	if s.checkReadiness(t.Context()) || o.asked != 0 {
		t.Errorf("checked beside an operation of the other node; the device was asked %d times", o.asked)
	}
	if r := s.readiness.report(now); len(r) != 1 || r[0].Age != time.Minute || r[0].Checks != 1 {
		t.Errorf("%+v", r)
	}
	// One that has stopped is no reason to look away: then its being open fails.
	s.board.Put(view.Report{Node: "db1", Boot: "b", Seq: 2, Operations: []view.OperationReport{{ID: "promote-Y", State: "stopped"}}}, now)
	if s.operating() {
		t.Error("a stopped operation counts as running")
	}
}
