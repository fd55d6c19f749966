package story

import (
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// TestRule2_StatedOff_OnRecordWithWhoAndHoldsWhenItComesBack has no device at
// all: the operator's word is the fence.
func TestRule2_StatedOff_OnRecordWithWhoAndHoldsWhenItComesBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.ledger()
	s.killService("db1")
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")
	a := s.wants(5, "db2", "promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown")
	if !strings.Contains(a.out+a.err, "--i-have-powered-off db1") {
		t.Errorf("the way out is not printed: %s", a)
	}
	stated := []string{"--accept-data-loss", "unknown", "--i-have-powered-off", "db1"}
	p := s.plan("db2", append([]string{"promote"}, stated...)...)
	if p.Refusal != nil || p.Fence.Grade != fence.GradeStated || p.Phrase != "I have powered off db1" {
		t.Fatalf("plan: %+v, fence %+v, phrase %q", p.Refusal, p.Fence, p.Phrase)
	}
	a = s.wants(5, "db2", "promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown", "--i-have-powered-off", "db2")
	if !strings.Contains(a.out+a.err, "rule 2") {
		t.Errorf("a word about the other node: %s", a)
	}
	// At a terminal the weak fence asks for a sentence, not for a word.
	byHand := append([]string{"promote", "--confirm"}, stated...)
	for _, typed := range [][]string{{"db1"}, {"db2", "unknown", "yes"}, {"db2", "unknown", "I have powered off db2"}, {"db2", "", ""}} {
		if a := s.atTerminal("db2", typed, byHand...); a.exit != 6 {
			t.Errorf("typed %q: want exit 6, got %s", typed, a)
		}
	}
	s.none("db2", runbooks.KindPromote)
	s.readOnly("db2")
	if a := s.atTerminal("db2", []string{"db2", "unknown", p.Phrase}, byHand...); a.exit != 0 {
		t.Fatalf("typed rightly: %s", a)
	}
	op := s.newest("db2", runbooks.KindPromote)
	o := runbooks.Replay(s.journal("db2", op.ID))
	f := o.FenceOutcome()
	if f == nil || f.Grade != fence.GradeStated || o.Request.StatedOff != "db1" || o.Request.By == "" {
		t.Fatalf("on record: fence %+v, request %+v", f, o.Request)
	}
	said := ""
	for _, e := range f.Evidence {
		said += e.Text + "\n"
	}
	if !strings.Contains(said, o.Request.By) {
		t.Errorf("the evidence does not say who (%s): %s", o.Request.By, said)
	}
	s.writable("db2")
	s.awaitWriter(l, "db2")
	s.compare(l, "db2")
	s.oldPrimaryComesBack(l, false)
}

// TestRule2_StatedOffButItsSessionsStillCommit_Refused has an operator who
// switched off another machine: the postmaster of the old primary hangs, its
// service is dead, and its sessions go on committing.
func TestRule2_StatedOffButItsSessionsStillCommit_Refused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.ledger()
	s.killService("db1")
	s.stopWalsenders("db1", false)
	testenv.StopPostmaster(t, s.Pair.Server("db1"))
	s.awaitCondition("db2", "NoPrimary")
	a := s.watchdog("db2", "promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown", "--i-have-powered-off", "db1")
	if a.exit != 5 && a.exit != 8 {
		t.Errorf("want exit 5 or 8, got %s", a)
	}
	s.readOnly("db2")
	testenv.AwaitAcks(t, l, 50)
	testenv.Continue(t, s.Pair.Server("db1"))
	s.writable("db1")
	if r := s.compare(l, "db1"); len(r.Tenures) != 1 {
		t.Errorf("who acknowledged: %+v, want db1 alone", r.Tenures)
	}
}
