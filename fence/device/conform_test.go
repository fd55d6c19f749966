package device

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// behaviour is how the thing behind a device behaves in the conformance suite.
type behaviour string

const (
	behavesOK      behaviour = "ok"
	behavesSlowly  behaviour = "slow"          // effect after the answer
	comesLate      behaviour = "late-success"  // says failed, takes effect all the same
	lies           behaviour = "lie"           // says done, nothing happened
	fails          behaviour = "fail"          // refuses
	misunderstands behaviour = "bad-arguments" // answers a status that could be read as off
	cannotRead     behaviour = "status-fails"  // acts, but cannot be read back
	hangs          behaviour = "hang"
	hangsReading   behaviour = "status-hangs"
	missing        behaviour = "missing"
)

// expected is what every device must say, whatever it is made of.
var expected = map[behaviour]struct {
	done    bool
	results []fence.Result // allowed ones when not done
	slow    bool           // uses its limit up
}{
	behavesOK:      {done: true},
	behavesSlowly:  {done: true},
	comesLate:      {done: true},
	lies:           {results: []fence.Result{fence.ResultUnknown, fence.ResultNotDone}, slow: true},
	fails:          {results: []fence.Result{fence.ResultNotDone}},
	misunderstands: {results: []fence.Result{fence.ResultUnknown, fence.ResultNotDone}},
	cannotRead:     {results: []fence.Result{fence.ResultUnknown}, slow: true},
	hangs:          {results: []fence.Result{fence.ResultUnknown}, slow: true},
	hangsReading:   {results: []fence.Result{fence.ResultUnknown}, slow: true},
	missing:        {results: []fence.Result{fence.ResultNotDone}},
}

// conform holds a device, asked through the chain as in production, to the
// rules of all devices.
func conform(t *testing.T, grade fence.Grade, build map[behaviour]func(t *testing.T) fence.Device) {
	t.Helper()
	for b, make := range build {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			want := expected[b]
			limit := time.Minute
			if want.slow {
				limit = 6 * time.Second
			}
			d := make(t)
			if d.Name() == "" {
				t.Error("it has no name")
			}
			c := fence.Chain{
				Node: "db1", Observer: "db2", Now: time.Now,
				Links:        []fence.Link{{Device: d, Grade: grade, Limit: limit}},
				StillAnswers: func(context.Context) (bool, fence.Evidence) { return false, fence.Evidence{} },
			}
			out := c.Fence(t.Context(), agentOrder)
			if want.done {
				if out.Result != fence.ResultDone || out.Grade != grade || out.Problem != "" || out.Node != "db1" {
					t.Fatalf("got %s/%s: %s", out.Result, out.Grade, out.Problem)
				}
			} else {
				refuted(t, out, want.results)
			}
			if len(out.Evidence) == 0 {
				t.Error("it left no evidence")
			}
			for _, e := range out.Evidence {
				if e.Observer == "" || e.Text == "" || e.At.IsZero() {
					t.Errorf("evidence without observer, text or time: %+v", e)
				}
			}
		})
	}
}

func refuted(t *testing.T, out fence.Outcome, allowed []fence.Result) {
	t.Helper()
	if out.Grade != fence.GradeNone || out.Result == fence.ResultDone {
		t.Fatalf("a fence that is none: %s/%s", out.Result, out.Grade)
	}
	ok := false
	for _, r := range allowed {
		ok = ok || r == out.Result
	}
	if !ok {
		t.Errorf("result %s, want one of %v: %s", out.Result, allowed, out.Problem)
	}
	if !strings.Contains(out.Problem, "next: ") {
		t.Errorf("problem names nothing to do: %s", out.Problem)
	}
}

func TestConform_Agent(t *testing.T) {
	build := map[behaviour]func(*testing.T) fence.Device{}
	for b, mode := range map[behaviour]testenv.ShamMode{
		behavesOK: testenv.ShamOK, behavesSlowly: testenv.ShamSlow, lies: testenv.ShamLie, fails: testenv.ShamFail,
		cannotRead: testenv.ShamBlind, missing: testenv.ShamMissing,
	} {
		build[b] = func(t *testing.T) fence.Device {
			power := testenv.NewShamPower(t, mode, nil)
			power.Plug("db1", nil)
			return plugged(t, power, "db1")
		}
	}
	// What only an agent's exit statuses and hanging children can do.
	program := sham(t, "fence_sham")
	for _, b := range []behaviour{comesLate, misunderstands, hangs, hangsReading} {
		build[b] = func(t *testing.T) fence.Device { return newRig(t, program, string(b)).agent }
	}
	if len(build) != len(expected) {
		t.Fatalf("%d behaviours are tried, want all %d", len(build), len(expected))
	}
	conform(t, fence.GradePower, build)
}

