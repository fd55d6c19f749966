package story

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// TestRule4_OldRestoreCommand_SealedNodeStaysOnItsTimeline: the old primary has
// rows that nobody else has, and a restore_command that reaches the new
// primary's archive. It must not replay the new timeline on top of them.
func TestRule4_OldRestoreCommand_SealedNodeStaysOnItsTimeline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.neverTwoWritable()
	archive := filepath.Join(s.Dir, "archive")
	if err := os.Mkdir(archive, 0o700); err != nil {
		t.Fatal(err)
	}
	s.set("db1", fmt.Sprintf("restore_command = 'cp %s/%%f %%p'\n", archive))
	s.set("db2", fmt.Sprintf("archive_mode = on\narchive_command = 'cp %%p %s/%%f'\n", archive))
	s.restart("db2")
	s.awaitStreams("db1", "db2")
	s.diverge()
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")
	s.wants(0, "db2", "promote", "--confirm=db2", "--accept-data-loss", "unknown", "--no-input")
	s.archived(archive)

	s.gate("db1", fence.GateIsolated)
	s.wantsRecovery("db1", true)
	for sql, want := range map[string]string{
		"SELECT to_regclass('only_on_db1') IS NOT NULL":                             "true", // it still has its own rows
		"SELECT to_regclass('only_on_db2') IS NULL":                                 "true", // and none of the other history
		"SELECT min_recovery_end_timeline FROM pg_control_recovery()":               "1",
		"SELECT current_setting('restore_command')":                                 "",
		"SELECT current_setting('primary_conninfo')":                                "",
		"SELECT count(*) FROM pg_stat_wal_receiver":                                 "0",
		"SELECT current_setting('recovery_target_timeline', true)":                  "current",
		"SELECT pg_is_in_recovery() AND NOT pg_is_wal_replay_paused()":              "true",
		"SELECT setting <> '' FROM pg_file_settings WHERE name = 'restore_command'": "true", // the file was left alone
	} {
		if got, err := s.ask("db1", sql); err != nil || got != want {
			t.Errorf("%s: %q (%v), want %q", sql, got, err, want)
		}
	}
	if log := s.Pair.Server("db1").LogTail(1 << 20); strings.Contains(log, "restored log file") {
		t.Errorf("the sealed server read the archive:\n%s", log)
	}
}

// restart stops a server cleanly and starts it through its gate.
func (s *site) restart(node string) {
	s.t.Helper()
	if err := s.Pair.Server(node).Stop(limited(s.t), demo.StopFast); err != nil {
		s.t.Fatal(err)
	}
	if out, err := s.startThroughGate(node); err != nil {
		s.t.Fatalf("restart %s: %v: %s", node, err, out)
	}
}

// diverge lets the primary commit a table that its standby does not receive.
func (s *site) diverge() {
	s.t.Helper()
	s.conninfo("db2", "SET primary_conninfo = ''")
	testenv.Wait(s.t, 20*time.Second, "db2 receives nothing", func() (bool, string) {
		n, err := s.ask("db2", "SELECT count(*) FROM pg_stat_wal_receiver")
		return n == "0", fmt.Sprint(n, err)
	})
	if err := s.Pair.Server("db1").Exec(limited(s.t), "CREATE TABLE only_on_db1 AS SELECT generate_series(1, 1000) AS n"); err != nil {
		s.t.Fatal(err)
	}
	s.kill("db1") // before db2 may ask again
	s.conninfo("db2", "RESET primary_conninfo")
}

func (s *site) conninfo(node, change string) {
	s.t.Helper()
	for _, sql := range []string{"ALTER SYSTEM " + change, "SELECT pg_reload_conf()"} {
		if err := s.Pair.Server(node).Exec(limited(s.t), sql); err != nil {
			s.t.Fatal(err)
		}
	}
}

// archived writes on the new timeline until its history and a segment of it
// that overlaps the old one lie in the archive.
func (s *site) archived(archive string) {
	s.t.Helper()
	if err := s.Pair.Server("db2").Exec(limited(s.t), "CREATE TABLE only_on_db2()"); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Pair.Server("db2").Exec(limited(s.t), "SELECT pg_switch_wal()"); err != nil {
		s.t.Fatal(err)
	}
	testenv.Wait(s.t, 30*time.Second, "the new timeline is archived", func() (bool, string) {
		var names []string
		entries, err := os.ReadDir(archive)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		all := strings.Join(names, " ")
		return strings.Contains(all, "00000002.history") && strings.Contains(all, "00000002000000000000000"), fmt.Sprint(all, err)
	})
}
