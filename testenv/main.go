package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// Main runs a package's tests as a user that PostgreSQL accepts, and ends the
// process:
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
//
// initdb and postgres refuse root, and a data directory must belong to who
// runs the server. So as root the test binary is copied to a folder that the
// user postgres reaches and started again as postgres, with all its flags; its
// exit status and the files it was to write are passed on. As any other user,
// or where there is no user postgres, the tests run in place.
//
// Commands are programs that this binary can be asked to be, see Command.
func Main(m *testing.M, commands ...Command) { os.Exit(runMain(m, commands)) }

func runMain(m *testing.M, commands []Command) int {
	if name := os.Getenv(commandVariable); name != "" {
		return runCommand(name, commands)
	}
	owner, err := demo.FindOwner()
	if err != nil || !owner.Switch || runsInPlace(os.Args) {
		return runTests(m)
	}
	code, err := runAs(owner)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testenv: run tests as "+owner.User+":", err)
		return 1
	}
	return code
}

// RunTests runs the tests in this process, as the user that it has, and closes
// what they shared.
func RunTests(m *testing.M) int { return runTests(m) }

// Rerun starts this test binary once more, with all its flags and another
// environment and attributes, and gives its exit status. The child dies with
// this process.
func Rerun(attr syscall.SysProcAttr, env ...string) (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	attr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr = &attr
	err := runForwarding(cmd)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exitCode(exit), nil
	}
	return 0, err
}

func runTests(m *testing.M) int {
	code := m.Run()
	if shared.pair == nil {
		return code
	}
	if err := shared.pair.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		return max(code, 1)
	}
	return code
}

// runAs starts a copy of this test binary as the owner and waits for it.
func runAs(owner demo.Owner) (code int, err error) {
	dir, err := handOverDir(owner)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program := filepath.Join(dir, "test")
	if err := copySelf(program); err != nil {
		return 0, err
	}
	args, files := redirect(os.Args[1:], filepath.Join(dir, "out"))
	cmd := exec.Command(program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "HOME="+filepath.Join(dir, "home"), "TMPDIR="+filepath.Join(dir, "tmp"),
		"USER="+owner.User, "LOGNAME="+owner.User)
	if cmd.Dir, err = workingFolder(owner, dir); err != nil {
		return 0, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner.Credential(), Pdeathsig: syscall.SIGKILL}
	if err := runForwarding(cmd); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			return 0, err
		}
		code = exitCode(exit)
	}
	return code, bringBack(files)
}

func exitCode(e *exec.ExitError) int {
	if status, ok := e.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return e.ExitCode()
}

// runForwarding passes on the signals by which `go test` and a terminal end a
// test. The thread is kept because the child's death signal hangs on it.
func runForwarding(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return err
	}
	over, idle := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(idle)
		for {
			select {
			case s := <-signals:
				_ = cmd.Process.Signal(s)
			case <-over:
				return
			}
		}
	}()
	err := cmd.Wait()
	close(over)
	<-idle
	return err
}

// handOverDir makes a folder of the owner's that he can reach. Its name is
// short because paths of unix sockets grow below it.
func handOverDir(owner demo.Owner) (string, error) {
	dir, err := owner.TempDir("wdt-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"home", "tmp", "out", "out/gocoverdir"} {
		if err := owner.Mkdir(filepath.Join(dir, name)); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
	}
	return dir, nil
}

// workingFolder is empty when the package's folder, which is the present one
// and stays so across the change of user, can be read by everybody; otherwise
// a copy of it. A closed folder further up does no harm.
func workingFolder(owner demo.Owner, dir string) (string, error) {
	info, err := os.Stat(".")
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o005 == 0o005 {
		return "", nil
	}
	src := filepath.Join(dir, "src")
	if err := os.CopyFS(src, os.DirFS(".")); err != nil {
		return "", err
	}
	return src, filepath.WalkDir(src, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, owner.UID, owner.GID)
	})
}

func copySelf(to string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := copyFile(self, to); err != nil {
		return err
	}
	return os.Chmod(to, 0o755)
}
