package replication_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/admin"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

func audit(t *testing.T, to replication.Target) replication.Audit {
	t.Helper()
	a, err := replication.ReadAudit(soon(t), to)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// becomes waits until a reload has reached the server.
func becomes(t *testing.T, s *demo.Server, what string, ok func(replication.Audit) bool) {
	t.Helper()
	testenv.Wait(t, limit, what, func() (bool, string) {
		a := audit(t, as(s, admin.RoleMonitor))
		return ok(a), fmt.Sprintf("%+v %+v", a, a.Upstream)
	})
}

func set(t *testing.T, s *demo.Server, settings ...string) {
	t.Helper()
	for _, x := range settings {
		name, value, _ := strings.Cut(x, "=")
		if err := s.Exec(t.Context(), "ALTER SYSTEM SET "+name+" = '"+strings.ReplaceAll(value, "'", "''")+"'"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Exec(t.Context(), "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
}

// TestReadAudit_AsWatchingRole_SeesEverySetting: the rights that init-db gives
// must suffice, and no password leaves the server.
func TestReadAudit_AsWatchingRole_SeesEverySetting(t *testing.T) {
	pair := installed(t)
	primary, standby := pair.Servers[0], pair.Servers[1]
	on := audit(t, as(primary, admin.RoleMonitor))
	for _, name := range replication.AuditSettings {
		if _, seen := on.Settings[name]; !seen {
			t.Errorf("%s is not read", name)
		}
	}
	if on.InRecovery || !on.StatsVisible || on.ServerVersion < 130000 || len(on.Standbys) != 1 || len(on.Slots) != 1 || on.Upstream == nil || on.WalSenders != 1 {
		t.Errorf("primary: %+v", on)
	}
	if on.ServerVersion >= 150000 && len(on.Collations) == 0 {
		t.Error("no collation is read")
	}
	off := audit(t, as(standby, admin.RoleMonitor))
	if !off.InRecovery || off.Upstream == nil || !off.Upstream.Set || off.Upstream.Password || off.Settings["primary_slot_name"] == "" || len(off.PendingRestart) > 0 {
		t.Errorf("standby: %+v, %+v", off, off.Upstream)
	}
	set(t, standby, "primary_conninfo=host=127.0.0.1 port=1 user=postgres password = x", "max_connections=200", "archive_command=")
	becomes(t, standby, "password, pending restart, no archive command", func(a replication.Audit) bool {
		return a.Upstream.Password && len(a.PendingRestart) == 1 && !a.ArchiveSet
	})
	set(t, standby, "primary_conninfo=")
	becomes(t, standby, "no upstream", func(a replication.Audit) bool { return !a.Upstream.Set })
	set(t, standby, "primary_conninfo=postgresql://u:secret@127.0.0.1:1/")
	becomes(t, standby, "password of a URI", func(a replication.Audit) bool { return a.Upstream.Password })
	set(t, standby, "primary_conninfo=host=127.0.0.1 port=1 passfile=/x")
	becomes(t, standby, "passfile and no password", func(a replication.Audit) bool { return !a.Upstream.Password })
}

func TestTryReplication_HbaRefuses_SaysSo(t *testing.T) {
	pair := installed(t)
	standby := pair.Servers[1]
	to := as(standby, admin.RoleRepl)
	to.Database = ""
	if err := replication.TryReplication(soon(t), to); err != nil {
		t.Fatal(err)
	}
	rejectReplication(t, standby)
	err := replication.TryReplication(soon(t), to)
	if state := stateError(t, err); state.Verdict != replication.VerdictAuthRefused || state.Cause != "28000" {
		t.Errorf("verdict %s, cause %q: %v", state.Verdict, state.Cause, err)
	}
	if err := standby.Stop(context.WithoutCancel(t.Context()), demo.StopFast); err != nil {
		t.Fatal(err)
	}
	if state := stateError(t, replication.TryReplication(soon(t), to)); state.Verdict != replication.VerdictDown {
		t.Errorf("stopped: %s", state.Verdict)
	}
}

// rejectReplication lets nobody replicate over the network.
func rejectReplication(t *testing.T, s *demo.Server) {
	t.Helper()
	hba := "local all all trust\nhost replication all 127.0.0.1/32 reject\nhost all all 127.0.0.1/32 trust\n"
	if err := os.WriteFile(filepath.Join(s.DataDir, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, limit, "pg_hba.conf read again", func() (bool, string) {
		n, err := s.Ask(t.Context(), "SELECT count(*)::text FROM pg_hba_file_rules WHERE auth_method = 'reject'")
		return n == "1", fmt.Sprint(n, err)
	})
}
