package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// engine is a second container engine, of the test's own: the machine's may not
// be restarted for a test.
type engine struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
	log bytes.Buffer
}

// newEngine starts one without networks in a folder of its own.
func newEngine(t *testing.T) *engine {
	t.Helper()
	if _, err := exec.LookPath("dockerd"); err != nil || os.Getuid() != 0 {
		t.Skip("skipped: an engine of the test's own needs dockerd and root")
	}
	dir, err := os.MkdirTemp("/var/tmp", "wde-")
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{t: t, dir: dir}
	t.Cleanup(e.remove)
	e.start()
	return e
}

func (e *engine) start() {
	e.t.Helper()
	at := func(name string) string { return filepath.Join(e.dir, name) }
	e.cmd = exec.Command("dockerd", "--data-root", at("root"), "--exec-root", at("exec"), "--pidfile", at("pid"), "--host", "unix://"+at("sock"),
		"--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--config-file", at("daemon.json"))
	// In a network namespace of its own: an engine without a bridge removes the
	// one that it finds, and that was the machine's.
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	if err := errors.Join(os.WriteFile(at("daemon.json"), []byte("{}\n"), 0o600), e.cmd.Start()); err != nil {
		e.t.Fatal(err)
	}
	testenv.Wait(e.t, time.Minute, "the test's own engine to answer", func() (bool, string) {
		out, err := e.docker("info", "--format", "{{.ID}}")
		return err == nil, fmt.Sprint(out, err)
	})
}

// stop ends the engine as a shutdown of its unit does.
func (e *engine) stop() error {
	if e.cmd == nil {
		return nil
	}
	err := errors.Join(e.cmd.Process.Signal(syscall.SIGTERM), e.cmd.Wait())
	e.cmd = nil
	return err
}

func (e *engine) remove() {
	if e.cmd != nil {
		_, err := e.docker("rm", "-f", "-v", "db")
		if err := errors.Join(err, e.stop()); err != nil {
			e.t.Logf("end of the test's own engine: %v", err)
		}
	}
	if e.t.Failed() {
		e.t.Logf("log of the test's own engine:\n%s", e.log.String()[max(0, e.log.Len()-4000):])
	}
	if err := os.RemoveAll(e.dir); err != nil {
		e.t.Error(err)
	}
}

