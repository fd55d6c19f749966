package runbooks

import (
	"context"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// syncPair is db1, down and unreachable, and db2, its standby; db1 was last seen
// with these settings.
func syncPair(names, state string, statusAge, answered time.Duration) (primary, standby NodeFacts) {
	primary = NodeFacts{Node: "db1", StatusAge: statusAge, Status: &replication.Status{SynchronousStandbyNames: names, SynchronousCommit: "on",
		Standbys: []replication.StandbyRow{{ApplicationName: "db2", SyncState: state}, {ApplicationName: "pg_receivewal", SyncState: "potential"}}},
		Seen: []Seen{{Observer: "db2", Verdict: replication.VerdictUnreachable, Role: replication.RolePrimary, Timeline: 1, Position: 900, Answered: answered}}}
	standby = NodeFacts{Node: "db2", Status: &replication.Status{InRecovery: true, Timeline: 1, Receive: 900, Replay: 900}}
	return primary, standby
}

func TestAssessLoss_SynchronousStandby_IsProofOnlyWhenEveryCommitHadToWait(t *testing.T) {
	for _, c := range []struct {
		names, state      string
		statusAge, answer time.Duration
		proof             bool
	}{
		{`"db2"`, "sync", 64 * time.Second, 60 * time.Second, true},
		{`FIRST 1 (db2)`, "sync", 64 * time.Second, 60 * time.Second, true},
		{`ANY 1 (DB2)`, "quorum", 64 * time.Second, 60 * time.Second, true},
		{`2 ("db2", backup)`, "sync", 64 * time.Second, 60 * time.Second, true},
		{`*`, "sync", 64 * time.Second, 60 * time.Second, false},
		{`db2, backup`, "sync", 64 * time.Second, 60 * time.Second, false},
		{`FIRST 1 (db2, pg_receivewal)`, "sync", 64 * time.Second, 60 * time.Second, false},
		{`ANY 1 (db2, backup)`, "quorum", 64 * time.Second, 60 * time.Second, false},
		{`"db2"`, "potential", 64 * time.Second, 60 * time.Second, false},
		{`"db2"`, "async", 64 * time.Second, 60 * time.Second, false},
		{`"other"`, "sync", 64 * time.Second, 60 * time.Second, false},
		{``, "sync", 64 * time.Second, 60 * time.Second, false},
		// It went on answering for an hour after its settings were last read.
		{`"db2"`, "sync", time.Hour, time.Second, false},
	} {
		primary, standby := syncPair(c.names, c.state, c.statusAge, c.answer)
		l := assessLoss(Facts{RateBytes: -1}, primary, standby)
		if got := l.AtMostBytes != nil; got != c.proof {
			t.Errorf("%q %s, status %s old, last answer %s ago: proof %t, want %t", c.names, c.state, c.statusAge, c.answer, got, c.proof)
		}
	}
}

// ALTER ROLE app SET synchronous_commit = off: its commits waited for nobody.
func TestAssessLoss_RoleWithACommitSettingOfItsOwn_IsNoProof(t *testing.T) {
	primary, standby := syncPair(`"db2"`, "sync", 64*time.Second, 60*time.Second)
	primary.Status.CommitExceptions = 1
	if l := assessLoss(Facts{RateBytes: -1}, primary, standby); l.AtMostBytes != nil {
		t.Errorf("proof of %d bytes although a role's commits need not wait", *l.AtMostBytes)
	}
}

func TestAssessLoss_DiskEndsOnAnotherTimeline_IsNoFigure(t *testing.T) {
	primary, standby := syncPair("", "", 0, 0)
	l := assessLoss(Facts{RateBytes: -1, Unsealed: &fence.EndOfWAL{Timeline: 3, LSN: 880}}, primary, standby)
	if _, known := l.needed(); known {
		t.Errorf("a position on timeline 3 was held against timeline 1: %+v", l)
	}
}

type standingServer struct{ Server }

func (standingServer) Positions(context.Context) (received, replayed replication.LSN, err error) {
	return 900, 900, nil
}

// db1 was released onto timeline 3 below what db2 had received on timeline 1:
// by the numbers nothing is lost, in truth all that timeline 3 holds is.
func TestLossStep_SealedDiskOnAnotherTimeline_Stops(t *testing.T) {
	d, o, s := reviewed(t, Plan{Kind: KindPromote, Target: "db2", Loss: Loss{Timeline: 1}})
	d.Server = standingServer{}
	if err := s.Fence(fence.Outcome{Node: "db1", Result: fence.ResultDone, Grade: fence.GradeSealed,
		EndOfWAL: &fence.EndOfWAL{Timeline: 3, LSN: 880}}); err != nil {
		t.Fatal(err)
	}
	err := d.lossStep(o).Act(t.Context(), s)
	if r, ok := err.(*Refusal); !ok || r.Rule != "13" || r.Exit != ExitPartWay { //nolint:errorlint // the very value
		t.Errorf("got %v", err)
	}
}

type memoryJournal struct{}

func (memoryJournal) Append(Record) error { return nil }

// reviewed is an operation of db2 with a journal in memory.
func reviewed(t *testing.T, p Plan) (Deps, *Operation, *Scribe) {
	t.Helper()
	o := NewOperation("promote-X", p, Request{By: "ada"}, nil)
	return Deps{Self: "db2", Now: time.Now}, o, &Scribe{r: &Runner{Journal: memoryJournal{}, Now: time.Now}, o: o}
}
