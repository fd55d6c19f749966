package packaging

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// debianCluster is a cluster made by Debian's own tools, in folders of its own.
type debianCluster struct {
	t     *testing.T
	owner demo.Owner
	dir   string
	port  int
	major string
}

func newDebianCluster(t *testing.T) debianCluster {
	t.Helper()
	testenv.NeedPostgres(t)
	if _, err := exec.LookPath("pg_createcluster"); err != nil {
		t.Skip("postgresql-common is not installed")
	}
	bin, err := demo.FindBinaries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	owner, err := demo.FindOwner()
	if err != nil {
		t.Fatal(err)
	}
	c := debianCluster{t: t, owner: owner, major: filepath.Base(filepath.Dir(filepath.Dir(bin.Path("postgres")))), port: freePort(t)}
	// Short, because a socket's path has at most 107 bytes, and below a folder
	// that the owner may enter.
	if c.dir, err = os.MkdirTemp("/tmp", "wdp-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(c.dir); err != nil {
			t.Error(err)
		}
	})
	for _, sub := range []string{"", "etc", "sock"} {
		if err := owner.Mkdir(filepath.Join(c.dir, sub)); err != nil {
			t.Fatal(err)
		}
	}
	c.must("pg_createcluster", "-d", c.at("data"), "-s", c.at("sock"), "-l", c.at("log"), "-p", strconv.Itoa(c.port),
		"--start-conf", "manual", c.major, "trial")
	t.Cleanup(func() {
		_, _ = c.command(context.WithoutCancel(t.Context()), "pg_dropcluster", "--stop", c.major, "trial")
	})
	return c
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // only its number was wanted
	return l.Addr().(*net.TCPAddr).Port
}

func (c debianCluster) at(name string) string { return filepath.Join(c.dir, name) }

func (c debianCluster) command(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := c.owner.Command(ctx, name, args...)
	cmd.Env = append(cmd.Env, "PG_CLUSTER_CONF_ROOT="+c.at("etc"))
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c debianCluster) must(name string, args ...string) string {
	c.t.Helper()
	out, err := c.command(c.t.Context(), name, args...)
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return out
}

// start does what systemd does with the drop-in's ExecStart: the unit's name for
// %i, and the variable of the environment file split at blanks.
func (c debianCluster) start(options string) {
	c.t.Helper()
	raw, err := os.ReadFile("postgresql@.service.d/pg-watchdog-gate.conf")
	if err != nil {
		c.t.Fatal(err)
	}
	line := ""
	for _, l := range strings.Split(string(raw), "\n") {
		if v, ok := strings.CutPrefix(l, "ExecStart=-"); ok {
			line = v
		}
	}
	var argv []string
	for _, word := range strings.Fields(strings.ReplaceAll(line, "%i", c.major+"-trial")) {
		if word == "$PG_WATCHDOG_START_OPTIONS" {
			argv = append(argv, strings.Fields(options)...)
			continue
		}
		argv = append(argv, word)
	}
	if len(argv) < 3 {
		c.t.Fatalf("no start command in the drop-in: %q", line)
	}
	c.must(argv[0], argv[1:]...)
}

func (c debianCluster) ask(sql string) string {
	c.t.Helper()
	return c.must("psql", "-h", c.at("sock"), "-p", strconv.Itoa(c.port), "-XAtc", sql, "postgres")
}

const isolation = "select pg_is_in_recovery(), current_setting('primary_conninfo'), current_setting('restore_command'), current_setting('recovery_target_timeline')"

// documented takes the overrides from the README, which is what the gate is
// built by.
func documented(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(string(raw), "\n") {
		v, ok := strings.CutPrefix(strings.TrimSpace(l), "PG_WATCHDOG_START_OPTIONS=")
		if !ok {
			continue
		}
		var want []string
		for _, s := range pgctl.IsolatedStandby() {
			want = append(want, "--options=-c"+s.Name+"="+s.Value)
		}
		if v != strings.Join(want, " ") {
			t.Errorf("README.md shows %q, an isolated standby is %q", v, want)
		}
		return v
	}
	t.Fatal("README.md does not show PG_WATCHDOG_START_OPTIONS")
	return ""
}

func TestGateDropIn_OverridesReachDebiansServer(t *testing.T) {
	c := newDebianCluster(t)
	conf := filepath.Join(c.at("etc"), c.major, "trial", "postgresql.conf")
	f, err := os.OpenFile(conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("primary_conninfo = 'host=127.0.0.1 port=1'\nrestore_command = '/bin/false'\n")
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	if err := c.owner.WriteFile(c.at("data/standby.signal"), nil); err != nil {
		t.Fatal(err)
	}
	c.start(documented(t))
	if got := c.ask(isolation); got != "t|||current" {
		t.Errorf("isolated standby: %s, want recovery and nothing to follow", got)
	}
	c.must("pg_ctlcluster", "--skip-systemctl-redirect", "-m", "fast", c.major+"-trial", "stop")

	// Without overrides the same line is Debian's own.
	c.start("")
	if got := c.ask(isolation); got != "t|host=127.0.0.1 port=1|/bin/false|latest" {
		t.Errorf("ordinary standby: %s", got)
	}
	c.must("pg_ctlcluster", "--skip-systemctl-redirect", "-m", "fast", c.major+"-trial", "stop")
}
