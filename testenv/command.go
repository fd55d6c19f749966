package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// commandVariable names, in a child's environment, the command that the test
// binary is to be instead of running tests.
const commandVariable = "WATCHDOG_TEST_COMMAND"

// Command is a program that the test binary carries in itself, so that a test
// can start it as a real process without a compiler at hand.
type Command struct {
	Name string
	Run  func() int // reads os.Args[1:], gives the exit status
}

// AsCommand is true in a test binary that was started to be a command: what a
// TestMain prepares for tests before it calls Main is not needed then.
func AsCommand() bool { return os.Getenv(commandVariable) != "" }

func runCommand(name string, commands []Command) int {
	for _, c := range append(commands, Command{Name: shamCommand, Run: shamPowerMain}) {
		if c.Name == name {
			return c.Run()
		}
	}
	fmt.Fprintf(os.Stderr, "testenv: this test binary holds no command %q\n", name)
	return 127
}

// CommandPath makes an executable file that runs a command given to Main, and
// returns its path. The variables, KEY=value, are set for it.
func CommandPath(t testing.TB, name string, variables ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := writeCommand(path, name, variables...); err != nil {
		t.Fatalf("make command %s: %v", name, err)
	}
	return path
}

func writeCommand(path, name string, variables ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// A binary built with -race sleeps a second when it ends, unless told not to.
	script := "#!/bin/sh\nexec env GORACE=atexit_sleep_ms=0 " + commandVariable + "=" + quote(name)
	for _, v := range variables {
		script += " " + quote(v)
	}
	script += " " + quote(self) + ` "$@"` + "\n"
	return os.WriteFile(path, []byte(script), 0o755)
}

// quote makes one word of s for /bin/sh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
