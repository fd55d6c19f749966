package story

import (
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// TestRule11_StandbyDiesOnItsWay_AbortLeadsOut kills the standby's server in the
// middle of its promotion: the operation cannot go on, the old primary is fenced,
// and an abort must be possible without the dead server's help.
func TestRule11_StandbyDiesOnItsWay_AbortLeadsOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.neverTwoWritable()
	l := s.ledger()

	// Before the epoch: nothing has happened, and it receives again by itself.
	s.diesOnItsWay("after:" + runbooks.StepFreeze)
	s.gate("db2", fence.GateStandby)
	s.gate("db1", fence.GateIsolated)
	testenv.Wait(t, 30*time.Second, "release of db1", func() (bool, string) {
		a := s.watchdog("db1", "release", "db1", "--confirm=db1", "--no-input")
		return a.exit == 0, a.String()
	})
	s.awaitWriter(l, "db1")
	s.awaitStreams("db1", "db2")
	s.awaitState("db2", "HEALTHY")

	// After the epoch: db2 is its primary and never was one in truth.
	s.diesOnItsWay("after:" + runbooks.StepEpoch)
	s.gate("db2", fence.GateIsolated)
	s.wantsRecovery("db2", true)
	s.gate("db1", fence.GateStandby)
	testenv.Wait(t, 30*time.Second, "release of db2", func() (bool, string) {
		a := s.watchdog("db2", "release", "db2", "--confirm=db2", "--no-input")
		return a.exit == 0, a.String()
	})
	s.awaitWriter(l, "db2")
	s.compare(l, "db2")
}

// diesOnItsWay promotes db2, whose service and server die at a point; then the
// operation is aborted while the server is still dead.
func (s *site) diesOnItsWay(at string) {
	s.t.Helper()
	s.restartService("db2", "WATCHDOG_FAILPOINT="+at)
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")
	s.watchdog("db2", "promote", "--confirm=db2", "--no-input", "--detach", "--accept-data-loss", "unknown")
	s.awaitServiceEnd("db2")
	s.kill("db2")
	s.startService("db2")
	op := s.newest("db2", runbooks.KindPromote)
	if a := s.watchdog("db2", "ops", "resume", op.ID); a.exit == 0 {
		s.t.Fatalf("%s: a dead server was promoted: %s", at, a)
	}
	s.wants(0, "db2", "ops", "abort", op.ID)
	if op := s.newest("db2", runbooks.KindPromote); op.State != "aborted" {
		s.t.Fatalf("%s, aborted: %+v", at, op)
	}
	s.idle("db1", "db2")
}
