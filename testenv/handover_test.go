package testenv

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMain_NeverRunsTestsAsRootWherePostgresIs(t *testing.T) {
	NeedPostgres(t)
	if os.Geteuid() == 0 {
		t.Error("tests run as root: initdb will refuse")
	}
	for _, dir := range []string{os.TempDir(), os.Getenv("HOME")} {
		file := filepath.Join(dir, "watchdog-probe")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Errorf("the test's own folder is closed to it: %v", err)
		}
		if err := os.Remove(file); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat("handover_test.go"); err != nil {
		t.Errorf("the package's folder is out of reach: %v", err)
	}
}

func TestRedirect_OutputFlagsPointIntoTheFolder_AndComeBack(t *testing.T) {
	out, caller := t.TempDir(), t.TempDir()
	args, files := redirect([]string{
		"-test.v=true", "-test.coverprofile=cover.out", "-test.outputdir=" + caller, "-test.cpuprofile=",
		"-test.testlogfile=" + filepath.Join(caller, "log"), "-test.gocoverdir=" + caller, "--test.trace=trace.out", "-own=1",
	}, out)
	want := []string{
		"-test.v=true", "-test.coverprofile=" + filepath.Join(out, "coverprofile"), "-test.cpuprofile=",
		"-test.testlogfile=" + filepath.Join(out, "testlogfile"), "-test.gocoverdir=" + filepath.Join(out, "gocoverdir"),
		"-test.trace=" + filepath.Join(out, "trace"), "-own=1",
	}
	if !slices.Equal(args, want) {
		t.Errorf("arguments\n%q, want\n%q", args, want)
	}
	if err := os.MkdirAll(filepath.Join(out, "gocoverdir"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"coverprofile", "testlogfile", "gocoverdir/counters"} { // no trace was written
		if err := os.WriteFile(filepath.Join(out, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := bringBack(files); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"cover.out": "coverprofile", "log": "testlogfile", "counters": "gocoverdir/counters"} {
		if got, err := os.ReadFile(filepath.Join(caller, file)); err != nil || string(got) != text {
			t.Errorf("%s holds %q, %v; want %q", file, got, err, text)
		}
	}
}

func TestRunsInPlace(t *testing.T) {
	tests := map[string]bool{
		"-test.v=true": false, "-test.fuzz=": false, "-test.fuzz=FuzzX": true,
		"-test.fuzzworker": true, "-test.list=.": true, "-test.run=list": false, "fuzz=x": false,
	}
	for arg, want := range tests {
		if got := runsInPlace([]string{"binary", arg}); got != want {
			t.Errorf("%s: %v, want %v", arg, got, want)
		}
	}
}

func TestCommandPath_RunsAsItsOwnProgram(t *testing.T) {
	program := CommandPath(t, echoCommand, "GREETING=it's $HOME")
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "two words", "-test.v")
	cmd.Stdout = &out
	err := cmd.Run()
	if got, want := strings.TrimSpace(out.String()), `it's $HOME ["two words" "-test.v"]`; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("ended with %v, want exit status 3", err)
	}
	unknown := exec.CommandContext(t.Context(), CommandPath(t, "nobody"))
	if err := unknown.Run(); unknown.ProcessState.ExitCode() != 127 {
		t.Errorf("a command that the binary does not hold ended with %v, want exit status 127", err)
	}
}
