package story

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// rowBytes is less WAL than one row of the ledger can take: heap insert, index
// insert, commit. With it a number of rows is held against a number of bytes.
const rowBytes = 100

// TestRule8_AsynchronousPrimaryKilled_LossIsAnnouncedAcceptedAndKept kills the
// primary while its standby lags under load.
func TestRule8_AsynchronousPrimaryKilled_LossIsAnnouncedAcceptedAndKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.ledger()
	s.stopWalsenders("db1", true)
	testenv.AwaitAcks(t, l, 100)
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")

	unchanged := s.unchanged()
	p := s.plan("db2", "promote")
	need := p.Loss.Unsealed.Since(p.Loss.Standby)
	switch {
	case p.Refusal == nil || p.Refusal.Exit != 5 || p.Refusal.Rule != "8":
		t.Fatalf("plan without accepted loss: want a refusal by rule 8, got %+v", p.Refusal)
	case p.Loss.AtMostBytes != nil:
		t.Errorf("at most %d B: nothing is sealed, so it must be unknown (%s)", *p.Loss.AtMostBytes, p.Loss.Basis)
	case p.Loss.Unsealed == 0 || need == 0 || p.Loss.AtLeastBytes < need:
		t.Fatalf("the plan shows no unsealed end of WAL: %+v", p.Loss)
	}
	for _, args := range [][]string{nil, {"--accept-data-loss", fmt.Sprintf("%dB", need-1)}} {
		a := s.wants(5, "db2", append([]string{"promote", "--confirm=db2", "--no-input"}, args...)...)
		if !strings.Contains(a.out+a.err, "rule 8") {
			t.Errorf("promote %v does not name rule 8: %s", args, a)
		}
	}
	unchanged("after refusals")
	s.none("db2", runbooks.KindPromote)
	s.readOnly("db2")

	s.wants(0, "db2", "promote", "--confirm=db2", "--accept-data-loss", fmt.Sprintf("%dB", need), "--no-input")
	s.writable("db2")
	s.awaitWriter(l, "db2")
	r := s.compare(l, "db2")
	lost := s.figure("db2", s.newest("db2", runbooks.KindPromote).ID, "lost_bytes")
	if lost <= 0 || uint64(lost) > need {
		t.Errorf("the sealed disk showed %d B lost, the plan announced %d", lost, need)
	}
	if len(r.Lost) == 0 || int64(len(r.Lost)*rowBytes) > lost {
		t.Errorf("%d acknowledged rows are lost, the journal says %d B", len(r.Lost), lost)
	}
	t.Logf("%d of %d acknowledged rows lost; announced %d B, journaled %d B", len(r.Lost), r.Acked, need, lost)
}

// TestRule8And2_HungPrimaryWritesOnUnseen_StopsAfterTheSealUntilMoreIsAccepted
// freezes the postmaster and everything that shows the position: sessions from
// before the fault go on committing until the seal ends them, so what was
// accepted beforehand is too little.
func TestRule8And2_HungPrimaryWritesOnUnseen_StopsAfterTheSealUntilMoreIsAccepted(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	l := s.ledger()
	s.stopWalsenders("db1", false)
	testenv.StopPostmaster(t, s.Pair.Server("db1"))
	testenv.AwaitAcks(t, l, 200)
	s.awaitCondition("db2", "NoPrimary")
	before := l.Acked()

	p := s.plan("db2", "promote")
	if p.Loss.Unsealed != 0 || p.Loss.AtMostBytes != nil {
		t.Errorf("a server that lives has no end of WAL yet: %+v", p.Loss)
	}
	a := s.wants(7, "db2", "promote", "--confirm=db2", "--no-input", "--accept-data-loss", fmt.Sprintf("%dB", p.Loss.AtLeastBytes))
	op := s.newest("db2", runbooks.KindPromote)
	if op.State != "stopped" || op.Step != runbooks.StepLoss {
		t.Fatalf("operation: %+v, want it stopped at %s", op, runbooks.StepLoss)
	}
	if m := s.durable("db1").Marker; m == nil || m.Operation != op.ID {
		t.Errorf("marker of db1: %+v, want one of %s", m, op.ID)
	}
	if s.Pair.Server("db1").Running() {
		t.Error("a process of the sealed server lives")
	}
	s.readOnly("db2")
	if l.Acked() <= before {
		t.Error("the sessions did not go on committing while the server hung: the story proves nothing")
	}

	next := regexp.MustCompile(`watchdog (ops resume \S+ --accept-data-loss \S+?)[,\n]`).FindStringSubmatch(a.out + a.err)
	if next == nil {
		t.Fatalf("the next command is not printed: %s", a)
	}
	s.wants(7, "db2", "ops", "resume", op.ID)
	s.readOnly("db2")
	s.wants(0, "db2", strings.Fields(next[1])...)
	s.writable("db2")
	s.awaitWriter(l, "db2")
	r := s.compare(l, "db2")
	lost := s.figure("db2", op.ID, "lost_bytes")
	if uint64(lost) <= p.Loss.AtLeastBytes {
		t.Errorf("lost %d B, the plan said at least %d: the story proves nothing", lost, p.Loss.AtLeastBytes)
	}
	if len(r.Lost) == 0 || int64(len(r.Lost)*rowBytes) > lost {
		t.Errorf("%d acknowledged rows are lost, the journal says %d B", len(r.Lost), lost)
	}
	t.Logf("%d of %d acknowledged rows lost; plan: at least %d B, sealed disk: %d B", len(r.Lost), r.Acked, p.Loss.AtLeastBytes, lost)
}

// TestRule2_WholePrimaryFrozen_SealEndsItAndNothingIsLost freezes every process
// of a synchronous primary.
func TestRule2_WholePrimaryFrozen_SealEndsItAndNothingIsLost(t *testing.T) {
	t.Parallel()
	s := newSite(t, synchronous)
	l := s.ledger()
	testenv.StopGroup(t, s.Pair.Server("db1"))
	s.awaitCondition("db2", "NoPrimary")
	s.wants(0, "db2", "promote", "--confirm=db2", "--no-input")
	// Thawed: whatever of it were left would go on.
	if pids, err := s.Pair.Server("db1").Processes(); err != nil || len(pids) > 0 {
		t.Errorf("processes of the sealed server: %v, %v", pids, err)
		testenv.Continue(t, s.Pair.Server("db1"))
	}
	s.awaitWriter(l, "db2")
	if r := s.compare(l, "db2"); len(r.Lost) > 0 {
		t.Errorf("%d acknowledged rows are lost", len(r.Lost))
	}
	f := runbooks.Replay(s.journal("db2", s.newest("db2", runbooks.KindPromote).ID)).FenceOutcome()
	if f == nil || f.Grade != fence.GradeSealed {
		t.Errorf("fence on record: %+v", f)
	}
}
