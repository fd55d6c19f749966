package story

import (
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// releasedByStatement: db1 runs isolated; the other node is dead and cannot be
// asked, so that only a person can say that it is off (rules 2, 4).
func (s *site) releasedByStatement(l *demo.Ledger) {
	before := s.durable("db1").Epoch
	s.awaitNext("db1", "watchdog release db1")

	refused := s.wants(5, "db1", "release", "db1", "--confirm=db1", "--no-input")
	if !strings.Contains(refused.err+refused.out, "--i-have-powered-off db2") {
		s.t.Errorf("a refused release does not say how to prove it: %s", refused)
	}
	s.wants(5, "db1", "release", "db1", "--i-have-powered-off", "db1") // names the wrong node
	s.wantsRecovery("db1", true)
	p := s.plan("db1", "release", "db1", "--i-have-powered-off", "db2")
	if p.Refusal != nil || p.Fence.Grade != fence.GradeStated || !strings.Contains(p.Phrase, "db2") {
		s.t.Fatalf("plan: %+v", p)
	}
	s.wants(0, "db1", "release", "db1", "--i-have-powered-off", "db2", "--confirm=db1", "--plan="+p.ID, "--no-input", "--reason", "db2 burnt")
	s.wantsRecovery("db1", false)
	if tl := s.timeline("db1"); tl != "00000002" {
		s.t.Errorf("released on timeline %s: a new history needs a new one", tl)
	}
	after := s.durable("db1")
	if after.Epoch.Number < before.Number+100 || after.Role.String() != "primary" || after.Marker != nil {
		s.t.Errorf("state after a release without an answer: %+v; a gap must be left for epochs that db2 may know", after)
	}
	s.awaitWriter(l, "db1")
	h := s.wants(0, "db1", "history")
	if !strings.Contains(h.out, "db2 burnt") {
		s.t.Errorf("history does not say why:\n%s", h.out)
	}

	// db2 was not burnt after all: the order reaches it before its server starts.
	s.boot("db2")
	testenv.Wait(s.t, 30*time.Second, "db2 knows that it is fenced", func() (bool, string) {
		d := s.durable("db2")
		return d.Marker != nil && d.Epoch.Same(after.Epoch), describeState(d)
	})
	s.gate("db2", fence.GateIsolated)
	s.wantsRecovery("db2", true)
	s.awaitFence("db1", "db2", "marker")
	s.judge(l, "db1", 0)
}

// releasedByAnswer: the other service was only down for a while, and its answer
// is the proof.
func (s *site) releasedByAnswer() {
	before := s.durable("db1").Epoch
	if err := s.KillService(s.Node("db2")); err != nil {
		s.t.Fatal(err)
	}
	s.powerOff("db1")
	s.boot("db1")
	s.gate("db1", fence.GateIsolated)
	s.wantsRecovery("db1", true)
	s.boot("db2")
	s.awaitNext("db2", "watchdog release db1")
	s.wantsRecovery("db1", true) // nobody releases it but an operator

	p := s.plan("db2", "release", "db1")
	if p.Refusal != nil || p.Fence.Node != "" || !strings.Contains(strings.Join(p.Why, "\n"), "db2 answers: standby") {
		s.t.Fatalf("plan: %+v", p)
	}
	s.wants(0, "db2", "release", "db1", "--confirm=db1", "--no-input")
	s.wantsRecovery("db1", false)
	after := s.durable("db1").Epoch
	if after.Number != before.Number+1 || !s.durable("db2").Epoch.Same(after) {
		s.t.Errorf("epoch %+v after %+v; db2 knows %+v", after, before, s.durable("db2").Epoch)
	}
	if tl := s.timeline("db1"); tl != "00000002" {
		s.t.Errorf("released on timeline %s", tl)
	}
	s.awaitStreams("db1", "db2")
	s.awaitState("db2", "HEALTHY")

	// An ordinary reboot is ordinary again.
	s.powerOff("db1")
	s.boot("db1")
	s.gate("db1", fence.GatePrimary)
	s.awaitStreams("db1", "db2")
}

// awaitNext waits until status, as people read it, names a command, and no
// other way out beside it.
func (s *site) awaitNext(node, command string) {
	s.t.Helper()
	testenv.Wait(s.t, 30*time.Second, "status of "+node+" says: "+command, func() (bool, string) {
		st, err := s.status(node)
		if err != nil {
			return false, err.Error()
		}
		var acts []string
		for _, n := range st.Next {
			if !strings.HasPrefix(n.Command, "watchdog status") {
				acts = append(acts, n.Command)
			}
		}
		return len(acts) == 1 && acts[0] == command, strings.Join(acts, "; ")
	})
	if a := s.wants(0, node, "status"); !strings.Contains(a.out, command) {
		s.t.Errorf("status does not print %q:\n%s", command, a.out)
	}
}

// awaitFence waits until a node's status shows how another one is held.
func (s *site) awaitFence(node, other, want string) {
	s.t.Helper()
	testenv.Wait(s.t, 30*time.Second, node+" shows "+other+" as held by "+want, func() (bool, string) {
		st, err := s.status(node)
		if err != nil {
			return false, err.Error()
		}
		for _, n := range st.Nodes {
			if n.Node == other {
				return n.Fence == want, n.Fence
			}
		}
		return false, "not listed"
	})
}
