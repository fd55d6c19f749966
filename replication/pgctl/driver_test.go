package pgctl_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// driverConformance is what every driver has to do with a real server, which
// newDriver leaves stopped.
func driverConformance(t *testing.T, newDriver func(t *testing.T, s *demo.Server) pgctl.Driver) {
	s := primary(t)
	ctx := within(t)
	if err := s.Stop(ctx, demo.StopFast); err != nil {
		t.Fatal(err)
	}
	d := newDriver(t, s)
	status := func() pgctl.Status {
		t.Helper()
		got, err := d.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	start := func() {
		t.Helper()
		if err := d.Start(ctx); err != nil {
			t.Fatal(err)
		}
		testenv.Wait(t, limit, "the server to answer", func() (bool, string) {
			in, err := s.InRecovery(ctx)
			return err == nil && !in, fmt.Sprint(in, err)
		})
	}
	stopped := func(state pgdata.State) {
		t.Helper()
		testenv.Wait(t, limit, "no server process", func() (bool, string) {
			got, err := d.Status(ctx)
			held, herr := pgdata.Holders(s.DataDir)
			return err == nil && herr == nil && !got.Running && len(pgdata.Servers(held)) == 0, fmt.Sprintf("%+v, %v, %v", got, err, held)
		})
		if c, err := pgdata.ReadControl(s.DataDir); err != nil || c.State != state {
			t.Errorf("state %v, %v; want %v", c.State, err, state)
		}
	}

	if d.Name() == "" {
		t.Error("driver without a name")
	}
	if got := status(); got.Running || len(got.Pids) != 0 || got.Restart == "" || got.Detail == "" {
		t.Errorf("stopped: %+v", got)
	}
	if err := d.Stop(ctx, pgctl.ModeFast); err != nil {
		t.Errorf("stop of a stopped server: %v", err)
	}
	start()
	first := s.Pid()
	if got := status(); !got.Running || !slices.Contains(got.Pids, first) {
		t.Errorf("running: %+v, want postmaster %d", got, first)
	}
	if err := d.Start(ctx); err != nil || s.Pid() != first {
		t.Errorf("start of a running server: %v, postmaster %d, was %d", err, s.Pid(), first)
	}
	if err := d.Stop(ctx, pgctl.ModeUnknown); err == nil || !status().Running {
		t.Errorf("stop without a mode: %v", err)
	}
	over, cancel := context.WithCancel(ctx)
	cancel()
	if err := d.Stop(over, pgctl.ModeFast); err == nil {
		t.Error("stop with an ended context gave no error")
	}
	if err := d.Start(over); err == nil {
		t.Error("start with an ended context gave no error")
	}
	if _, err := d.Status(over); err == nil {
		t.Error("status with an ended context gave no error")
	}
	if !status().Running {
		t.Fatal("a call with an ended context stopped the server")
	}
	if err := d.Stop(ctx, pgctl.ModeFast); err != nil {
		t.Error(err)
	}
	stopped(pgdata.StateShutDown)
	start()
	if err := d.Stop(ctx, pgctl.ModeImmediate); err != nil {
		t.Error(err)
	}
	stopped(pgdata.StateProduction)
	start()
	report, err := pgctl.StopVerified(ctx, d, s.DataDir, pgctl.DefaultLimits())
	if err != nil || !report.Proven || !report.Clean || !report.WasRunning || report.Driver != d.Name() {
		t.Errorf("%+v, %v", report, err)
	}
	stopped(pgdata.StateShutDown)
}

func pgCtl(s *demo.Server) pgctl.PgCtl {
	return pgctl.PgCtl{DataDir: s.DataDir, LogFile: s.LogFile}
}

func TestPgCtl_Conformance(t *testing.T) {
	driverConformance(t, func(t *testing.T, s *demo.Server) pgctl.Driver { return pgCtl(s) })
}

func TestSystemd_Conformance(t *testing.T) {
	if out, err := exec.CommandContext(t.Context(), "systemctl", "--user", "show", "--property=Version").CombinedOutput(); err != nil {
		t.Skipf("skipped: no systemd manager of this user answers: %v: %s", err, out)
	}
	driverConformance(t, func(t *testing.T, s *demo.Server) pgctl.Driver {
		b, err := pgctl.FindBinariesFor(s.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("pg-watchdog-test-%d.service", s.Port)
		dir := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "systemd", "user")
		text := fmt.Sprintf("[Service]\nType=notify\nExecStart=%s -D %s\nKillMode=mixed\nKillSignal=SIGINT\n", b.Path("postgres"), s.DataDir)
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(filepath.Join(dir, name)) })
		if out, err := exec.CommandContext(t.Context(), "systemctl", "--user", "daemon-reload").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return pgctl.Systemd{Unit: name, Privileged: pgctl.InProcess{User: true}}
	})
}

func TestPgCtlStart_ServerRefuses_ErrorCarriesItsLastWords(t *testing.T) {
	s := primary(t)
	ctx := within(t)
	if err := s.Stop(ctx, demo.StopFast); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(s.DataDir, "postgresql.auto.conf")
	if err := os.WriteFile(conf, []byte("no_such_setting_at_all = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, log := range map[string]string{"with a log": s.LogFile, "without": ""} {
		d := pgctl.PgCtl{DataDir: s.DataDir, LogFile: log}
		err := d.Start(ctx)
		if err == nil || !strings.Contains(err.Error(), "no_such_setting_at_all") || len(err.Error()) > 6<<10 {
			t.Errorf("%s: %v; want the server's words", name, err)
		}
	}
}

func TestPgCtlStart_BackendsWithoutPostmaster_Refuses(t *testing.T) {
	s := primary(t)
	orphanOf(t, s)
	if err := pgCtl(s).Start(within(t)); !errors.Is(err, pgctl.ErrStillHeld) {
		t.Errorf("error %v, want ErrStillHeld", err)
	}
	if got, err := pgCtl(s).Status(within(t)); err != nil || !got.Running || len(got.Pids) != 1 {
		t.Errorf("%+v, %v; want the orphan as running", got, err)
	}
}

func TestPgCtlStart_StarterEnds_ServerLivesOnInItsOwnSession(t *testing.T) {
	s := primary(t)
	ctx := within(t)
	if err := s.Stop(ctx, demo.StopFast); err != nil {
		t.Fatal(err)
	}
	if err := pgCtl(s).Start(ctx); err != nil {
		t.Fatal(err)
	}
	p, err := pgdata.ReadProcess(s.Pid())
	if err != nil || p.PPID == os.Getpid() || session(t, p.PID) == session(t, os.Getpid()) {
		t.Errorf("postmaster %+v in session %d, %v; we are %d in %d", p, session(t, p.PID), err, os.Getpid(), session(t, os.Getpid()))
	}
}