func (e *engine) docker(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker", append([]string{"-H", "unix://" + filepath.Join(e.dir, "sock")}, args...)...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (e *engine) must(args ...string) string {
	e.t.Helper()
	out, err := e.docker(args...)
	if err != nil {
		e.t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

// load brings what the database's container needs of an image of the machine's
// engine, as one layer: the whole image with its fence agents takes a minute more.
func (e *engine) load(image string) {
	e.t.Helper()
	const script = `set -e
id=$(docker create --label ` + LabelLab + `=` + Project + ` "$1")
trap 'docker rm -f "$id" >/dev/null' EXIT
docker export "$id" | tar -f - --delete --wildcards 'usr/lib/python3*' 'usr/lib/*/libLLVM*' 'usr/lib/*/libz3*' 'usr/lib/*/perl*' 'usr/share/perl*' 'usr/share/i18n' |
docker -H "$2" import --change 'USER postgres' --change 'ENV PATH=/usr/lib/postgresql/bin:/usr/local/bin:/usr/bin:/bin' - "$1" >/dev/null`
	pipe := exec.Command("bash", "-c", script, "bash", image, "unix://"+filepath.Join(e.dir, "sock"))
	if out, err := pipe.CombinedOutput(); err != nil {
		e.t.Fatalf("bring image %s to the test's own engine: %v: %s", image, err, out)
	}
}

// TestEngine_RestartRevivesAStoppedContainer_SealedServerStaysReadOnly: with
// `restart: always` an engine starts even what was stopped by hand, long before
// anybody looks. The gate in the container's command is what holds.
func TestEngine_RestartRevivesAStoppedContainer_SealedServerStaysReadOnly(t *testing.T) {
	if os.Getenv("WATCHDOG_LAB") == "" {
		t.Skip("skipped: the compose lab runs with make test-lab")
	}
	l, err := New(t.Context(), Options{Postgres: os.Getenv("LAB_PG"), Say: t.Logf})
	if errors.Is(err, ErrNoEngine) {
		t.Skipf("skipped: %v", err)
	}
	if err == nil {
		err = l.Build(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	e := newEngine(t)
	e.load(l.node)
	mounts := e.sealedHost(l)
	e.must(append(append([]string{"run", "-d", "--name", "db", "--restart", "always", "--stop-signal", "SIGINT", "--network", "none"}, mounts...),
		l.node, "watchdog", "gate", "--exec", "--", "postgres", "-D", dataDir)...)
	e.awaitReadOnly("at its first start")
	e.must("stop", "-t", "30", "db")
	if got := e.must("inspect", "--format", "{{.State.Status}}", "db"); got != "exited" {
		t.Fatalf("after docker stop the container is %s", got)
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	e.start()
	testenv.Wait(t, time.Minute, "the engine to revive the stopped container", func() (bool, string) {
		got, err := e.docker("inspect", "--format", "{{.State.Status}}", "db")
		return err == nil && got == "running", got
	})
	e.awaitReadOnly("after the restart of the engine")
}

func (e *engine) awaitReadOnly(when string) {
	e.t.Helper()
	testenv.Wait(e.t, time.Minute, "a server that refuses writes "+when, func() (bool, string) {
		out, err := e.docker("exec", "db", "psql", "-X", "-A", "-t", "-c", "CREATE TABLE scratch ()")
		if err == nil {
			e.t.Fatalf("the sealed server took a write %s: %s", when, out)
		}
		return strings.Contains(out, "read-only"), out
	})
}

// sealedHost lays out a former primary that was sealed: its data, its state with
// the marker, its configuration. It gives the mounts.
func (e *engine) sealedHost(l *Lab) []string {
	e.t.Helper()
	s, err := newSecrets()
	if err != nil {
		e.t.Fatal(err)
	}
	files, err := l.files(s)
	if err != nil {
		e.t.Fatal(err)
	}
	uid, err := strconv.Atoi(l.uid)
	if err != nil {
		e.t.Fatal(err)
	}
	home := filepath.Join(e.dir, "host")
	var mounts []string
	for _, f := range files {
		path := filepath.Join(home, f.path)
		if !strings.HasPrefix(f.path, "db1-") {
			continue
		}
		if f.dir {
			err = os.MkdirAll(path, os.FileMode(f.mode))
		} else {
			err = os.WriteFile(path, []byte(f.text), os.FileMode(f.mode))
		}
		if err := errors.Join(err, os.Chown(path, f.owner, f.group)); err != nil {
			e.t.Fatal(err)
		}
	}
	for folder, in := range map[string]string{"db1-data": dataDir, "db1-state": "/var/lib/pg-watchdog", "db1-etc": "/etc/pg-watchdog"} {
		mounts = append(mounts, "-v", filepath.Join(home, folder)+":"+in)
	}
	e.must(append(append([]string{"run", "--rm", "--network", "none"}, mounts...), l.node, "initdb", "-D", dataDir)...)
	c, err := pgdata.ReadControl(filepath.Join(home, "db1-data"))
	if err != nil {
		e.t.Fatal(err)
	}
	epoch := fence.Epoch{Number: 1, ID: "one", Primary: "db1"}
	err = state.Open(filepath.Join(home, "db1-state"), "db1").Update(func(d fence.Durable) (fence.Durable, error) {
		d.SystemID, d.DataDirectory, d.Epoch, d.Role = c.SystemID, dataDir, epoch, replication.RolePrimary
		d.Marker = &fence.Marker{Operation: "promote-X", Kind: "promote", Epoch: fence.Epoch{Number: 2, ID: "two", Primary: "db2"},
			SystemID: c.SystemID, DataDirectory: dataDir, By: "lab", Reason: "sealed by order of db2", SetAt: time.Now()}
		return d, nil
	})
	if err != nil {
		e.t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(home, "db1-state"))
	for _, f := range entries {
		err = errors.Join(err, os.Chown(filepath.Join(home, "db1-state", f.Name()), uid, uid))
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return mounts
}
