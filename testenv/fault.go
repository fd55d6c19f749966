package testenv

import (
	"errors"
	"syscall"
	"testing"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// KillPostmaster kills the postmaster alone, with SIGKILL. Its backends find
// out when they next wait for a client; a busy one goes on committing.
func KillPostmaster(t testing.TB, s *demo.Server) {
	t.Helper()
	signalPostmaster(t, s, syscall.SIGKILL)
}

// StopPostmaster freezes the postmaster alone: sessions go on, new connections
// are accepted by the kernel and then hang. It is thawed when the test ends.
func StopPostmaster(t testing.TB, s *demo.Server) {
	t.Helper()
	signalPostmaster(t, s, syscall.SIGSTOP)
	t.Cleanup(func() { thaw(t, s) })
}

// StopGroup freezes every process of the server; thawed when the test ends.
func StopGroup(t testing.TB, s *demo.Server) {
	t.Helper()
	signalGroup(t, s, syscall.SIGSTOP)
	t.Cleanup(func() { thaw(t, s) })
}

// Continue thaws what StopPostmaster or StopGroup froze.
func Continue(t testing.TB, s *demo.Server) {
	t.Helper()
	signalGroup(t, s, syscall.SIGCONT)
}

// KillServer ends every process of the server at once.
func KillServer(t testing.TB, s *demo.Server) {
	t.Helper()
	if err := s.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func thaw(t testing.TB, s *demo.Server) {
	if s.Running() {
		signalGroup(t, s, syscall.SIGCONT)
	}
}

func signalPostmaster(t testing.TB, s *demo.Server, sig syscall.Signal) {
	t.Helper()
	pid := s.Pid()
	if pid == 0 {
		t.Fatalf("send %v to the postmaster of %s: it does not run", sig, s.Name)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatalf("send %v to the postmaster of %s: %v", sig, s.Name, err)
	}
}

func signalGroup(t testing.TB, s *demo.Server, sig syscall.Signal) {
	t.Helper()
	pids, err := s.Processes()
	if err != nil {
		t.Fatalf("send %v to %s: %v", sig, s.Name, err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatalf("send %v to process %d of %s: %v", sig, pid, s.Name, err)
		}
	}
}
