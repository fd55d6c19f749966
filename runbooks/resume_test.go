package runbooks

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// Resume runs only what is not done, from its guard.
func TestResume_RunsOnlyWhatIsNotDone(t *testing.T) {
	s := newScripted().set("a", func(st *Step) { st.Sticky = true })
	crash := errors.New("crash")
	func() {
		defer func() { _ = recover() }()
		s.runner.Failpoint = func(p string) {
			if p == "acted:b" {
				panic(crash)
			}
		}
		_ = s.run(t)
	}()
	s.want(t, "guard a, a, verify a, guard b, b, verify b")
	s.did, s.runner.Failpoint = nil, nil
	s.op = Replay(s.journal.recs)
	if err := s.runner.Resumed(s.op, Request{By: "anna"}); err != nil {
		t.Fatal(err)
	}
	if err := s.run(t); err != nil {
		t.Fatal(err)
	}
	s.want(t, "guard b, b, verify b, guard c, c, verify c", fence.ResultDone)
}

func TestResume_WhatWasAcceptedAnewIsKept(t *testing.T) {
	s := newScripted()
	if err := s.runner.Open(s.op); err != nil {
		t.Fatal(err)
	}
	n := uint64(500)
	for _, r := range []Request{{By: "anna", AcceptLossBytes: &n}, {By: "anna", AcceptLossUnknown: true, StatedOff: "db1"}, {By: "ugo"}} {
		if err := s.runner.Resumed(s.op, r); err != nil {
			t.Fatal(err)
		}
	}
	got := Replay(s.journal.recs).Request
	if got.AcceptLossBytes == nil || *got.AcceptLossBytes != 500 || !got.AcceptLossUnknown || got.StatedOff != "db1" || got.By != "anna" {
		t.Errorf("%+v", got)
	}
}

// A proof is read again when the operation is resumed, until the promotion is
// done; then the promotion is looked at again, and all that follows it.
func TestResume_FreshSteps(t *testing.T) {
	fresh := func(st *Step) { st.Fresh, st.Guard, st.Verify, st.Sticky = true, nil, nil, true }
	plain := func(st *Step) { st.Guard, st.Verify = nil, nil }
	for name, c := range map[string]struct{ stopped, resumed string }{
		"before the promotion": {"after", "fence, after, promote, verify, close"},
		"after the promotion":  {"verify", "promote, verify, close"},
		"while closing":        {"close", "close"},
	} {
		s := newScripted()
		s.op.Plan.Steps = nil
		for n, step := range []string{StepFence, "after", StepPromote, StepVerify, StepClose} {
			s.op.Plan.Steps = append(s.op.Plan.Steps, StepLine{N: n + 1, Name: step, Limit: 5})
			s.steps[step] = Step{Act: func(context.Context, *Scribe) error { s.did = append(s.did, step); return nil }}
			s.set(step, plain)
		}
		s.set(StepFence, fresh).set(StepPromote, fresh)
		act := s.steps[c.stopped].Act
		s.fails(c.stopped, errors.New("stop"))
		wantExit(t, s.run(t), ExitPartWay)
		s.set(c.stopped, func(st *Step) { st.Act = act })
		s.did = nil
		if err := s.runner.Resumed(s.op, Request{}); err != nil {
			t.Fatal(err)
		}
		if err := s.run(t); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.did, ", "); got != c.resumed {
			t.Errorf("%s: resume did %s, want %s", name, got, c.resumed)
		}
	}
}

// A proof that fails when it is read again stops the operation: what was proven
// once is not taken back because of it.
func TestResume_ProofFails_StaysOpen(t *testing.T) {
	s := newScripted().set("a", func(st *Step) { st.Fresh, st.Sticky = true, true }).fails("b", errors.New("stop"))
	wantExit(t, s.run(t), ExitPartWay)
	s.fails("a", refused)
	if err := s.runner.Resumed(s.op, Request{}); err != nil {
		t.Fatal(err)
	}
	wantExit(t, s.run(t), ExitPartWay)
	if len(s.closed) > 0 {
		t.Errorf("closed as %v", s.closed)
	}
}

func TestAbort_TakesBackAndCloses(t *testing.T) {
	s := newScripted().set("a", func(st *Step) { st.Sticky = true }).fails("b", errors.New("timeout"))
	wantExit(t, s.run(t), ExitPartWay)
	s.did = nil
	if err := s.runner.Abort(t.Context(), s.op, s.steps, "anna"); err != nil {
		t.Fatal(err)
	}
	s.want(t, "undo b, undo a", fence.ResultNotDone)
	if r, closed := s.op.Closed(); !closed || r != fence.ResultNotDone || !strings.Contains(s.op.Last().Text, "anna") {
		t.Errorf("last record %+v", s.op.Last())
	}
}
