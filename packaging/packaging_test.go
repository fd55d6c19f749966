package packaging

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// run runs a program and gives everything it said.
func run(t *testing.T, env []string, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// place makes a file below root.
func place(t *testing.T, root, path, text string, mode os.FileMode) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// installed runs the install script into a fresh folder that has clusters.
func installed(t *testing.T, clusters []string, args ...string) (root, said string) {
	t.Helper()
	root = t.TempDir()
	for _, c := range clusters {
		place(t, root, "etc/postgresql/"+c+"/postgresql.conf", "", 0o644)
	}
	return root, installInto(t, root, args...)
}

func installInto(t *testing.T, root string, args ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "built")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, []string{"DESTDIR=" + root}, "./install", append([]string{"--binary", program}, args...)...)
	if err != nil {
		t.Fatalf("install: %v\n%s", err, out)
	}
	return out
}

func exists(root, path string) bool {
	_, err := os.Lstat(filepath.Join(root, path))
	return err == nil
}

const gate15 = "etc/systemd/system/postgresql@15-main.service.d/pg-watchdog-gate.conf"

func TestInstall_ModesAndNextStep(t *testing.T) {
	root, said := installed(t, []string{"15/main"})
	for path, mode := range map[string]os.FileMode{
		"usr/bin/pg-watchdog":                               0o755,
		"usr/lib/systemd/system/pg-watchdog.service":        0o644,
		"usr/lib/systemd/system/pg-watchdog-helper.socket":  0o644,
		"usr/lib/systemd/system/pg-watchdog-helper.service": 0o644,
		"etc/pg-watchdog":                                   0o750,
		"etc/pg-watchdog/watchdog.yaml.example":             0o640,
		"var/lib/pg-watchdog":                               0o750,
		gate15:                                              0o644,
	} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Errorf("not installed: %v", err)
		} else if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), mode)
		}
	}
	if to, err := os.Readlink(filepath.Join(root, "usr/local/bin/watchdog")); err != nil || to != "/usr/bin/pg-watchdog" {
		t.Errorf("link: %q, %v", to, err)
	}
	for _, want := range []string{"nothing was enabled or started", "postgresql@15-main", "adopt"} {
		if !strings.Contains(said, want) {
			t.Errorf("does not say %q:\n%s", want, said)
		}
	}
	if exists(root, "etc/systemd/system/multi-user.target.wants") || exists(root, "etc/pg-watchdog/watchdog.yaml") {
		t.Error("something was enabled or configured")
	}
}

func TestInstall_Owners(t *testing.T) {
	postgres, err := user.Lookup("postgres")
	if os.Getuid() != 0 || err != nil {
		t.Skip("owners can be set by root alone, and with a user postgres")
	}
	root, _ := installed(t, nil)
	for path, want := range map[string]string{
		"etc/pg-watchdog/watchdog.yaml.example": "0:" + postgres.Gid,
		"var/lib/pg-watchdog":                   postgres.Uid + ":" + postgres.Gid,
	} {
		out, err := run(t, nil, "stat", "-c", "%u:%g", filepath.Join(root, path))
		if err != nil || strings.TrimSpace(out) != want {
			t.Errorf("%s belongs to %s (%v), want %s", path, out, err, want)
		}
	}
}

func TestInstall_OtherWatchdogThere_NoLink(t *testing.T) {
	root := t.TempDir()
	place(t, root, "usr/sbin/watchdog", "the hardware watchdog daemon", 0o755)
	said := installInto(t, root)
	if exists(root, "usr/local/bin/watchdog") || !strings.Contains(said, "/usr/sbin/watchdog is another program") {
		t.Errorf("link made, or silent about it:\n%s", said)
	}
	root = t.TempDir()
	place(t, root, "usr/local/bin/watchdog", "somebody's own", 0o755)
	installInto(t, root)
	if text, err := os.ReadFile(filepath.Join(root, "usr/local/bin/watchdog")); err != nil || string(text) != "somebody's own" {
		t.Errorf("overwrote it: %q, %v", text, err)
	}
}

func TestInstall_Twice_KeepsWhatTheOperatorWrote(t *testing.T) {
	root, _ := installed(t, []string{"15/main"})
	place(t, root, "etc/pg-watchdog/watchdog.yaml", "mine", 0o640)
	place(t, root, "var/lib/pg-watchdog/epoch.json", "{}", 0o600)
	installInto(t, root)
	for _, path := range []string{"etc/pg-watchdog/watchdog.yaml", "var/lib/pg-watchdog/epoch.json", "usr/local/bin/watchdog"} {
		if !exists(root, path) {
			t.Errorf("%s is gone", path)
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "etc/pg-watchdog/watchdog.yaml")); err != nil || string(text) != "mine" {
		t.Errorf("configuration is %q, %v", text, err)
	}
}

func TestInstall_SeveralClusters_GateOnlyWhereAsked(t *testing.T) {
	root, said := installed(t, []string{"13/main", "15/main"})
	if exists(root, gate15) || !strings.Contains(said, "NO boot gate") {
		t.Errorf("guessed a cluster, or is silent:\n%s", said)
	}
	root, _ = installed(t, []string{"13/main", "15/main"}, "--cluster", "15-main")
	if !exists(root, gate15) || exists(root, "etc/systemd/system/postgresql@13-main.service.d") {
		t.Error("the gate is not where it was asked for, or elsewhere too")
	}
}

func TestInstall_BadUse_ChangesNothing(t *testing.T) {
	for name, args := range map[string][]string{
		"no program":       {"--binary", "/nonexistent"},
		"unknown argument": {"--force"},
	} {
		root := t.TempDir()
		if out, err := run(t, []string{"DESTDIR=" + root}, "./install", args...); err == nil {
			t.Errorf("%s: accepted\n%s", name, out)
		}
		if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
			t.Errorf("%s: left %v, %v", name, entries, err)
		}
	}
}

