package story

import (
	"sync"
	"testing"

	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// TestRule10_TwoOperatorsAtOnce_OneWins has one operator at each node confirm
// at the same moment, and two more at the same node: one operation runs, the
// others are told who holds the lock, or that all is done.
func TestRule10_TwoOperatorsAtOnce_OneWins(t *testing.T) {
	t.Parallel()
	s := newSite(t, synchronous)
	l := s.ledger()
	s.kill("db1")
	s.awaitCondition("db1", "NoPrimary")
	s.awaitCondition("db2", "NoPrimary")
	nodes := []string{"db1", "db2", "db1", "db2"}
	plans := make([]runbooks.Plan, len(nodes))
	for i, node := range nodes {
		plans[i] = s.plan(node, "promote")
	}
	answers := make([]answer, len(nodes))
	var all sync.WaitGroup
	for i, node := range nodes {
		all.Go(func() {
			answers[i] = s.watchdog(node, "promote", "--confirm=db2", "--plan="+plans[i].ID, "--no-input", "--reason", "operator at "+node)
		})
	}
	all.Wait()
	won := 0
	for i, a := range answers {
		switch a.exit {
		case 0:
			won++
		case 9, 6: // held by the winner, or the plan is not true any more
		default:
			t.Errorf("operator %d at %s: %s", i, nodes[i], a)
		}
	}
	promotions := map[string]bool{}
	for _, node := range []string{"db1", "db2"} {
		for _, op := range s.operations(node) {
			if op.Kind == runbooks.KindPromote && op.State == "done" {
				promotions[op.ID] = true
			}
			if op.State == "running" || op.State == "stopped" {
				t.Errorf("%s is left %s on %s", op.ID, op.State, node)
			}
		}
	}
	if won != 1 || len(promotions) != 1 {
		t.Errorf("%d operators were told that it is done, promotions on record: %v; answers %v", won, promotions, answers)
	}
	if d := s.durable("db2"); d.Epoch.Number != 2 {
		t.Errorf("epoch %+v, want 2", d.Epoch)
	}
	s.idle("db1", "db2")
	s.awaitWriter(l, "db2")
	if r := s.compare(l, "db2"); len(r.Lost) > 0 {
		t.Errorf("%d acknowledged rows are lost", len(r.Lost))
	}
}

// TestRule10_PromoteAgainstFenceOfTheTarget_OneWins has one operator promote
// db2 while the other fences db2 from db1: two operations with two owners, of
// which at most one may begin.
func TestRule10_PromoteAgainstFenceOfTheTarget_OneWins(t *testing.T) {
	t.Parallel()
	s := newSite(t, synchronous)
	l := s.ledger()
	s.kill("db1")
	s.awaitCondition("db1", "NoPrimary")
	s.awaitCondition("db2", "NoPrimary")
	var promote, fence answer
	var both sync.WaitGroup
	both.Go(func() { promote = s.watchdog("db2", "promote", "--confirm=db2", "--no-input") })
	both.Go(func() { fence = s.watchdog("db1", "fence", "db2", "--confirm=db2", "--no-input") })
	both.Wait()
	t.Logf("promote: exit %d, fence: exit %d", promote.exit, fence.exit)
	d := s.durable("db2")
	switch {
	case promote.exit == 0 && fence.exit == 0:
		// One after the other: then the promotion was first, and the fence ended it.
		if d.Marker == nil || d.Epoch.Number != 2 {
			t.Errorf("both were done, and db2 is %+v", d)
		}
	case promote.exit == 0:
		s.writable("db2")
		s.awaitWriter(l, "db2")
	case fence.exit == 0:
		if d.Marker == nil || d.Epoch.Number != 1 {
			t.Errorf("the fence was done, and db2 is %+v", d)
		}
		// The fenced standby says so, and its primary may start.
		if out, err := s.startThroughGate("db1"); err != nil {
			t.Fatalf("start db1: %v: %s", err, out)
		}
		s.awaitWriter(l, "db1")
	}
	for _, a := range []answer{promote, fence} {
		// 1: the other one ended it before it had changed anything.
		if a.exit != 0 && a.exit != 1 && a.exit != 9 && a.exit != 6 && a.exit != 5 {
			t.Errorf("want 0, 1, 5, 6 or 9: %s", a)
		}
	}
	s.idle("db1", "db2")
	if r := l.Report(); r.Overlaps > 0 {
		t.Errorf("two nodes acknowledged at once: %+v", r.Tenures)
	}
}
