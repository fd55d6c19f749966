package main

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gestionale-fullstack/watchdog/testenv"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"watchdog": main, "pg-watchdog": main})
}

// TestScripts runs the command lines of testdata/*.txtar against the real
// server of watchdog/control on a real socket; what it answers stands in the
// script's own files.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "UTC")
			e.Setenv("WATCHDOG_SOCKET", filepath.Join(e.WorkDir, "control.sock"))
			t, ok := e.T().(testing.TB)
			if !ok {
				return errors.New("the script has no test behind it")
			}
			e.Values[testKey{}] = t
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"service": startService,
			"exits":   exits,
			"until":   until,
		},
	})
}

// exits runs a command and wants its exit code: exits CODE COMMAND ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%s: exit %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// until waits for a text in a file: until FILE TEXT
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: until FILE TEXT")
	}
	t, ok := ts.Value(testKey{}).(testing.TB)
	if !ok {
		ts.Fatalf("until needs a service: it brings the test")
	}
	testenv.Wait(t, 20*time.Second, args[1]+" in "+args[0], func() (bool, string) {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err != nil {
			return false, err.Error()
		}
		return strings.Contains(string(b), args[1]), string(b)
	})
}

type testKey struct{}
