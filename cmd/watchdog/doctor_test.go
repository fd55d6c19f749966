package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gestionale-fullstack/watchdog/watchdog/audit"
)

func put(t *testing.T, root, name string) {
	t.Helper()
	full := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUnitCheck_NotEnabledAtBoot_Fails(t *testing.T) {
	root := t.TempDir()
	if _, installed := unitCheck(root); installed {
		t.Error("a unit that is not installed was checked")
	}
	put(t, root, unitFile)
	if c, installed := unitCheck(root); !installed || c.Level != audit.Fail || c.Hint == "" {
		t.Errorf("%+v", c)
	}
	put(t, root, unitEnabled)
	if c, _ := unitCheck(root); c.Level != audit.OK {
		t.Errorf("%+v", c)
	}
}

// TestDoctorExit_Table holds the exit codes, which are an interface.
func TestDoctorExit_Table(t *testing.T) {
	for _, c := range []struct {
		counts                 doctorCounts
		reached, valid, strict bool
		want                   int
	}{
		{doctorCounts{OK: 3}, true, true, true, 0},
		{doctorCounts{OK: 3, Warn: 1}, true, true, false, 0},
		{doctorCounts{OK: 3, Warn: 1}, true, true, true, 1},
		{doctorCounts{Fail: 1, Unknown: 1}, true, true, false, 1},
		{doctorCounts{OK: 3, Unknown: 1}, true, true, false, 4},
		{doctorCounts{Fail: 1}, false, true, false, 4},
		{doctorCounts{Fail: 1}, false, false, false, 3},
		{doctorCounts{Fail: 1}, true, false, false, 3},
	} {
		if got := doctorExit(c.counts, c.reached, c.valid, c.strict); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
