package runbooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// memory is a journal in memory that fails from the nth record on.
type memory struct {
	recs   []Record
	failAt int
}

func (m *memory) Append(r Record) error {
	if m.failAt > 0 && len(m.recs)+1 >= m.failAt {
		return errors.New("input/output error")
	}
	m.recs = append(m.recs, r)
	return nil
}

// scripted is an operation of three steps, a, b and c, whose doings it notes.
type scripted struct {
	journal memory
	did     []string
	closed  []fence.Result
	steps   map[string]Step
	runner  *Runner
	op      *Operation
}

func newScripted() *scripted {
	s := &scripted{steps: map[string]Step{}}
	p := Plan{Kind: KindFence, Target: "db1", Owner: "db2"}
	for n, name := range []string{"a", "b", "c"} {
		p.Steps = append(p.Steps, StepLine{N: n + 1, Name: name, Limit: 5})
		s.steps[name] = Step{Guard: s.note("guard " + name), Verify: s.note("verify " + name), Undo: s.note("undo " + name),
			Act: func(context.Context, *Scribe) error { s.did = append(s.did, name); return nil }}
	}
	s.runner = &Runner{Journal: &s.journal, Now: time.Now,
		Close: func(_ context.Context, _ *Operation, r fence.Result) error {
			s.closed = append(s.closed, r)
			return nil
		}}
	s.op = NewOperation("fence-X", p, Request{By: "mario"}, nil)
	return s
}

func (s *scripted) note(what string) func(context.Context) error {
	return func(context.Context) error { s.did = append(s.did, what); return nil }
}

// set changes one step.
func (s *scripted) set(name string, change func(*Step)) *scripted {
	step := s.steps[name]
	change(&step)
	s.steps[name] = step
	return s
}

func (s *scripted) fails(name string, err error) *scripted {
	return s.set(name, func(st *Step) {
		st.Act = func(context.Context, *Scribe) error { s.did = append(s.did, name); return err }
	})
}

func (s *scripted) run(t *testing.T) error {
	t.Helper()
	if s.op.Len() == 0 {
		if err := s.runner.Open(s.op); err != nil {
			t.Fatal(err)
		}
	}
	return s.runner.Run(t.Context(), s.op, s.steps)
}

func (s *scripted) want(t *testing.T, did string, closed ...fence.Result) {
	t.Helper()
	if got := strings.Join(s.did, ", "); got != did {
		t.Errorf("did %s, want %s", got, did)
	}
	if !slices.Equal(s.closed, closed) {
		t.Errorf("closed as %v, want %v", s.closed, closed)
	}
}

func wantExit(t *testing.T, err error, exit int) Refusal {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) || r.Exit != exit {
		t.Fatalf("got %+v, want exit %d", err, exit)
	}
	return *r
}

var refused = &Refusal{Exit: ExitRefused, Rule: "2", Reason: "certainly not done"}

func TestRun_AllGoesWell(t *testing.T) {
	s := newScripted()
	if err := s.run(t); err != nil {
		t.Fatal(err)
	}
	s.want(t, "guard a, a, verify a, guard b, b, verify b, guard c, c, verify c", fence.ResultDone)
	var types []string
	for n, r := range s.journal.recs {
		types = append(types, string(r.Type)+r.Step)
		if r.Seq != n+1 || r.Operation != "fence-X" || r.Format != RecordFormat {
			t.Errorf("record %+v", r)
		}
	}
	// Rule 11: the intent before each act, its outcome after.
	if got := strings.Join(types, " "); got != "opened intenta outcomea intentb outcomeb intentc outcomec closed" {
		t.Errorf("journal: %s", got)
	}
	if result, closed := Replay(s.journal.recs).Closed(); !closed || result != fence.ResultDone {
		t.Errorf("replayed: %s, %v", result, closed)
	}
}

func TestRun_RefusalBeforeAnythingSticks_TakenBackNewestFirst(t *testing.T) {
	s := newScripted().fails("c", refused)
	if r := wantExit(t, s.run(t), ExitRefused); r.Rule != "2" {
		t.Errorf("rule %s", r.Rule)
	}
	s.want(t, "guard a, a, verify a, guard b, b, verify b, guard c, c, undo c, undo b, undo a", fence.ResultNotDone)
}

