package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func gone(r *view.ServerReport) { down(time.Minute)(r) }

func TestJudge_UnexpectedRoleChange_PromotedByHand(t *testing.T) {
	s := pair(t).all("db1", gone).all("db2", primaryNow(5*sec))
	c := pick(t, s.want("UnexpectedRoleChange/db2", "PostgresDown/db1"), view.UnexpectedRoleChange)
	if !strings.Contains(c.Text, "nobody confirmed this") || !c.NeverSilenced {
		t.Error(c.Text)
	}
}

func TestJudge_UnexpectedRoleChange_OpenIntentExplainsIt(t *testing.T) {
	s := pair(t).all("db1", gone).all("db2", primaryNow(5*sec)).report("db2", func(r *view.Report) {
		r.Durable.Intents = []fence.Intent{{Operation: "K7", Kind: "promote", Owner: "db2"}}
		r.Operations = []view.OperationReport{{ID: "K7", Kind: "promote", State: "running", Step: "prove"}}
	})
	s.want("PostgresDown/db1")
}

func TestJudge_UnexpectedRoleChange_FencedNodeInRecoveryIsMeantToBe(t *testing.T) {
	inRecovery := func(r *view.ServerReport) { r.Role = replication.RoleStandby; r.Status = healthy("db1", false).Status }
	s := pair(t).all("db1", inRecovery).all("db2", noUpstream)
	c := pick(t, s.want("NoPrimary/pair", "ReplicationDown/db2", "UnexpectedRoleChange/db1"), view.UnexpectedRoleChange)
	// One way out, whichever condition people read first.
	if n := pick(t, s.judge(), view.NoPrimary); n.Hint != "watchdog release db1" {
		t.Errorf("NoPrimary hints %q beside a primary of record that came up read-only", n.Hint)
	}
	if c.Hint != "watchdog release db1" {
		t.Errorf("hint %q", c.Hint)
	}
	s.report("db1", func(r *view.Report) { r.Durable.Marker = &fence.Marker{Operation: "F1"} }).
		want("NoPrimary/pair", "ReplicationDown/db2")
}

func TestJudge_SupersededPrimary_OldPrimaryCameBack(t *testing.T) {
	s := pair(t).all("db2", gone).epoch("db2", 4)
	s.report("db1", func(r *view.Report) {}).all("db1", func(r *view.ServerReport) { r.Status.Standbys = nil })
	c := pick(t, s.want("SupersededPrimary/db1", "PostgresDown/db2"), view.SupersededPrimary)
	if c.Hint != "watchdog fence db1" {
		t.Errorf("hint %q", c.Hint)
	}
}

func TestJudge_SupersededPrimary_SeenByItsRowWhenItsServiceIsSilent(t *testing.T) {
	s := pair(t).all("db2", gone).epoch("db2", 4).silent("db1", time.Hour).report("db1", func(r *view.Report) { r.Durable = nil })
	pick(t, s.judge(), view.SupersededPrimary)
}

func TestJudge_NewPrimaryBeforeItsEpochRow_IsNotSuperseded(t *testing.T) {
	// The epoch is durable before the promotion, its row is written right after.
	s := pair(t).all("db1", gone).all("db2", primaryNow(200*ms)).epoch("db2", 4).all("db2", func(r *view.ServerReport) {
		r.Status.Epoch = &replication.EpochRow{Number: 3, ID: "e3"}
	})
	for _, c := range s.judge() {
		if c.Code == view.SupersededPrimary || c.Code == view.UnexpectedRoleChange {
			t.Errorf("%s: %s", c.Code, c.Text)
		}
	}
}

func TestJudge_OperationStopped(t *testing.T) {
	s := pair(t).report("db2", func(r *view.Report) {
		r.Operations = []view.OperationReport{{ID: "K7", Kind: "promote", State: "stopped", Step: "fence", By: "mario", Text: "power state unknown", Age: 3 * sec}}
	})
	c := pick(t, s.want("OperationStopped/K7"), view.OperationStopped)
	if !strings.Contains(c.Text, `"fence"`) || c.Hint != "watchdog ops show K7" || c.Hold != 0 {
		t.Errorf("%s; hint %q; hold %s", c.Text, c.Hint, c.Hold)
	}
}

func TestJudge_IntentThatNobodyRuns_IsReportedOnce(t *testing.T) {
	orphan := func(r *view.Report) {
		r.Durable.Intents = []fence.Intent{{Operation: "K7", Kind: "promote", Owner: "db2", By: "mario"}}
	}
	c := pick(t, pair(t).report("db1", orphan).report("db2", orphan).want("OperationStopped/K7"), view.OperationStopped)
	if c.Hold != time.Minute {
		t.Errorf("hold %s: a copy may outlive its operation for a moment", c.Hold)
	}
}

func TestJudge_WithoutAnEpoch_NoRoleIsUnexpected(t *testing.T) {
	s := pair(t)
	for _, n := range []string{"db1", "db2"} {
		s.report(n, func(r *view.Report) { r.Durable = &fence.Durable{} })
	}
	s.all("db1", gone).all("db2", primaryNow(5*sec)).want("PostgresDown/db1")
}

func TestJudge_ThreeServers(t *testing.T) {
	cluster(t, "db2", "db1", "db2", "db3").want()
	s := cluster(t, "db3", "db1", "db2", "db3").all("db1", gone).all("db2", noUpstream).all("db3", noUpstream)
	s.want("NoPrimary/pair", "PostgresDown/db1", "ReplicationDown/db2", "ReplicationDown/db3")
	cluster(t, "db3", "db1", "db2", "db3").all("db2", noUpstream).want("ReplicationDown/db2")
	// With two standbys nobody can say whose WAL the third one receives.
	cluster(t, "db2", "db1", "db2", "db3").all("db1", unreachable(9*sec)).
		want("NoPrimary/pair", "PostgresDown/db1")
}
