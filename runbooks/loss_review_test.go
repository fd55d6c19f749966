package runbooks

import (
	"context"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// syncPair is db1, whose server is down for as long as it gave no answer, and db2, its standby; db1 was last seen
// with these settings.
func syncPair(names, state string, statusAge, answered time.Duration) (primary, standby NodeFacts) {
	primary = NodeFacts{Node: "db1", StatusAge: statusAge, Status: &replication.Status{SynchronousStandbyNames: names, SynchronousCommit: "on",
		Standbys: []replication.StandbyRow{{ApplicationName: "db2", SyncState: state}, {ApplicationName: "pg_receivewal", SyncState: "potential"}}},
		Seen: []Seen{{Observer: "db2", Verdict: replication.VerdictDown, Since: answered, Role: replication.RolePrimary, Timeline: 1, Position: 900, Answered: answered}}}
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

// Whoever is cut off may live on, and be released from waiting by somebody there:
// what was seen before the cut proves nothing of an hour later.
func TestAssessLoss_PrimaryMayHaveLivedOnUnseen_IsNoProofForLong(t *testing.T) {
	for _, c := range []struct {
		verdict replication.Verdict
		since   time.Duration
		age     time.Duration // of the status, 4 s older than the last answer
		proof   bool
	}{
		{replication.VerdictUnreachable, 20 * time.Second, 24 * time.Second, true},
		{replication.VerdictUnreachable, time.Hour, time.Hour, false},
		{replication.VerdictHung, 5 * time.Minute, 5 * time.Minute, false},
		{replication.VerdictDown, time.Hour, time.Hour, true},
		// Silent for an hour, and down only since its host was switched on again.
		{replication.VerdictDown, time.Minute, time.Hour, false},
	} {
		primary, standby := syncPair(`"db2"`, "sync", c.age, c.age-4*time.Second)
		primary.Seen[0].Verdict, primary.Seen[0].Since = c.verdict, c.since
		l := assessLoss(Facts{RateBytes: -1}, primary, standby)
		if got := l.AtMostBytes != nil; got != c.proof {
			t.Errorf("%s for %s, looked at %s ago: proof %t, want %t", c.verdict, c.since, c.age, got, c.proof)
		}
	}
}

// A copy of the standby's machine streams under its name, and stood in for it.
func TestAssessLoss_TwoReceiversOfTheStandbysName_IsNoProof(t *testing.T) {
	primary, standby := syncPair(`"db2"`, "sync", 64*time.Second, 60*time.Second)
	primary.Status.Standbys = append(primary.Status.Standbys, replication.StandbyRow{ApplicationName: "DB2", SyncState: "potential"})
	if l := assessLoss(Facts{RateBytes: -1}, primary, standby); l.AtMostBytes != nil {
		t.Errorf("proof of %d bytes although two receivers have the name", *l.AtMostBytes)
	}
}

// What the primary saw it flush it has no more: put back to an older snapshot.
func TestAssessLoss_StandbyHoldsLessThanItHadFlushed_IsNoProof(t *testing.T) {
	primary, standby := syncPair(`"db2"`, "sync", 64*time.Second, 60*time.Second)
	primary.Status.Standbys[0].Flush = 901
	if l := assessLoss(Facts{RateBytes: -1}, primary, standby); l.AtMostBytes != nil {
		t.Errorf("proof of %d bytes although 901 was flushed and 900 is there", *l.AtMostBytes)
	}
}

func TestAssessLoss_DiskHoldsMoreThanTheRatePromised_EstimateFollows(t *testing.T) {
	primary, standby := syncPair("", "", 0, time.Second)
	l := assessLoss(Facts{RateBytes: 10, Unsealed: &fence.EndOfWAL{Timeline: 1, LSN: 5000}}, primary, standby)
	if l.EstimateBytes == nil || *l.EstimateBytes < l.AtLeastBytes || l.AtLeastBytes != 4100 {
		t.Errorf("at least %d, estimate %v", l.AtLeastBytes, l.EstimateBytes)
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

// The fence came to nothing, the operation stood open for two hours, and db1 lived
// on: what the plan knew of its synchronous standby is two hours old.
func TestLossStep_FenceProvenLongAfterThePlan_ItsFigureIsVoid(t *testing.T) {
	zero := uint64(0)
	for _, c := range []struct {
		end  *fence.EndOfWAL
		late time.Duration
		exit int
	}{
		{nil, time.Minute, ExitDone},
		{nil, 2 * time.Hour, ExitPartWay},
		{nil, -time.Hour, ExitPartWay}, // by a clock that was set
		{&fence.EndOfWAL{Timeline: 1, LSN: 980}, time.Minute, ExitDone},
		{&fence.EndOfWAL{Timeline: 1, LSN: 980}, 2 * time.Hour, ExitPartWay},
	} {
		d, o, s := reviewed(t, Plan{Kind: KindPromote, Target: "db2", MadeAt: time.Now().Add(-c.late), Loss: Loss{Timeline: 1, AtMostBytes: &zero}})
		d.Server = standingServer{}
		if err := s.Fence(fence.Outcome{Node: "db1", Result: fence.ResultDone, Grade: fence.GradePower, EndOfWAL: c.end}); err != nil {
			t.Fatal(err)
		}
		err := d.lossStep(o).Act(t.Context(), s)
		if c.exit == ExitDone {
			if err != nil {
				t.Errorf("fenced %s after the plan: %v", c.late, err)
			}
			continue
		}
		if r, ok := err.(*Refusal); !ok || r.Rule != "8" || r.Exit != c.exit { //nolint:errorlint // the very value
			t.Errorf("fenced %s after the plan, end of WAL %+v: got %v", c.late, c.end, err)
		}
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
