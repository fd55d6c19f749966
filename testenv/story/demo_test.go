package story

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// demoFolder gives a folder for demos, short because paths of unix sockets grow
// below it. The test fails when a demo leaves anything in it.
func demoFolder(t *testing.T) string {
	t.Helper()
	testenv.NeedPostgres(t)
	dir, err := os.MkdirTemp("", "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, err := os.ReadDir(dir)
		for _, e := range left {
			t.Errorf("%s is left behind", e.Name())
			_ = demo.Remove(context.Background(), filepath.Join(dir, e.Name()))
		}
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// typeDemo runs a command line with a folder for temporary files.
func typeDemo(t *testing.T, tmp string, args ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Program(t), args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return answer{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// nobodyLeft fails when a process lives that was started from the folder, that
// names it, or that works in it. It looks for itself, because demo down relies
// on demo.Alive too.
func nobodyLeft(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err != nil || pid == os.Getpid() {
			continue
		}
		words, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")) // empty for one that is gone or a zombie
		cwd, _ := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		if strings.Contains(string(words), dir+"/") || strings.HasPrefix(cwd, dir+"/") {
			t.Errorf("process %s is left behind in %q: %q", e.Name(), cwd, words)
		}
	}
}

var mailLine = regexp.MustCompile(`(?m)^mail +(/\S+)/mail `)

func TestDemo_Unattended_TellsTheStoryAndLeavesNothing(t *testing.T) {
	t.Parallel()
	tmp := demoFolder(t)
	a := typeDemo(t, tmp, "demo")
	if a.exit != 0 {
		t.Fatalf("watchdog demo: %s", a)
	}
	rest := a.out
	for _, line := range []string{
		"$ watchdog demo up\n", "adopted",
		"$ watchdog status\n", "HEALTHY",
		"rows acknowledged by db1",
		"$ watchdog demo break db1\n",
		"$ cat ", "Subject: [PAGE] NoPrimary",
		"$ watchdog promote\n", "PLAN ", "at most   0 B", "release synchronous waiting",
		"$ watchdog promote --confirm=db2 --plan=", "--reason demo --no-input\n", "release-sync   ok", "DONE",
		"no write possible for", "acknowledged rows lost: 0",
		"$ watchdog gate --exec -- pg_ctl start", "isolated-standby",
		"$ psql ", "cannot execute INSERT in a read-only transaction",
		"$ watchdog history", `reason "demo"`,
		"To play by hand", "demo up", "demo break", "demo down",
	} {
		_, after, found := strings.Cut(rest, line)
		if !found {
			t.Fatalf("%q does not follow in the story:\n%s", line, a.out)
		}
		rest = after
	}
	m := mailLine.FindStringSubmatch(a.out)
	if m == nil {
		t.Fatalf("the story does not say where it lives:\n%s", a.out)
	}
	nobodyLeft(t, m[1])
}

func TestDemo_Asynchronous_LosesNoMoreThanAnnounced(t *testing.T) {
	t.Parallel()
	a := typeDemo(t, demoFolder(t), "demo", "--async", "--json")
	var r demo.StoryReport
	if err := json.Unmarshal([]byte(a.out), &r); err != nil || a.exit != 0 {
		t.Fatalf("%v: %s", err, a)
	}
	if r.V != 1 || r.Sync || r.Lost == 0 || r.AnnouncedBytes == 0 || r.SplitBrain || r.Acked < 300 {
		t.Errorf("the ledger of a pair whose network stalled says %+v", r)
	}
	for _, line := range []string{"REFUSED by rule 8 (loss)", "$ watchdog promote --accept-data-loss="} {
		if !strings.Contains(a.err, line) {
			t.Errorf("%q is missing in the story:\n%s", line, a.err)
		}
	}
	t.Logf("%d of %d rows lost, announced %d bytes", r.Lost, r.Acked, r.AnnouncedBytes)
}

// siteOf reads the document of demo up, break and down, and holds it to its
// shape, which scripts rely on.
func siteOf(t *testing.T, a answer) demo.SiteDoc {
	t.Helper()
	var shape struct {
		Nodes []map[string]any `json:"nodes"`
	}
	var top map[string]any
	var d demo.SiteDoc
	for _, into := range []any{&shape, &top, &d} {
		if err := json.Unmarshal([]byte(a.out), into); err != nil || a.exit != 0 {
			t.Fatalf("%v: %s", err, a)
		}
	}
	for _, key := range []string{"v", "dir", "nodes", "mail_dir", "app_url"} {
		if _, ok := top[key]; !ok {
			t.Errorf("%q is missing in %s", key, a.out)
		}
	}
	for _, n := range shape.Nodes {
		for _, key := range []string{"name", "role", "pg_port", "pg_socket_dir", "data_dir", "pg_pid", "service_pid", "control_socket", "config"} {
			if _, ok := n[key]; !ok {
				t.Errorf("%q is missing in a node of %s", key, a.out)
			}
		}
	}
	if d.V != 1 || len(d.Nodes) != 2 {
		t.Fatalf("version %d, %d nodes: %s", d.V, len(d.Nodes), a.out)
	}
	return d
}

func TestDemo_UpBreakDown_ByHand(t *testing.T) {
	t.Parallel()
	tmp := demoFolder(t)
	dir := filepath.Join(tmp, "x")
	up := siteOf(t, typeDemo(t, tmp, "demo", "up", "--dir", dir, "--json"))
	db1, db2 := up.Nodes[0], up.Nodes[1]
	if db1.Role != "primary" || db2.Role != "standby" || up.Dir != dir {
		t.Errorf("after demo up: %+v", up)
	}
	status := typeDemo(t, tmp, "status", "--json", "--socket", db2.Socket)
	if status.exit != 0 || !strings.Contains(status.out, `"state": "HEALTHY"`) {
		t.Errorf("status right after demo up: %s", status)
	}
	again := siteOf(t, typeDemo(t, tmp, "demo", "up", "--dir", dir, "--json"))
	if again.Nodes[0].PgPid != db1.PgPid || again.Nodes[1].ServicePid != db2.ServicePid {
		t.Errorf("a second demo up started something: %+v, first %+v", again, up)
	}
	if other := typeDemo(t, tmp, "demo", "up", "--async", "--dir", dir); other.exit != 1 || !strings.Contains(other.err, dir) {
		t.Errorf("demo up of the other kind: %s", other)
	}

	before, err := demo.Alive(dir)
	if err != nil {
		t.Fatal(err)
	}
	broken := siteOf(t, typeDemo(t, tmp, "demo", "break", "--dir", dir, "--json"))
	if n := broken.Nodes[0]; n.PgPid != 0 || n.Role != "unknown" || n.ServicePid != db1.ServicePid {
		t.Errorf("db1 after demo break: %+v", n)
	}
	if n := broken.Nodes[1]; n.PgPid != db2.PgPid || n.ServicePid != db2.ServicePid || n.Role != "standby" {
		t.Errorf("demo break touched db2: %+v", n)
	}
	after, err := demo.Alive(dir)
	if err != nil || !slices.Contains(before, db1.PgPid) || slices.Contains(after, db1.PgPid) || len(after) < 4 {
		t.Errorf("processes before %v, after %v, %v", before, after, err)
	}

	down := siteOf(t, typeDemo(t, tmp, "demo", "down", "--dir", dir, "--json"))
	if n := down.Nodes[1]; n.PgPid != 0 || n.ServicePid != 0 {
		t.Errorf("after demo down: %+v", n)
	}
	nobodyLeft(t, dir)
	if a := typeDemo(t, tmp, "demo", "break", "--dir", dir); a.exit != 4 {
		t.Errorf("demo break without a demo: %s", a)
	}
}

func TestDemo_UpInterrupted_LeavesNothing(t *testing.T) {
	t.Parallel()
	tmp := demoFolder(t)
	dir := filepath.Join(tmp, "x")
	cmd := exec.Command(testenv.Program(t), "demo", "up", "--dir", dir)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, time.Minute, "something runs", func() (bool, string) {
		pids, err := demo.Alive(dir)
		return len(pids) > 0, errText(err)
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the exit code says it
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit %d: %s", code, said.String())
	}
	nobodyLeft(t, dir)
}

func TestDemo_UpAfterACrash_CleansUpAndStarts(t *testing.T) {
	t.Parallel()
	tmp := demoFolder(t)
	dir := filepath.Join(tmp, "x")
	crashed := siteOf(t, typeDemo(t, tmp, "demo", "up", "--dir", dir, "--json"))
	testenv.Wait(t, time.Minute, "all of it is killed", func() (bool, string) {
		pids, err := demo.Alive(dir)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is fine
		}
		return len(pids) == 0 && err == nil, errText(err)
	})
	a := typeDemo(t, tmp, "demo", "up", "--dir", dir, "--json")
	if anew := siteOf(t, a); anew.Nodes[0].PgPid == crashed.Nodes[0].PgPid || anew.Nodes[0].PgPid == 0 {
		t.Errorf("nothing was started: %s", a)
	}
	if !strings.Contains(a.err, "interrupted demo") {
		t.Errorf("the clean-up is not told: %s", a)
	}
	siteOf(t, typeDemo(t, tmp, "demo", "down", "--dir", dir, "--json"))
	nobodyLeft(t, dir)
}

func TestDemo_FolderOfSomethingElse_IsNotTouched(t *testing.T) {
	tmp := demoFolder(t)
	dir := filepath.Join(t.TempDir(), "work")
	precious := filepath.Join(dir, "precious")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(precious, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if a := typeDemo(t, tmp, "demo", "up", "--dir", dir); a.exit != 1 || !strings.Contains(a.err, "not empty") {
		t.Errorf("demo up in a folder in use: %s", a)
	}
	if a := typeDemo(t, tmp, "demo", "down", "--dir", dir); a.exit != 0 || !strings.Contains(a.err, "no demo runs") {
		t.Errorf("demo down of a folder without a demo: %s", a)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func errText(err error) string {
	if err == nil {
		return "nothing yet"
	}
	return err.Error()
}
