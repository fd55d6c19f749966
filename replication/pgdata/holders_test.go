package pgdata_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// namesake is a process of our own user under the name given as its argument.
// With "hidden" the kernel shows its working directory to nobody but root.
var namesake = testenv.Command{Name: "namesake", Run: func() int {
	if err := os.WriteFile("/proc/self/comm", []byte(os.Args[1]), 0); err != nil {
		return 2
	}
	if slices.Contains(os.Args, "hidden") {
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return 2
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test closes it
	return 0
}}

// child runs a command that ends when the test does, and returns when it has
// printed something.
func child(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatalf("child said nothing: %v", err)
	}
}

func TestHolders_RunningServer_ListsAllOfItAndOnePostmaster(t *testing.T) {
	s := testenv.SharedPair(t).Servers[0]
	got, err := pgdata.Holders(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.Processes()
	if err != nil {
		t.Fatal(err)
	}
	var pids, masters []int
	for _, p := range got {
		if !p.Server || p.Zombie || p.StartTicks == 0 || p.Title == "" {
			t.Errorf("%+v", p)
		}
		pids = append(pids, p.PID)
		if p.IsPostmaster {
			masters = append(masters, p.PID)
		}
	}
	if !slices.Equal(masters, []int{s.Pid()}) {
		t.Errorf("postmasters %v, want only %d", masters, s.Pid())
	}
	// Backends come and go between two readings; what the server keeps does not.
	both := slices.DeleteFunc(want, func(pid int) bool { return !slices.Contains(pids, pid) })
	if len(both) < 5 {
		t.Errorf("processes %v; a server has at least 5 of them for good", pids)
	}
}

func TestHolders_ThroughASymbolicLink_AreTheSame(t *testing.T) {
	s := testenv.SharedPair(t).Servers[0]
	link := t.TempDir() + "/link"
	if err := os.Symlink(s.DataDir, link); err != nil {
		t.Fatal(err)
	}
	got, err := pgdata.Holders(link)
	if err != nil || len(pgdata.Servers(got)) < 5 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestHolders_PostmasterKilledBackendsBlocked_StillHeld(t *testing.T) {
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
	// A stopped backend does not notice the end of its postmaster, as a busy
	// one does not.
	if err := syscall.Kill(backend, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, limit, "only the backend to be left", func() (bool, string) {
		got, err := pgdata.Holders(s.DataDir)
		left := pgdata.Servers(got)
		return err == nil && len(left) == 1 && left[0].PID == backend && left[0].Stopped() && !left[0].IsPostmaster,
			fmt.Sprint(left, err)
	})
	if err := syscall.Kill(backend, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, limit, "nothing to hold the directory", func() (bool, string) {
		got, err := pgdata.Holders(s.DataDir)
		return err == nil && len(pgdata.Living(got)) == 0, fmt.Sprint(got, err)
	})
}

func TestHolders_OperatorsShell_HoldsButIsNoServer(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "echo ready; read line")
	cmd.Dir = dir
	child(t, cmd)
	got, err := pgdata.Holders(dir)
	if err != nil || len(got) != 1 || got[0].PID != cmd.Process.Pid || got[0].Server {
		t.Errorf("%+v, %v; want the shell, not as a server", got, err)
	}
	if left := pgdata.Servers(got); len(left) != 0 {
		t.Errorf("servers %v", left)
	}
}

func TestHolders_ZombiePostmaster_IsToldApart(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), testenv.CommandPath(t, "namesake"), "postgres")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait() //nolint:errcheck // asks for its status only after the test, so it stays a zombie
	if err := os.WriteFile(dir+"/postmaster.pid", fmt.Appendf(nil, "%d\n%s\n1\n", cmd.Process.Pid, dir), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, limit, "a zombie in the list", func() (bool, string) {
		got, err := pgdata.Holders(dir)
		ok := err == nil && len(got) == 1 && got[0].Zombie && got[0].PID == cmd.Process.Pid && len(pgdata.Living(got)) == 0
		return ok, fmt.Sprintf("%+v, %v", got, err)
	})
}

// The unreadable process is real. Only the name "postgres" is written into a
// copy of its status, since under that name it would disturb whoever else looks
// for servers of this user at the same time.
func TestHolders_ServerThatCannotBeRead_IsIncomplete(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read every process")
	}
	cmd := exec.CommandContext(t.Context(), testenv.CommandPath(t, "namesake"), "sshd", "hidden")
	child(t, cmd)
	pid := strconv.Itoa(cmd.Process.Pid)
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		want error
	}{{"sshd", nil}, {"postgres", pgdata.ErrIncomplete}} {
		proc, dir := t.TempDir(), t.TempDir()
		if err := os.Mkdir(filepath.Join(proc, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"cwd", "exe", "cmdline", "status"} {
			if err := os.Symlink("/proc/"+pid+"/"+f, filepath.Join(proc, pid, f)); err != nil {
				t.Fatal(err)
			}
		}
		text := strings.Replace(string(stat), "(sshd)", "("+c.name+")", 1)
		if err := os.WriteFile(filepath.Join(proc, pid, "stat"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := pgdata.HoldersIn(proc, dir)
		if !errors.Is(err, c.want) || len(got) != 0 {
			t.Errorf("beside an unreadable %s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

func TestHolders_MissingDirectory_IsAnError(t *testing.T) {
	if got, err := pgdata.Holders(t.TempDir() + "/none"); err == nil {
		t.Errorf("%v without an error", got)
	}
}
