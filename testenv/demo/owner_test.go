package demo

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestReachable_AClosedFolderOnTheWay_No(t *testing.T) {
	dir := t.TempDir()
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if reachable(inner) {
		t.Error("a folder below a closed one counts as reachable")
	}
	if !reachable("/") {
		t.Error("the root folder does not count as reachable")
	}
}

func TestEnviron_HidesWhatWouldRedirectTheServersTools(t *testing.T) {
	t.Setenv("PGHOST", "elsewhere")
	t.Setenv("PGDATA", "/nowhere")
	t.Setenv("LC_MESSAGES", "de_DE.UTF-8")
	t.Setenv("LANG", "de_DE.UTF-8")
	t.Setenv("WATCHDOG_KEPT", "yes")
	env := Owner{User: "postgres", Home: "/var/lib/postgresql", Switch: true}.Environ()
	for _, kv := range env {
		if strings.HasPrefix(kv, "PG") || strings.HasPrefix(kv, "LANG=") || strings.HasPrefix(kv, "LC_MESSAGES=") {
			t.Errorf("%s is passed on", kv)
		}
	}
	for _, want := range []string{"LC_ALL=C", "HOME=/var/lib/postgresql", "USER=postgres", "WATCHDOG_KEPT=yes"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing", want)
		}
	}
}
