package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

const limit = 30 * time.Second

func reach(s *demo.Server) replication.Target {
	return replication.Target{Host: "127.0.0.1", Port: s.Port, User: "postgres", Database: "postgres", SSLMode: "disable", AppName: "audit"}
}

// examine reads a real pair as two services would.
func examine(t *testing.T, pair *demo.Pair) []Check {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	f := Facts{Asked: pair.Servers[0].Name}
	for i, s := range pair.Servers {
		l := &Local{Node: s.Name}
		if a, err := replication.ReadAudit(ctx, reach(s)); err != nil {
			l.ServerProblem = err.Error()
		} else {
			l.Server = &a
		}
		other := pair.Servers[1-i]
		to := reach(other)
		to.Database = ""
		try := Stream{To: other.Name, Role: "postgres"}
		err := replication.TryReplication(ctx, to)
		var refused *replication.StateError
		if try.OK = err == nil; errors.As(err, &refused) {
			try.Verdict, try.Cause = refused.Verdict, refused.Cause
		}
		l.Streams = []Stream{try}
		f.Nodes = append(f.Nodes, Node{Name: s.Name, Keyed: true, Local: l, Slot: demo.SlotName(s.Name)})
	}
	return Judge(f)
}

func alterSystem(t *testing.T, s *demo.Server, settings ...string) {
	t.Helper()
	for _, x := range append(settings, "") {
		sql := "SELECT pg_reload_conf()"
		if name, value, _ := strings.Cut(x, "="); x != "" {
			sql = "ALTER SYSTEM SET " + name + " = '" + value + "'"
		}
		if x == "ALL" {
			sql = "ALTER SYSTEM RESET ALL"
		}
		if err := s.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

func again(t *testing.T, s *demo.Server) {
	t.Helper()
	if err := errors.Join(s.Stop(t.Context(), demo.StopFast), s.Start(t.Context())); err != nil {
		t.Fatal(err)
	}
}

func hba(t *testing.T, s *demo.Server, method string) {
	t.Helper()
	text := "local all all trust\nhost replication all 127.0.0.1/32 " + method + "\nhost all all 127.0.0.1/32 trust\n"
	if err := os.WriteFile(filepath.Join(s.DataDir, "pg_hba.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// become waits until every named check of a node has the level.
func become(t *testing.T, pair *demo.Pair, want map[string]Level) {
	t.Helper()
	testenv.Wait(t, limit, "the findings", func() (bool, string) {
		checks, off := examine(t, pair), []string{}
		for key, level := range want {
			name, node, _ := strings.Cut(key, "@")
			if c, found := find(checks, name, node); !found || c.Level != level {
				off = append(off, fmt.Sprintf("%s: want %s, have %s %s", key, level, c.Level, c.Text))
			}
		}
		return len(off) == 0, strings.Join(off, "\n")
	})
}

// equal are the settings whose value a standby must reach.
var equal = []string{"max_connections=80", "max_wal_senders=14", "max_worker_processes=12", "max_prepared_transactions=10", "max_locks_per_transaction=128"}

// planted is what is wrong on the real pair, and the level of each.
var planted = map[string]Level{
	"max_connections@db2": Fail, "max_wal_senders@db2": Fail, "max_worker_processes@db2": Fail, "max_prepared_transactions@db2": Fail, "max_locks_per_transaction@db2": Fail,
	"wal_level@db2": Warn, "fsync@db1": Fail, "full_page_writes@db1": Fail, "restart_after_crash@db1": Warn, "pending_restart@db1": Warn,
	"archiving@db1": Fail, "max_slot_wal_keep_size@db1": Warn, "synchronous_standby_names@db1": Fail, "collation_version@db1": Fail,
	"recovery_target_timeline@db2": Fail, "max_replication_slots@db2": Fail, "primary_slot_name@db2": Fail, "conninfo_password@db2": Fail,
	"recovery_min_apply_delay@db2": Fail, "replication_login_db2@db1": Fail,
}

// TestJudge_RealPairWithTwentyMistakes_AllFoundAndAllResolved plants them by SQL
// and files on real servers, and mends them as the hints say.
func TestJudge_RealPairWithTwentyMistakes_AllFoundAndAllResolved(t *testing.T) {
	pair := testenv.NewPair(t)
	primary, standby := pair.Servers[0], pair.Servers[1]
	collations := replicationCollations(t, primary)
	mended := map[string]Level{}
	for key := range planted {
		if key != "collation_version@db1" || collations {
			mended[key] = OK
		}
	}
	delete(mended, "archiving@db1") // off, and ok for that
	alterSystem(t, primary, "max_slot_wal_keep_size=1GB")
	become(t, pair, without(mended, "synchronous_standby_names@db1"))

	// The standby first: with the primary's values in WAL it would not start again.
	hba(t, standby, "reject")
	alterSystem(t, standby, "max_replication_slots=0", "recovery_target_timeline=current", "recovery_min_apply_delay=1h")
	again(t, standby)
	alterSystem(t, standby, "primary_slot_name=nope", "primary_conninfo=host=127.0.0.1 port=1 user=postgres password=x")
	if collations {
		if err := primary.Exec(t.Context(), "UPDATE pg_database SET datcollversion = '1.0' WHERE datname = 'postgres'"); err != nil {
			t.Fatal(err)
		}
	}
	alterSystem(t, primary, append([]string{"wal_level=logical", "archive_mode=on", "archive_command=false"}, equal...)...)
	again(t, primary)
	if err := primary.Exec(t.Context(), "CREATE TABLE t (); SELECT pg_switch_wal()"); err != nil {
		t.Fatal(err)
	}
	alterSystem(t, primary, "fsync=off", "full_page_writes=off", "restart_after_crash=off", "max_slot_wal_keep_size=-1", "max_files_per_process=900", "synchronous_standby_names=ghost")
	found := planted
	if !collations {
		found = without(planted, "collation_version@db1")
	}
	become(t, pair, found)
	t.Logf("%d of %d found", len(found), len(planted))

	hba(t, standby, "trust")
	alterSystem(t, primary, append([]string{"ALL", "max_slot_wal_keep_size=1GB", "wal_level=logical"}, equal...)...)
	if collations {
		if err := primary.Exec(t.Context(), "UPDATE pg_database SET datcollversion = NULL WHERE datname = 'postgres'"); err != nil {
			t.Fatal(err)
		}
	}
	again(t, primary)
	alterSystem(t, standby, append([]string{"ALL", "wal_level=logical"}, equal...)...)
	again(t, standby)
	become(t, pair, mended)
}

func without(m map[string]Level, key string) map[string]Level {
	out := map[string]Level{}
	for k, v := range m {
		if k != key {
			out[k] = v
		}
	}
	return out
}

// replicationCollations says whether the server keeps collation versions.
func replicationCollations(t *testing.T, s *demo.Server) bool {
	t.Helper()
	v, err := s.Ask(t.Context(), "SELECT current_setting('server_version_num')::int >= 150000")
	if err != nil {
		t.Fatal(err)
	}
	return v == "true"
}
