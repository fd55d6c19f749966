package testenv

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// call runs a fence agent with options on standard input, for at most limit.
func call(t *testing.T, limit time.Duration, program string, options ...string) (status int, text string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Stdin = strings.NewReader(strings.Join(options, "\n") + "\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exit.ExitCode(), out.String(), nil
	}
	return 0, out.String(), err
}

// TestShamPower_SpeaksAsARealAgent asks the same of Debian's fence_dummy and
// of ours: what a device test proves with the one must hold for the other.
func TestShamPower_SpeaksAsARealAgent(t *testing.T) {
	sham := NewShamPower(t, ShamOK, nil)
	sham.Plug("db1", nil)
	agents := map[string][]string{sham.Path(): {"plug=db1"}}
	if real, err := exec.LookPath("fence_dummy"); err == nil {
		agents[real] = []string{"type=file", "status_file=" + filepath.Join(t.TempDir(), "status")}
	}
	steps := []struct {
		action string
		status int
	}{{"on", 0}, {"status", 0}, {"off", 0}, {"status", 2}, {"monitor", 0}, {"bogus", 1}}
	for program, options := range agents {
		for _, step := range steps {
			got, text, err := call(t, 30*time.Second, program, append(options, "action="+step.action)...)
			if err != nil || got != step.status {
				t.Errorf("%s action=%s: exit status %d, %v, want %d\n%s", filepath.Base(program), step.action, got, err, step.status, text)
			}
		}
	}
	if n := len(sham.Calls()); n != len(steps) {
		t.Errorf("%d calls recorded, want %d", n, len(steps))
	}
}

func TestShamPower_Off_KillsTheNodeAndNothingElse(t *testing.T) {
	p := NewPair(t)
	sham := NewShamPower(t, ShamOK, p)
	if got, text, err := call(t, 30*time.Second, sham.Path(), "plug=db1", "action=off"); got != 0 || err != nil {
		t.Fatalf("off: %d, %v\n%s", got, err, text)
	}
	if p.Servers[0].Running() || !sham.IsOff("db1") {
		t.Error("db1 runs after its power was cut")
	}
	if !p.Servers[1].Running() || sham.IsOff("db2") {
		t.Error("db2 went down with db1's plug")
	}
}

func TestShamPower_BadModes(t *testing.T) {
	sham := NewShamPower(t, ShamLie, nil)
	sham.Plug("db1", nil)
	status := func(action string) int {
		t.Helper()
		got, text, err := call(t, 30*time.Second, sham.Path(), "plug=db1", "action="+action)
		if err != nil {
			t.Fatalf("%s: %v\n%s", action, err, text)
		}
		return got
	}
	if off, after := status("off"), status("status"); off != 0 || after != 0 || sham.IsOff("db1") {
		t.Errorf("lie: off %d, status %d, off in truth %v; want 0, 0 (on), false", off, after, sham.IsOff("db1"))
	}
	sham.SetMode(ShamSlow)
	got := []int{status("off"), status("status"), status("status"), status("status")}
	if want := []int{0, 0, 0, 2}; !slices.Equal(got, want) {
		t.Errorf("slow: off and three status requests gave %v, want %v", got, want)
	}
	sham.SetMode(ShamFail)
	if got := status("off"); got != 1 {
		t.Errorf("fail: off gave %d, want 1", got)
	}
	sham.SetMode(ShamBlind)
	if got := status("status"); got != agentStatus {
		t.Errorf("blind: status gave %d, want %d", got, agentStatus)
	}
	sham.SetMode(ShamHang)
	if got, _, err := call(t, 300*time.Millisecond, sham.Path(), "plug=db1", "action=off"); err == nil {
		t.Errorf("hang: off ended with %d, want none within the limit", got)
	}
	sham.SetMode(ShamMissing)
	if _, _, err := call(t, time.Second, sham.Path(), "plug=db1", "action=off"); err == nil {
		t.Error("missing: the program could be started")
	}
}
