package runbooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// fakeApps writes down what was asked of the application, and fails as told.
type fakeApps struct {
	asked  []string
	stop   error
	start  error
	health error
}

func (a *fakeApps) Stop(_ context.Context, node, operation string) error {
	a.asked = append(a.asked, "stop "+node+" for "+operation)
	return a.stop
}

func (a *fakeApps) Start(_ context.Context, node, operation string) error {
	a.asked = append(a.asked, "start "+node+" for "+operation)
	return a.start
}

func (a *fakeApps) Healthy(context.Context) error {
	a.asked = append(a.asked, "healthy")
	return a.health
}

func stepNames(p Plan) []string {
	var names []string
	for _, l := range p.Steps {
		names = append(names, l.Name)
	}
	return names
}

func managed(f *Facts) {
	f.App = AppFact{Containers: []string{"shop/web"}, HealthURL: "http://shop/api/health", Within: 30}
}

// The application goes before its database does, and comes when commits work.
func TestPlanPromote_ApplicationIsManaged_StoppedBeforeTheFenceStartedAfterACommit(t *testing.T) {
	names := stepNames(PlanPromote(pairFacts(managed), Request{}, "p"))
	at := func(name string) int { return slices.Index(names, name) }
	if !(at(StepIntent) < at(StepStopApp) && at(StepStopApp) < at(StepFence)) {
		t.Errorf("stop-app stands at %d of %v", at(StepStopApp), names)
	}
	if !(at(StepCommit) < at(StepStartApp) && at(StepStartApp) < at(StepCheckpoint)) {
		t.Errorf("start-app stands at %d of %v", at(StepStartApp), names)
	}
	if names := stepNames(PlanPromote(pairFacts(), Request{}, "p")); slices.Contains(names, StepStopApp) || slices.Contains(names, StepStartApp) {
		t.Errorf("steps for an application that nobody configured: %v", names)
	}
}

// appRun carries out the application's steps of a promotion of db2 around a
// fence that is a no-op.
func appRun(t *testing.T, a *fakeApps, fenceErr error) (*Operation, error) {
	t.Helper()
	c := newCluster()
	d := c.deps("db2", fence.Outcome{})
	d.Apps = a
	o := NewOperation("op", Plan{ID: "op", Kind: KindPromote, Epoch: epochOne, Owner: "db2", Target: "db2", Fence: FencePlan{Node: "db1"},
		Steps: number(slices.Concat([]StepLine{{Name: StepIntent, Limit: 5}}, stopAppLine(AppFact{Containers: []string{"shop/web"}}, "db1"),
			[]StepLine{{Name: StepFence, Limit: 5}}, startAppLine(AppFact{Containers: []string{"shop/web"}}, "db2")))}, Request{By: "ada"}, nil)
	steps := map[string]Step{StepIntent: d.intentStep(o), StepStopApp: d.stopAppStep(o, "db1"), StepStartApp: d.startAppStep(o),
		StepFence: {Act: func(context.Context, *Scribe) error { return fenceErr }}}
	r := &Runner{Journal: &memory{}, Now: d.Now, Close: d.Closer()}
	if err := r.Open(o); err != nil {
		t.Fatal(err)
	}
	return o, r.Run(t.Context(), o, steps)
}

func noteOf(o *Operation, step string) string {
	r, _ := o.newest(func(r Record) bool { return r.Type == RecordNote && r.Step == step })
	return r.Text
}

func TestStopApp_HostIsSilentOrRefuses_NotedAndPassedOver(t *testing.T) {
	for name, err := range map[string]error{"silent": fmt.Errorf("%w: no route", ErrNotReached), "refuses": errors.New("no such container")} {
		a := &fakeApps{stop: err}
		o, err := appRun(t, a, nil)
		if err != nil || !slices.Equal(a.asked, []string{"stop db1 for op", "start db2 for op", "healthy"}) {
			t.Errorf("%s: %v, asked %v", name, err, a.asked)
		}
		if !strings.Contains(noteOf(o, StepStopApp), "was not stopped") {
			t.Errorf("%s: the journal says %q", name, noteOf(o, StepStopApp))
		}
	}
}

func TestStopApp_FenceRefuses_ApplicationIsStartedAgainWhereItWas(t *testing.T) {
	a := &fakeApps{}
	_, err := appRun(t, a, &Refusal{Exit: ExitRefused, Rule: "2", Reason: "not fenced", Hint: "x"})
	var ref *Refusal
	if !errors.As(err, &ref) || ref.Exit != ExitRefused || !slices.Equal(a.asked, []string{"stop db1 for op", "start db1 for op"}) {
		t.Errorf("%v, asked %v", err, a.asked)
	}
}

func TestStartApp_DoesNotStartOrStaysIll_StepFailsWithTheReason(t *testing.T) {
	for name, a := range map[string]*fakeApps{"start": {start: errors.New("no image")}, "health": {health: errors.New("status 503")}} {
		_, err := appRun(t, a, nil)
		if err == nil || !(strings.Contains(err.Error(), "no image") || strings.Contains(err.Error(), "status 503")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
