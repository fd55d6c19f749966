package replication_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/admin"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

func beating(t *testing.T, to replication.Target, node string) *replication.CommitProbe {
	t.Helper()
	p, err := replication.NewCommitProbe(to, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.Heartbeat(node)
	t.Cleanup(p.Close)
	return p
}

func TestHeartbeat_CommitProbe_RenewsTheRowOnceAMinuteAndTheStandbyShowsIt(t *testing.T) {
	pair := installed(t)
	first, second := pair.Servers[0], pair.Servers[1]
	p := beating(t, as(first, admin.RoleAct), "db'1")
	for range 3 {
		if got := p.Probe(t.Context()); got.Verdict != replication.VerdictHealthy {
			t.Fatalf("%+v", got)
		}
	}
	if got, err := first.Ask(t.Context(), "SELECT (xmax = 0)::text FROM watchdog.heartbeat"); err != nil || got != "true" {
		t.Errorf("renewed within the minute: %q, %v", got, err)
	}
	on, behind := watch(t, as(first, admin.RoleMonitor)), watch(t, as(second, admin.RoleMonitor))
	testenv.Wait(t, limit, "one row on both", func() (bool, string) {
		a, b := on.status(), behind.status()
		if a == nil || b == nil || len(a.Heartbeats) != 1 || len(b.Heartbeats) != 1 {
			return false, fmt.Sprint(a, b)
		}
		x, y := a.Heartbeats[0], b.Heartbeats[0]
		return x.Node == "db'1" && y.Node == x.Node && y.At.Equal(x.At) && time.Since(x.At) < time.Minute && x.Age < time.Minute, fmt.Sprint(x, y)
	})
}

func TestHeartbeat_ServerWithoutTheTableOrRoleWithoutTheRight_CommitsAreStillHealthy(t *testing.T) {
	pair := installed(t)
	s := pair.Servers[0]
	for what, to := range map[string]replication.Target{"no right": as(s, admin.RoleMonitor), "no table": target(s)} {
		if what == "no table" {
			if err := s.Exec(t.Context(), "DROP TABLE watchdog.heartbeat"); err != nil {
				t.Fatal(err)
			}
		}
		if got := beating(t, to, "db1").Probe(t.Context()); got.Verdict != replication.VerdictHealthy {
			t.Errorf("%s: %+v", what, got)
		}
	}
	w := watch(t, as(s, admin.RoleMonitor))
	testenv.Wait(t, limit, "a status without heartbeats", func() (bool, string) {
		st := w.status()
		return st != nil && len(st.Heartbeats) == 0 && st.ServerVersion > 0, fmt.Sprint(st)
	})
}

func TestHeartbeat_RowLockedBySomebody_IsNoFaultOfTheDisk(t *testing.T) {
	pair := installed(t)
	s := pair.Servers[0]
	if err := s.Exec(t.Context(), "INSERT INTO watchdog.heartbeat VALUES ('db1', now())"); err != nil {
		t.Fatal(err)
	}
	conn, err := s.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "BEGIN; SELECT FROM watchdog.heartbeat FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	p := beating(t, as(s, admin.RoleAct), "db1")
	for range 2 {
		if got := p.Probe(t.Context()); got.Verdict != replication.VerdictHealthy {
			t.Errorf("%+v", got)
		}
	}
}