// plugged is an agent for one plug of the switch.
func plugged(t *testing.T, power *testenv.ShamPower, plug string) *Agent {
	t.Helper()
	a, err := NewAgent(AgentOptions{Node: "db1", Program: power.Path(), Options: map[string]string{"plug": plug},
		Observer: "db2", Poll: 20 * time.Millisecond, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAgent_Missing_NamesThePackage(t *testing.T) {
	_, _, err := newRig(t, "fence_that_nobody_installed", "ok").agent.Status(t.Context(), "db1")
	if err == nil || !strings.Contains(err.Error(), "apt-get install fence-agents") {
		t.Fatalf("got %v", err)
	}
}

// peerNode is the other side of PeerClient: a node that seals itself or not.
type peerNode struct {
	behaviour behaviour
	marker    *fence.Marker
}

type notSent struct{ error }

func (notSent) NotSent() bool { return true }

func (p *peerNode) Seal(ctx context.Context, node string, o fence.Order) (fence.Outcome, error) {
	out := fence.Outcome{Node: node, Result: fence.ResultDone, Grade: fence.GradeSealed,
		Evidence: []fence.Evidence{{Observer: node, Text: "no process holds the data directory", At: time.Now()}}}
	switch p.behaviour {
	case missing:
		return fence.Outcome{}, notSent{errors.New("connection refused")}
	case hangs:
		<-ctx.Done()
		return fence.Outcome{}, ctx.Err()
	case fails:
		out.Result, out.Grade, out.Problem = fence.ResultNotDone, fence.GradeNone, "state directory is read-only"
		return out, nil
	case lies:
		return out, nil
	}
	p.marker = &fence.Marker{Operation: o.Operation, Kind: "promote", SetAt: time.Now()}
	return out, nil
}

func (p *peerNode) Marker(ctx context.Context, _ string) (*fence.Marker, error) {
	switch p.behaviour {
	case cannotRead:
		return nil, errors.New("connection reset")
	case hangsReading:
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return p.marker, nil
}

func TestConform_Peer(t *testing.T) {
	build := map[behaviour]func(*testing.T) fence.Device{}
	for _, b := range []behaviour{behavesOK, lies, fails, cannotRead, hangs, hangsReading, missing} {
		build[b] = func(*testing.T) fence.Device {
			return Peer{Client: &peerNode{behaviour: b}, Observer: "db2", Now: time.Now}
		}
	}
	conform(t, fence.GradeSealed, build)
}

func TestConform_Stated(t *testing.T) {
	conform(t, fence.GradeStated, map[behaviour]func(*testing.T) fence.Device{
		behavesOK: func(*testing.T) fence.Device { return Stated{Node: "db1", By: "mario", Now: time.Now} },
		fails:     func(*testing.T) fence.Device { return Stated{Node: "db2", By: "mario", Now: time.Now} },
		missing:   func(*testing.T) fence.Device { return Stated{Node: "db1", Now: time.Now} },
	})
}

func TestStated_EvidenceNamesWhoSaidIt(t *testing.T) {
	out := Stated{Node: "db1", By: "mario", Now: time.Now}.Off(t.Context(), agentOrder)
	if len(out.Evidence) != 1 || out.Evidence[0].Text != "mario stated that db1 is powered off" || out.Evidence[0].Observer != "mario" {
		t.Fatalf("got %+v", out.Evidence)
	}
	if s, _, _ := (Stated{Node: "db1", By: "mario", Now: time.Now}).Status(t.Context(), "db1"); s != fence.PowerUnknown {
		t.Fatalf("a word is read as %s", s)
	}
}

// answering is a peer whose answer a test writes down.
type answering struct{ out fence.Outcome }

func (a answering) Seal(context.Context, string, fence.Order) (fence.Outcome, error) {
	return a.out, nil
}
func (a answering) Marker(context.Context, string) (*fence.Marker, error) { return nil, nil }

func TestPeer_AnswerThatCannotBe_NotBelieved(t *testing.T) {
	for name, out := range map[string]fence.Outcome{
		"other node":     {Node: "db9", Result: fence.ResultDone, Grade: fence.GradeSealed},
		"power by word":  {Node: "db1", Result: fence.ResultDone, Grade: fence.GradePower},
		"done, no grade": {Node: "db1", Result: fence.ResultDone},
		"grade, unknown": {Node: "db1", Result: fence.ResultUnknown, Grade: fence.GradeSealed, EndOfWAL: &fence.EndOfWAL{LSN: 1}},
	} {
		got := Peer{Client: answering{out}, Observer: "db2", Now: time.Now}.Off(t.Context(), agentOrder)
		if got.Result == fence.ResultDone || got.Grade != fence.GradeNone || got.EndOfWAL != nil || got.Node != "db1" {
			t.Errorf("%s: believed %+v", name, got)
		}
	}
}
