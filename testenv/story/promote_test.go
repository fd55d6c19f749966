package story

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// TestStory_PrimaryDies_OperatorPromotes_OldPrimaryStaysReadOnly is the story
// that `make demo` tells, judged by the ledger.
func TestStory_PrimaryDies_OperatorPromotes_OldPrimaryStaysReadOnly(t *testing.T) {
	s := newSite(t, synchronous)
	l := s.ledger()
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")
	s.awaitMail("NoPrimary")

	p := s.plan("db2", "promote")
	if p.Refusal != nil || p.Target != "db2" || p.Fence.Node != "db1" || p.Fence.Grade.String() != "sealed" {
		t.Fatalf("plan: %+v", p)
	}
	if n := p.Loss.AtMostBytes; n == nil || *n != 0 {
		t.Errorf("a synchronous standby proves that nothing is lost; plan says %+v", p.Loss)
	}
	s.wants(0, "db2", "promote", "--confirm=db2", "--plan="+p.ID, "--no-input", "--reason", "story")
	if in, err := s.inRecovery("db2"); err != nil || in {
		t.Fatalf("db2 in recovery: %v, %v", in, err)
	}
	s.awaitWriter(l, "db2")

	out, err := s.startThroughGate("db1")
	if err != nil || !strings.Contains(out, "isolated-standby") {
		t.Fatalf("start of the old primary: %v: %s", err, out)
	}
	if in, err := s.inRecovery("db1"); err != nil || !in {
		t.Fatalf("the old primary is writable: %v, %v", in, err)
	}
	h := s.wants(0, "db2", "history")
	if !strings.Contains(h.out, "promote") || !strings.Contains(h.out, "story") {
		t.Errorf("history does not tell who and why:\n%s", h.out)
	}
	s.judge(l, "db2", 0)
	again := s.wants(0, "db2", "promote", "--confirm=db2", "--no-input")
	if !strings.Contains(again.out+again.err, "nothing is done") {
		t.Errorf("promoting the primary again: %s", again)
	}
}

// awaitMail waits for exactly one mail per recipient that names the condition.
func (s *site) awaitMail(code string) {
	s.t.Helper()
	testenv.Wait(s.t, 30*time.Second, "a mail about "+code, func() (bool, string) {
		all, err := demo.ReadMail(s.MailDir)
		if err != nil {
			return false, err.Error()
		}
		n := 0
		for _, m := range all {
			if strings.Contains(fmt.Sprintf("%+v", m), code) {
				n++
			}
		}
		return n == 2, fmt.Sprintf("%d of %d mails", n, len(all))
	})
}

// awaitWriter waits until the ledger's rows are acknowledged by a node.
func (s *site) awaitWriter(l *demo.Ledger, node string) {
	s.t.Helper()
	testenv.Wait(s.t, 30*time.Second, "the ledger writes to "+node, func() (bool, string) {
		r := l.Report()
		if len(r.Tenures) == 0 {
			return false, "nobody acknowledges"
		}
		last := r.Tenures[len(r.Tenures)-1]
		return last.Node == node, fmt.Sprintf("%+v", last)
	})
}

// judge compares the ledger with the server that is primary now.
func (s *site) judge(l *demo.Ledger, node string, mayLose int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := l.Compare(ctx, s.Pair.Server(node))
	if err != nil {
		s.t.Fatal(err)
	}
	if len(r.Lost) > mayLose {
		s.t.Errorf("%d acknowledged rows are lost, the plan announced at most %d", len(r.Lost), mayLose)
	}
	if r.Overlaps > 0 {
		s.t.Errorf("two nodes acknowledged at once: %+v", r.Tenures)
	}
	s.t.Logf("ledger: %d rows acknowledged, %d lost, writes stood still for %s", r.Acked, len(r.Lost), r.Outage.Round(time.Millisecond))
}