func TestRun_ErrorBeforeAnythingSticks_TakenBack_Exit1(t *testing.T) {
	s := newScripted().fails("b", errors.New("no space left on device"))
	if r := wantExit(t, s.run(t), ExitFailed); !strings.Contains(r.Reason, "no space") {
		t.Errorf("reason %q", r.Reason)
	}
	s.want(t, "guard a, a, verify a, guard b, b, undo b, undo a", fence.ResultNotDone)
	if r := s.op.Last(); r.Type != RecordClosed || r.Result != fence.ResultNotDone {
		t.Errorf("last record %+v", r)
	}
}

func TestRun_GuardRefuses_NothingIsActed(t *testing.T) {
	s := newScripted().set("b", func(st *Step) { st.Guard = func(context.Context) error { return refused } })
	wantExit(t, s.run(t), ExitRefused)
	s.want(t, "guard a, a, verify a, undo b, undo a", fence.ResultNotDone)
}

// A sticky step that has begun is not taken back: the operation stays open.
func TestRun_FailureAfterASticky_StopsPartWay(t *testing.T) {
	for name, err := range map[string]error{"an error": errors.New("timeout"), "a refusal": refused} {
		s := newScripted().set("a", func(st *Step) { st.Sticky = true }).fails("b", err)
		if r := wantExit(t, s.run(t), ExitPartWay); !strings.Contains(r.Hint, "ops resume fence-X") {
			t.Errorf("%s: hint %q", name, r.Hint)
		}
		s.want(t, "guard a, a, verify a, guard b, b")
		if _, closed := s.op.Closed(); closed || s.op.Last().Type != RecordStopped {
			t.Errorf("%s: last record %+v", name, s.op.Last())
		}
	}
}

// The sticky step itself: what is certainly not done is taken back, what nobody
// knows is not.
func TestRun_StickyStepFails(t *testing.T) {
	sticky := func(st *Step) { st.Sticky = true }
	s := newScripted().fails("b", refused).set("b", sticky)
	wantExit(t, s.run(t), ExitRefused)
	s.want(t, "guard a, a, verify a, guard b, b, undo b, undo a", fence.ResultNotDone)

	s = newScripted().fails("b", errors.New("connection reset")).set("b", sticky)
	wantExit(t, s.run(t), ExitPartWay)
	s.want(t, "guard a, a, verify a, guard b, b")

	s = newScripted().fails("b", &Refusal{Exit: ExitUnknown, Rule: "2", Reason: "nobody knows"}).set("b", sticky)
	wantExit(t, s.run(t), ExitUnknown)
	s.want(t, "guard a, a, verify a, guard b, b")
	if r, _ := s.op.newest(func(r Record) bool { return r.Type == RecordOutcome }); r.Result != fence.ResultUnknown {
		t.Errorf("outcome %+v", r)
	}
}

func TestRun_UndoFails_StaysOpen(t *testing.T) {
	s := newScripted().fails("c", refused).set("b", func(st *Step) { st.Undo = func(context.Context) error { return errors.New("read-only") } })
	if r := wantExit(t, s.run(t), ExitPartWay); !strings.Contains(r.Reason, "could not be taken back") {
		t.Errorf("reason %q", r.Reason)
	}
	s.want(t, "guard a, a, verify a, guard b, b, verify b, guard c, c, undo c")
}

// Rule 11: a journal that cannot be written stops the acting at once, at every
// single record, and nothing is acted that was not announced.
func TestRun_JournalFails_ActingStops(t *testing.T) {
	for at := 2; at <= 8; at++ {
		s := newScripted().set("a", func(st *Step) { st.Sticky = true })
		s.journal.failAt = at
		err := s.run(t)
		r := wantExit(t, err, map[bool]int{true: ExitUnknown, false: ExitPartWay}[at == 8])
		acts := 0
		for _, d := range s.did {
			if !strings.Contains(d, " ") {
				acts++
			}
		}
		announced := 0
		for _, rec := range s.journal.recs {
			if rec.Type == RecordIntent {
				announced++
			}
		}
		if r.Rule != "11" || acts > announced || strings.Contains(strings.Join(s.did, ","), "undo") || len(s.journal.recs) != at-1 {
			t.Errorf("record %d fails: %+v, did %v", at, r, s.did)
		}
	}
	s := newScripted()
	s.journal.failAt = 1
	if err := s.runner.Open(s.op); err == nil || s.op.Len() > 0 {
		t.Errorf("opened without a record: %v", err)
	}
}

