package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gestionale-fullstack/watchdog/watchdog/bootgate"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

// A former primary whose configuration is gone must not start as configured: the
// gate passes without one only where nothing shows that it ever had one.
func TestGateNeverSetUp_OnlyWithoutAnyTrace(t *testing.T) {
	if _, err := os.Stat(config.DefaultFile); err == nil {
		t.Skip("this machine has a configuration at the packaged place")
	}
	fresh, adopted := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(adopted, bootgate.AdoptedMark), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		config, pgdata string
		command        []string
		want           bool
	}{
		"installed, nothing else":                {"", "", nil, true},
		"the packaged place, named":              {config.DefaultFile, "", nil, true},
		"a fresh data directory":                 {"", "", []string{"pg_ctl", "-D", fresh, "start"}, true},
		"a configuration of its own is missing":  {filepath.Join(fresh, "none.yaml"), "", nil, false},
		"an adopted data directory":              {"", "", []string{"pg_ctl", "start", "-D", adopted}, false},
		"an adopted data directory in one word":  {"", "", []string{"postgres", "-D" + adopted}, false},
		"an adopted data directory, long":        {"", "", []string{"pg_ctl", "--pgdata=" + adopted, "start"}, false},
		"an adopted data directory, environment": {"", adopted, []string{"postgres"}, false},
	} {
		env := map[string]string{"PGDATA": c.pgdata}
		a := &app{configFile: c.config, env: func(name string) string { return env[name] }}
		if got := a.neverSetUp(c.command); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
