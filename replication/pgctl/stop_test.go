package pgctl_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

func session(t *testing.T, pid int) int {
	t.Helper()
	sid, err := unix.Getsid(pid)
	if err != nil {
		t.Fatal(err)
	}
	return sid
}

// orphanOf leaves one backend of a killed postmaster, and gives its number. It is
// stopped, since an idle one would notice the end of its postmaster.
func orphanOf(t *testing.T, s *demo.Server) int {
	t.Helper()
	ctx := within(t)
	conn, err := s.Connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(syscall.Kill(pid, syscall.SIGSTOP), syscall.Kill(s.Pid(), syscall.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	awaitStopped(t, pid)
	testenv.Wait(t, limit, "the orphan alone", func() (bool, string) {
		held, err := pgdata.Holders(s.DataDir)
		left := pgdata.Servers(held)
		return err == nil && len(left) == 1 && left[0].PID == pid, fmt.Sprint(left, err)
	})
	return pid
}

// awaitStopped waits until SIGSTOP has taken effect.
func awaitStopped(t *testing.T, pid int) {
	t.Helper()
	testenv.Wait(t, limit, fmt.Sprintf("process %d to be stopped", pid), func() (bool, string) {
		p, err := pgdata.ReadProcess(pid)
		return err == nil && p.Stopped(), fmt.Sprint(p.State, err)
	})
}

// writer commits rows in a session opened before the stop, and counts what was
// acknowledged.
func writer(t *testing.T, s *demo.Server) *atomic.Int64 {
	t.Helper()
	ctx := within(t)
	if err := s.Exec(ctx, "CREATE TABLE ledger (n bigint)"); err != nil {
		t.Fatal(err)
	}
	conn, err := s.Connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	var acknowledged atomic.Int64
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			if _, err := conn.Exec(ctx, "INSERT INTO ledger VALUES ($1)", acknowledged.Load()); err != nil {
				return
			}
			acknowledged.Add(1)
		}
	}()
	t.Cleanup(func() {
		select {
		case <-over:
		case <-time.After(limit):
			t.Error("the session opened before the stop still writes")
		}
	})
	testenv.Wait(t, limit, "acknowledged rows", func() (bool, string) {
		return acknowledged.Load() > 20, fmt.Sprint(acknowledged.Load())
	})
	return &acknowledged
}

func names(r pgctl.StopReport) []string {
	var out []string
	for _, p := range r.Phases {
		out = append(out, p.Name)
	}
	return out
}

// proven fails unless the report says so and the directory agrees.
func proven(t *testing.T, s *demo.Server, r pgctl.StopReport, err error) {
	t.Helper()
	held, herr := pgdata.Holders(s.DataDir)
	if err != nil || herr != nil || !r.Proven || len(pgdata.Servers(held)) != 0 {
		t.Fatalf("%+v, %v; holders %v, %v", r, err, held, herr)
	}
	if _, err := os.Stat(filepath.Join(s.DataDir, pgdata.PostmasterPID)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("postmaster.pid afterwards: %v; want it gone", err)
	}
	if last := r.Phases[len(r.Phases)-1]; last.Left != 0 || r.Took <= 0 {
		t.Errorf("%+v", r)
	}
}

func TestStopVerified_SessionFromBefore_EndsAndWritesNoMore(t *testing.T) {
	s := primary(t)
	acknowledged := writer(t, s)
	r, err := pgctl.StopVerified(within(t), pgCtl(s), s.DataDir, pgctl.DefaultLimits())
	proven(t, s, r, err)
	if !slices.Equal(names(r), []string{"fast"}) || !r.Clean || !r.WasRunning || len(r.Killed) != 0 || r.Removed {
		t.Errorf("%+v; want a clean fast stop", r)
	}
	e, err := pgdata.EndOfWAL(s.DataDir, 0, 0, 0)
	if err != nil || !e.ShutdownCheckpoint {
		t.Errorf("end of WAL %+v, %v; want the shutdown checkpoint", e, err)
	}
	if n := acknowledged.Load(); n < 20 {
		t.Errorf("%d rows acknowledged", n)
	}
}

func TestStopVerified_AlreadyStopped_IsProvenWithoutKilling(t *testing.T) {
	s := primary(t)
	if err := s.Stop(within(t), demo.StopFast); err != nil {
		t.Fatal(err)
	}
	r, err := pgctl.StopVerified(within(t), pgCtl(s), s.DataDir, pgctl.DefaultLimits())
	proven(t, s, r, err)
	if r.WasRunning || len(r.Killed) != 0 || !r.Clean {
		t.Errorf("%+v", r)
	}
}

func TestStopVerified_StoppedPostmaster_IsKilledWithoutWaiting(t *testing.T) {
	s := primary(t)
	pid := s.Pid()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awaitStopped(t, pid)
	long := pgctl.Limits{Fast: time.Hour, Immediate: time.Hour, Kill: limit}
	r, err := pgctl.StopVerified(within(t), pgCtl(s), s.DataDir, long)
	proven(t, s, r, err)
	killed := slices.ContainsFunc(r.Killed, func(p pgdata.Process) bool { return p.PID == pid })
	if !slices.Equal(names(r), []string{"fast", "immediate", "kill"}) || !killed || r.Clean || !r.Removed || r.State != pgdata.StateProduction {
		t.Errorf("%+v", r)
	}
}

