package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// programVariable hands the built program over to the tests, which may go on
// as another user, who has neither the compiler's cache nor the modules.
const programVariable = "WATCHDOG_TEST_PROGRAM"

// MainWithProgram is Main for packages whose tests run the watchdog program as
// real processes: it builds ./cmd/watchdog of this tree once, with the given
// flags of go build, before the tests become another user, and removes it at
// the end. See Program.
func MainWithProgram(m *testing.M, flags []string, commands ...Command) {
	if AsCommand() {
		Main(m, commands...)
	}
	WithProgram(flags, func() int { return runMain(m, commands) })
}

// WithProgram is for a TestMain that starts its tests in a way of its own: it
// builds the program, once, calls run and ends the process with its result.
func WithProgram(flags []string, run func() int) {
	if os.Getenv(programVariable) != "" {
		os.Exit(run())
	}
	dir, err := buildProgram(flags)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testenv: build the program:", err)
		os.Exit(1)
	}
	_ = os.Setenv(programVariable, filepath.Join(dir, "watchdog"))
	if os.Getenv("GORACE") == "" {
		// A program built with -race sleeps a second when it ends, unless told
		// not to; and a race that was reported must not hide what comes after.
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0 halt_on_error=0")
	}
	code := run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// Program is the path of the program that MainWithProgram built.
func Program(t testing.TB) string {
	t.Helper()
	path := os.Getenv(programVariable)
	if path == "" {
		t.Fatal("no program: this package's TestMain must call testenv.MainWithProgram")
	}
	return path
}

func buildProgram(flags []string) (string, error) {
	dir, err := os.MkdirTemp("", "wd-program-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	args := append([]string{"build", "-o", filepath.Join(dir, "watchdog")}, flags...)
	cmd := exec.Command("go", append(args, "github.com/gestionale-fullstack/watchdog/cmd/watchdog")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
}
