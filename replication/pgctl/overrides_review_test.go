package pgctl_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// isolatedStart crashes the primary and starts it as the gate would start a
// sealed one.
func isolatedStart(ctx context.Context, t *testing.T, s *demo.Server) error {
	t.Helper()
	if err := s.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	if err := pgctl.WriteStandbySignal(s.DataDir); err != nil {
		t.Fatal(err)
	}
	b, err := pgctl.FindBinariesFor(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := pgctl.IsolatedStandbyIn(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	d := pgCtl(s)
	if d.StartCommand, err = pgctl.ApplyOverrides([]string{b.Path("pg_ctl"), "start", "-w", "-D", s.DataDir, "-l", s.LogFile}, settings); err != nil {
		t.Fatal(err)
	}
	return d.Start(ctx)
}

// A trigger file of the days of PostgreSQL 15 that still lies about promoted the
// sealed server within milliseconds of its start.
func TestIsolatedStandby_TriggerFileLiesAbout_StaysReadOnly(t *testing.T) {
	s := primary(t)
	ctx := within(t)
	trigger := filepath.Join(s.DataDir, "trigger")
	if err := s.Exec(ctx, "ALTER SYSTEM SET promote_trigger_file = '"+trigger+"'"); err != nil {
		t.Skip("this version has no trigger file: ", err)
	}
	if err := os.WriteFile(trigger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := isolatedStart(ctx, t, s); err != nil {
		t.Fatal(err)
	}
	// The startup process has looked for the trigger before it lets anybody in.
	if in, err := s.InRecovery(ctx); err != nil || !in {
		t.Errorf("in recovery %v, %v", in, err)
	}
	if err := s.Exec(ctx, "CREATE TABLE written ()"); err == nil {
		t.Error("the sealed server took a write")
	}
	if _, err := os.Stat(trigger); err != nil {
		t.Errorf("the trigger was obeyed: %v", err)
	}
}

// What a point-in-time restore left in postgresql.auto.conf ended the start.
func TestIsolatedStandby_TargetOfAnOldRestore_ComesUpReadOnly(t *testing.T) {
	s := primary(t)
	ctx := within(t)
	for _, sql := range []string{"CHECKPOINT", "CREATE TABLE t ()", "ALTER SYSTEM SET recovery_target_time = '2020-01-01 00:00:00'",
		"ALTER SYSTEM SET recovery_target_action = 'promote'", "CREATE TABLE u ()"} {
		if err := s.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := isolatedStart(ctx, t, s); err != nil {
		t.Fatal(err)
	}
	if in, err := s.InRecovery(ctx); err != nil || !in {
		t.Errorf("in recovery %v, %v", in, err)
	}
	if n, err := s.Ask(ctx, "SELECT count(*)::text FROM pg_class WHERE relname IN ('t', 'u')"); err != nil || n != "2" {
		t.Errorf("%s of two tables, %v", n, err)
	}
}
