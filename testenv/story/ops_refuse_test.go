package story

import (
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// refused types a command that must be refused on a node, and demands that the
// words stand in what it says.
func (s *site) refused(exit int, node string, words []string, args ...string) {
	s.t.Helper()
	a := s.wants(exit, node, args...)
	for _, w := range words {
		if !strings.Contains(a.out+a.err, w) {
			s.t.Errorf("watchdog %s on %s does not say %q: %s", strings.Join(args, " "), node, w, a)
		}
	}
}

// TestRule1And13_HealthyOrPausedPair_RefusedByName asks for a promotion that
// must not be, at each node: of a healthy pair, of the primary itself, of no
// node, and of a standby that holds WAL back.
func TestRule1And13_HealthyOrPausedPair_RefusedByName(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.ledger()
	unchanged := s.unchanged()
	for _, node := range []string{"db1", "db2"} {
		s.refused(5, node, []string{"rule: 1", "switchover"}, "promote", "--confirm=db2", "--no-input")
		s.refused(5, node, []string{"switchover"}, "promote", "--confirm=db2", "--no-input", "--reason", "because", "--accept-data-loss", "unknown", "--i-have-powered-off", "db1")
		s.refused(0, node, []string{"nothing was done"}, "promote", "--confirm=db1", "--no-input")
		s.refused(2, node, nil, "promote", "--confirm=db9", "--no-input")
	}
	unchanged("after refusals of a healthy pair")

	s.pauseReplay()
	testenv.AwaitAcks(t, l, 50)
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")
	s.refused(5, "db2", []string{"rule: 13", "paused", "pg_wal_replay_resume"}, "promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown")
	unchanged("after a refusal by rule 13")
	s.readOnly("db2")
	s.none("db2", runbooks.KindPromote)
	s.none("db1", runbooks.KindPromote)
	if r := s.compare(l, "db2"); len(r.Tenures) != 1 {
		t.Errorf("who acknowledged: %+v", r.Tenures)
	}
}

func (s *site) pauseReplay() {
	s.t.Helper()
	if err := s.Pair.Server("db2").Exec(s.t.Context(), "SELECT pg_wal_replay_pause()"); err != nil {
		s.t.Fatal(err)
	}
	testenv.Wait(s.t, 10*time.Second, "replay is paused", func() (bool, string) {
		state, err := s.Pair.Server("db2").Ask(s.t.Context(), "SELECT pg_get_wal_replay_pause_state()")
		return err == nil && state == "paused", state
	})
}

// TestRule11_ConfirmationsThatDoNotFit_ThenAskedOnTheDeadPrimary shows a plan,
// confirms it wrongly in every way, and at last rightly, at the node whose
// server is dead.
func TestRule11_ConfirmationsThatDoNotFit_ThenAskedOnTheDeadPrimary(t *testing.T) {
	t.Parallel()
	s := newSite(t, synchronous, extra("plan: {valid_for: 10s}\n"))
	l := s.ledger()
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")
	unchanged := s.unchanged()

	s.refused(6, "db2", []string{"--confirm=NODE"}, "promote", "--confirm")
	s.refused(6, "db2", nil, "promote", "--confirm", "--no-input")
	old := s.plan("db2", "promote")
	s.refused(6, "db2", []string{"confirm"}, "promote", "--confirm=db9", "--plan="+old.ID, "--no-input")
	s.refused(6, "db2", []string{"unknown or has expired"}, "promote", "--confirm=db2", "--plan=22222", "--no-input")
	testenv.Wait(t, 30*time.Second, "the plan expires", func() (bool, string) {
		a := s.wants(6, "db2", "promote", "--confirm=db9", "--plan="+old.ID, "--no-input")
		return strings.Contains(a.out+a.err, "expired"), a.String()
	})
	s.refused(6, "db2", []string{"expired"}, "promote", "--confirm=db2", "--plan="+old.ID, "--no-input")

	// The evidence gets worse between plan and confirmation: nobody can seal.
	p := s.plan("db2", "promote")
	s.killService("db1")
	s.refused(6, "db2", []string{"not true any more"}, "promote", "--confirm=db2", "--plan="+p.ID, "--no-input")
	unchanged("after confirmations that do not fit")
	s.readOnly("db2")
	s.none("db2", runbooks.KindPromote)

	s.startService("db1")
	s.awaitCondition("db1", "NoPrimary")
	p = s.plan("db1", "promote")
	if p.Owner != "db2" || p.Target != "db2" || p.Refusal != nil {
		t.Fatalf("plan asked for on db1: owner %s, target %s, refusal %+v", p.Owner, p.Target, p.Refusal)
	}
	s.wants(0, "db1", "promote", "--confirm=db2", "--plan="+p.ID, "--no-input", "--reason", "asked on db1")
	op := s.newest("db2", runbooks.KindPromote)
	if op.State != "done" || !strings.Contains(op.By, "via db1") {
		t.Errorf("journal: %+v, want it done, with who asked through db1", op)
	}
	s.writable("db2")
	s.awaitWriter(l, "db2")
	if r := s.compare(l, "db2"); len(r.Lost) > 0 {
		t.Errorf("%d acknowledged rows are lost", len(r.Lost))
	}
	for _, node := range []string{"db1", "db2"} {
		s.refused(0, node, []string{"nothing"}, "promote", "--confirm=db2", "--no-input")
	}
	s.refused(6, "db2", nil, "promote", "--confirm=db2", "--plan="+p.ID+"X", "--no-input")
}