func TestUninstall_RemovesItsFilesKeepsState(t *testing.T) {
	root, _ := installed(t, []string{"15/main"})
	place(t, root, "var/lib/pg-watchdog/fence.json", `{"v":1}`, 0o600)
	place(t, root, "etc/pg-watchdog/node.key", "key", 0o600)
	if out, err := run(t, []string{"DESTDIR=" + root}, "./uninstall"); err != nil {
		t.Fatalf("uninstall: %v\n%s", err, out)
	}
	left, err := run(t, nil, "find", root, "-type", "f", "-o", "-type", "l")
	if err != nil {
		t.Fatal(err)
	}
	for _, keep := range []string{"var/lib/pg-watchdog/fence.json", "etc/pg-watchdog/node.key", "etc/postgresql/15/main/postgresql.conf"} {
		if !exists(root, keep) {
			t.Errorf("removed %s", keep)
		}
		left = strings.ReplaceAll(left, filepath.Join(root, keep), "")
	}
	if strings.TrimSpace(left) != "" {
		t.Errorf("left behind: %s", left)
	}
}

func TestUninstall_MarkerHoldsTheNode_Refuses(t *testing.T) {
	root, _ := installed(t, []string{"15/main"})
	place(t, root, "var/lib/pg-watchdog/fence.json", `{"v":1,"marker":{"operation":"op-1"}}`, 0o600)
	out, err := run(t, []string{"DESTDIR=" + root}, "./uninstall")
	if err == nil || !strings.Contains(out, "release") || !exists(root, gate15) {
		t.Fatalf("a held node lost its gate: %v\n%s", err, out)
	}
}

// unitRoot is an installed folder that systemd-analyze takes for a machine:
// with the units of this one, and the programs that they name.
func unitRoot(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("systemd-analyze is missing; next: apt-get install systemd")
		}
		t.Skip("systemd-analyze is not installed")
	}
	if _, err := os.Stat("/lib/systemd/system/postgresql@.service"); err != nil {
		t.Skip("postgresql-common is not installed")
	}
	root, _ := installed(t, []string{"15/main"})
	if out, err := run(t, nil, "cp", "-a", "/lib/systemd/system/.", filepath.Join(root, "usr/lib/systemd/system")); err != nil {
		t.Fatalf("copy units: %v\n%s", err, out)
	}
	for _, program := range []string{"bin/kill", "usr/bin/pg_ctlcluster"} {
		place(t, root, program, "#!/bin/sh\n", 0o755)
	}
	return root
}

func TestUnits_Verify(t *testing.T) {
	root := unitRoot(t)
	for _, unit := range []string{"pg-watchdog.service", "pg-watchdog-helper.socket", "pg-watchdog-helper.service", "postgresql@15-main.service"} {
		out, err := run(t, nil, "systemd-analyze", "verify", "--recursive-errors=no", "--root="+root, unit)
		if err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
}

// Without this, a verify that looks at nothing would pass as well.
func TestUnits_Verify_SeesAMistake(t *testing.T) {
	root := unitRoot(t)
	place(t, root, "etc/systemd/system/postgresql@15-main.service.d/zz.conf", "[Service]\nExecStartPre=/usr/bin/not-there\nNonsense=yes\n", 0o644)
	out, _ := run(t, nil, "systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "--root="+root, "postgresql@15-main.service")
	if !strings.Contains(out, "Nonsense") {
		t.Fatalf("the drop-ins were not read:\n%s", out)
	}
}

func TestUnits_Security(t *testing.T) {
	root := unitRoot(t)
	// Tenths of a point, 0 to 100; what is left open is explained in the units.
	for unit, threshold := range map[string]int{"pg-watchdog.service": 20, "pg-watchdog-helper.service": 15} {
		out, err := run(t, nil, "systemd-analyze", "security", "--offline=true", "--no-pager", "--root="+root,
			"--threshold="+strconv.Itoa(threshold), unit)
		if err != nil {
			t.Errorf("%s is more exposed than %d: %v\n%s", unit, threshold, err, out)
		}
	}
}

// The overrides work only while nothing before them fails softly and the file
// that the owner wrote is never the environment of a root process.
func TestGateDropIn_CannotBePassed(t *testing.T) {
	raw, err := os.ReadFile("postgresql@.service.d/pg-watchdog-gate.conf")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, line := range strings.Split(string(raw), "\n") {
		if k, v, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			got[k] = append(got[k], v)
		}
	}
	pre, start, env := got["ExecStartPre"], got["ExecStart"], got["EnvironmentFile"]
	if len(pre) != 1 || !strings.HasPrefix(pre[0], "/usr/bin/pg-watchdog gate ") {
		t.Errorf("ExecStartPre %q: a prefix would let a refusal pass", pre)
	}
	if len(start) != 2 || start[0] != "" || !strings.HasPrefix(start[1], "-/usr/bin/pg_ctlcluster ") || !strings.Contains(start[1], " $PG_WATCHDOG_START_OPTIONS ") {
		t.Errorf("ExecStart %q", start)
	}
	if len(env) != 1 || len(pre) != 1 || !strings.HasSuffix(pre[0], strings.TrimPrefix(env[0], "-")) {
		t.Errorf("the gate writes elsewhere than systemd reads: %q, %q", pre, env)
	}
	if u := got["User"]; len(u) != 1 || u[0] == "root" {
		t.Errorf("User %q", u)
	}
}
