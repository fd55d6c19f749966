package netlab

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// TestNetwork_FaultsThatHeal_NothingIsPromotedAndNothingLost breaks the network
// in every way that leaves a primary to write, one after the other, under a
// client that writes through all of them. Rows 12, 13, 14, 17, 18 and 20 of the
// fault matrix.
func TestNetwork_FaultsThatHeal_NothingIsPromotedAndNothingLost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l, stop := testenv.StartLedger(t, s.Pair)
	for _, fault := range []struct {
		name  string
		stage func(*site)
	}{
		{"the gossip port alone is cut: a path, not a node", (*site).gossipPortCut},
		{"PostgreSQL's port alone is cut between the nodes", (*site).postgresPortCut},
		{"db2 does not hear db1, and is heard", (*site).oneWay},
		{"every third packet is lost", (*site).loss},
		{"db1 and db2 cannot see each other, the witness sees both", (*site).pairCut},
	} {
		ok := t.Run(fault.name, func(t *testing.T) {
			x := s.at(t)
			fault.stage(x)
			x.acks(l)
			x.must(x.net.Heal(x.ctx))
			x.awaitHealthy()
		})
		if !ok {
			return
		}
	}
	stop()
	if r := testenv.CheckLedger(t, l, s.Pair.Server("db1"), testenv.Allowed{}); len(r.Tenures) != 1 {
		t.Errorf("who acknowledged: %+v, want db1 alone", r.Tenures)
	}
	for _, n := range s.Nodes {
		if out, exit := s.watchdog(n.Name, "ops", "list"); exit != 0 || strings.Contains(out, "promote") {
			t.Errorf("operations of %s: exit %d, %s", n.Name, exit, out)
		}
	}
}

func (s *site) gossipPortCut() {
	for _, protocol := range []string{"tcp", "udp"} {
		for _, node := range []string{"db1", "db2"} {
			s.must(s.net.CutPort(s.ctx, "db1", "db2", protocol, s.Node(node).Gossip))
		}
	}
	c := s.await("db2", "that gossip alone is broken", func(st view.Status) bool {
		return slices.ContainsFunc(st.Open, func(c view.OpenCondition) bool { return c.Code == view.PeerPathPartial })
	})
	for _, open := range c.Open {
		if open.Code == view.PeerUnreachable || open.Code == view.NoPrimary {
			s.t.Errorf("a cut gossip port is taken for more: %s", open.Text)
		}
	}
}

func (s *site) postgresPortCut() {
	for _, server := range s.Pair.Servers {
		s.must(s.net.CutPort(s.ctx, "db1", "db2", "tcp", server.Port))
	}
	// The connection that is cut without a word is noticed by its silence; the
	// primary serves, and its own service says so.
	st := s.await("db2", "that db1 is not reached from here and alive all the same", func(st view.Status) bool {
		return len(st.Nodes) > 0 && slices.ContainsFunc(st.Nodes[0].Seen, func(r view.ServerReport) bool { return r.Verdict.String() == "unreachable" })
	})
	if firing(st, view.NoPrimary) != nil {
		s.t.Errorf("a cut port is taken for a dead primary: %s", st.Summary)
	}
	s.refusesPromotion()
}

// refusesPromotion wants the standby to refuse, by rule, because the primary is
// seen alive by somebody.
func (s *site) refusesPromotion() {
	s.t.Helper()
	if out, exit := s.watchdog("db2", "promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown", "--i-have-powered-off", "db1"); exit != 5 {
		s.t.Errorf("promotion of db2: exit %d, want 5 (refused): %s", exit, out)
	}
}

func (s *site) oneWay() {
	s.must(s.net.OneWay(s.ctx, "db1", "db2"))
	s.awaitFiring("db2", view.PeerUnreachable)
	s.refusesPromotion()
}

// lossWatched is twelve probe periods: what is only unlucky is over by then.
const lossWatched = 6 * time.Second

func (s *site) loss() {
	s.must(s.net.Lose(s.ctx, "db1", "db2", 33))
	// Whatever is said for a moment, loss is no dead primary.
	began := time.Now()
	testenv.Wait(s.t, time.Minute, "the time of loss to pass", func() (bool, string) {
		if st, err := s.status("db2"); err == nil && firing(st, view.NoPrimary) != nil {
			s.t.Fatalf("after %s of loss: %s", time.Since(began), st.Summary)
		}
		return time.Since(began) > lossWatched, ""
	})
}

func (s *site) pairCut() {
	s.must(s.net.Cut(s.ctx, "db1", "db2"))
	s.awaitFiring("db2", view.PeerUnreachable)
	s.awaitFiring("db1", view.PeerUnreachable)
	s.refusesPromotion()
}
