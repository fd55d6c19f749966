package pgdata_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

func TestPostmaster_RunningServer_IsTheOneThatHoldersMark(t *testing.T) {
	s := testenv.SharedPair(t).Servers[0]
	p, runs := pgdata.Postmaster(s.DataDir)
	if !runs || p.PID != s.Pid() || !p.Server || !p.IsPostmaster {
		t.Errorf("%+v, %v; want process %d", p, runs, s.Pid())
	}
}

// A backend outlives its killed postmaster and may go on committing: the short
// look sees nothing, and says nothing.
func TestPostmaster_KilledWithABackendLeft_ProvesNothing(t *testing.T) {
	ctx := within(t)
	s := testenv.NewPair(t).Servers[0]
	conn, err := s.Connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	var backend int
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		t.Fatal(err)
	}
	for _, kill := range []struct {
		pid int
		sig syscall.Signal
	}{{backend, syscall.SIGSTOP}, {s.Pid(), syscall.SIGKILL}} {
		if err := syscall.Kill(kill.pid, kill.sig); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Wait(t, limit, "the postmaster to be gone", func() (bool, string) {
		p, runs := pgdata.Postmaster(s.DataDir)
		return !runs, p.String()
	})
	held, err := pgdata.Holders(s.DataDir)
	if err != nil || len(pgdata.Servers(held)) == 0 {
		t.Errorf("holders %v, %v; want the backend", held, err)
	}
}

func TestPostmaster_PIDFileNamesSomebodyElse_IsNoServer(t *testing.T) {
	other := testenv.SharedPair(t).Servers[0]
	dir := t.TempDir()
	shell := exec.CommandContext(t.Context(), "sh", "-c", "echo ready; read line")
	shell.Dir = dir
	child(t, shell)
	for name, pid := range map[string]int{
		"the server of another directory": other.Pid(), "a shell in the directory": shell.Process.Pid, "nobody": 1 << 29,
	} {
		if err := os.WriteFile(dir+"/postmaster.pid", fmt.Appendf(nil, "%d\n%s\n1\n", pid, dir), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, runs := pgdata.Postmaster(dir); runs {
			t.Errorf("%s counts as the postmaster: %+v", name, p)
		}
	}
}