// A crash between the durable end and the journal's last word closes it again.
func TestClose_Fails_StaysOpen(t *testing.T) {
	s := newScripted()
	s.runner.Close = func(context.Context, *Operation, fence.Result) error { return errors.New("disk full") }
	wantExit(t, s.run(t), ExitPartWay)
	if _, closed := s.op.Closed(); closed {
		t.Error("closed in the journal only")
	}
}

func TestRun_StepOverItsLimit_Ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScripted().set("b", func(st *Step) {
			st.Act = func(ctx context.Context, _ *Scribe) error { <-ctx.Done(); return ctx.Err() }
		})
		began := time.Now()
		wantExit(t, s.run(t), ExitFailed)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestRun_StepOfANewerVersion_Stops(t *testing.T) {
	s := newScripted()
	delete(s.steps, "c")
	wantExit(t, s.run(t), ExitPartWay)
	s.want(t, "guard a, a, verify a, guard b, b, verify b")
}

func TestNoWayBack(t *testing.T) {
	e := fence.Epoch{Number: 5, ID: "five", Primary: "db2"}
	open := fence.Durable{Node: "db2", Epoch: e, Intents: []fence.Intent{{Operation: "promote-X", Epoch: e}}}
	later := open
	later.Epoch = fence.Epoch{Number: 6, ID: "six", Primary: "db1"}
	forked := open
	forked.Epoch = fence.Epoch{Number: 5, ID: "other", Primary: "db1"}
	done := fence.Durable{Node: "db2", Epoch: e, Closed: []fence.Closed{{Operation: "promote-X", Result: fence.ResultDone}}}
	for name, c := range map[string]struct {
		kind       Kind
		begun      string
		own        fence.Durable
		recovering bool
		back       bool
	}{
		"before the epoch":              {KindPromote, StepFreeze, open, false, true},
		"promoted, or nobody knows":     {KindPromote, StepPromote, open, false, false},
		"release, promoted":             {KindRelease, StepPromote, open, false, false},
		"epoch made, still in recovery": {KindPromote, StepEpoch, open, true, true},
		"a later epoch was made":        {KindPromote, StepPromote, later, false, true},
		"another epoch of this number":  {KindPromote, StepPromote, forked, false, true},
		"the intent is gone":            {KindPromote, StepPromote, fence.Durable{Epoch: e}, false, true},
		"done, its end not told":        {KindPromote, StepClose, done, true, false},
		"an adoption":                   {KindAdopt, StepEpoch, open, false, true},
		"a fence":                       {KindFence, StepFence, open, false, true},
	} {
		recs := []Record{{Type: RecordIntent, Step: StepEpoch}, {Type: RecordIntent, Step: c.begun}}
		if c.begun == StepFreeze || c.begun == StepFence {
			recs = recs[1:]
		}
		op := NewOperation("promote-X", Plan{Kind: c.kind}, Request{}, recs)
		if why := NoWayBack(op, c.own, func() bool { return c.recovering }); (why == "") != c.back {
			t.Errorf("%s: %q", name, why)
		}
	}
}

func TestScribe_WhatIsNotedIsFound(t *testing.T) {
	s := newScripted().set("a", func(st *Step) {
		st.Act = func(_ context.Context, sc *Scribe) error {
			return errors.Join(sc.Note("seen %d", 1), sc.Figure("lost_bytes", 7), sc.Figure("lost_bytes", 9), sc.Fence(fence.Outcome{Node: "db1", Result: fence.ResultUnknown}))
		}
	})
	if err := s.run(t); err != nil {
		t.Fatal(err)
	}
	op := Replay(s.journal.recs)
	if v, found := op.Figure("lost_bytes"); !found || v != 9 {
		t.Errorf("figure %d, %v", v, found)
	}
	if op.FenceOutcome() != nil {
		t.Error("a fence of unknown outcome counts as proven")
	}
	if fmt.Sprint(op.Records(1)[1].Text) != "seen 1" {
		t.Errorf("records %+v", op.Records(1))
	}
}