func TestStopVerified_BackendsOfADeadPostmaster_AreKilled(t *testing.T) {
	s := primary(t)
	orphan := orphanOf(t, s)
	long := pgctl.Limits{Fast: time.Hour, Immediate: time.Hour, Kill: limit}
	r, err := pgctl.StopVerified(within(t), pgCtl(s), s.DataDir, long)
	proven(t, s, r, err)
	if len(r.Killed) != 1 || r.Killed[0].PID != orphan || !r.Removed {
		t.Errorf("%+v; want only %d killed and the stale postmaster.pid removed", r, orphan)
	}
}

func TestStopVerified_StoppedBackend_DoesNotHoldUpAnImmediateStop(t *testing.T) {
	s := primary(t)
	ctx := within(t)
	conn, err := s.Connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awaitStopped(t, pid)
	r, err := pgctl.StopVerified(ctx, pgCtl(s), s.DataDir, pgctl.Limits{Fast: time.Hour, Immediate: limit, Kill: limit})
	proven(t, s, r, err)
	if !slices.Equal(names(r), []string{"fast", "immediate"}) || len(r.Killed) != 0 {
		t.Errorf("%+v; want the postmaster to have killed its own child", r)
	}
}

// liar is a driver whose commands succeed and do nothing, as a unit that
// is not the server's does.
type liar struct{ pgctl.PgCtl }

func (liar) Name() string                           { return "liar" }
func (liar) Stop(context.Context, pgctl.Mode) error { return nil }

func TestStopVerified_DriverLies_IsNotBelieved(t *testing.T) {
	s := primary(t)
	writer(t, s)
	postmaster := s.Pid()
	short := pgctl.Limits{Fast: 100 * time.Millisecond, Immediate: 100 * time.Millisecond, Kill: limit}
	r, err := pgctl.StopVerified(within(t), liar{pgCtl(s)}, s.DataDir, short)
	proven(t, s, r, err)
	// The postmaster's children notice its end by themselves, so some of them
	// are gone before their own SIGKILL; the postmaster never is.
	if !slices.Equal(names(r), []string{"fast", "immediate", "kill"}) || r.Clean || len(r.Killed) == 0 || r.Killed[0].PID != postmaster {
		t.Errorf("%+v; want postmaster %d killed first", r, postmaster)
	}
}

func TestStopVerified_NothingMayBeKilled_SaysWhoHoldsIt(t *testing.T) {
	s := primary(t)
	r, err := pgctl.StopVerified(within(t), liar{pgCtl(s)}, s.DataDir, pgctl.Limits{Fast: 50 * time.Millisecond})
	if !errors.Is(err, pgctl.ErrStillHeld) || r.Proven || r.Clean || r.Removed {
		t.Errorf("%+v, %v; want ErrStillHeld", r, err)
	}
	if s.Pid() == 0 {
		t.Error("postmaster.pid of a running server was removed")
	}
	over, cancel := context.WithCancel(within(t))
	cancel()
	if r, err := pgctl.StopVerified(over, liar{pgCtl(s)}, s.DataDir, pgctl.DefaultLimits()); err == nil || r.Proven {
		t.Errorf("with an ended context: %+v, %v", r, err)
	}
}

func TestStopVerified_OperatorsShell_IsLeftAlone(t *testing.T) {
	s := primary(t)
	shell := exec.CommandContext(t.Context(), "sh", "-c", "echo ready; read line")
	shell.Dir = s.DataDir
	in, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	r, err := pgctl.StopVerified(within(t), pgCtl(s), s.DataDir, pgctl.DefaultLimits())
	proven(t, s, r, err)
	if len(r.Bystanders) != 1 || r.Bystanders[0].PID != shell.Process.Pid {
		t.Errorf("%+v; want the shell as a bystander", r)
	}
	if _, err := in.Write([]byte("bye\n")); err != nil {
		t.Error(err)
	}
	if err := shell.Wait(); err != nil {
		t.Errorf("the shell ended with %v; want it to have lived to read a line", err)
	}
}

func TestSignal_NumberGivenToAnotherProcess_IsNotSent(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "read line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := pgdata.ReadProcess(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	other := p
	other.StartTicks--
	if err := pgctl.SignalHeld(other, syscall.SIGKILL); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want fs.ErrNotExist", err)
	}
	if _, err := in.Write([]byte("x\n")); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the other process ended with %v", err)
	}
	if err := pgctl.SignalHeld(p, syscall.SIGKILL); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after its end: %v, want fs.ErrNotExist", err)
	}
}

func TestWait_EndOfAnotherProcess_IsToldByTheKernel(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "read line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := pgdata.ReadProcess(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	first, err := pgctl.Hold(p)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if err := first.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while it lives: %v, want the deadline", err)
	}
	second, err := pgctl.Hold(p)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if !second.Told() {
		t.Log("no pidfd here: the end is polled for")
	}
	ended := make(chan error, 1)
	go func() { ended <- second.Wait(context.Background()) }()
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended: // before its status is asked for: a zombie has ended
		if err != nil {
			t.Error(err)
		}
	case <-time.After(limit):
		t.Error("its end went unnoticed")
	}
	_ = cmd.Wait() // read fails at the end of its input: status 1
}
