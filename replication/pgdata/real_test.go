package pgdata_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

const limit = 20 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// tool runs one of PostgreSQL's own programs, the second opinion of these tests.
func tool(t *testing.T, name string, args ...string) (stdout, stderr string) {
	t.Helper()
	b, err := demo.FindBinaries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), b.Path(name), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && out.Len() == 0 {
		t.Fatalf("%s: %v\n%s", name, err, errs.String())
	}
	return out.String(), errs.String()
}

// agrees compares everything that both ReadControl and pg_controldata say.
func agrees(t *testing.T, dir string, state pgdata.State) {
	t.Helper()
	c, err := pgdata.ReadControl(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.State != state {
		t.Errorf("state %q, want %q", c.State, state)
	}
	on := map[bool]string{true: "on", false: "off"}
	sums := map[bool]string{true: "1", false: "0"}
	ours := map[string]string{
		"pg_control version number":          fmt.Sprint(c.Version),
		"Database system identifier":         c.SystemID.String(),
		"Database cluster state":             c.State.String(),
		"pg_control last modified":           c.Time.UTC().Format("Mon Jan _2 15:04:05 2006"),
		"Latest checkpoint location":         c.Checkpoint.String(),
		"Latest checkpoint's REDO location":  c.Redo.String(),
		"Latest checkpoint's TimeLineID":     fmt.Sprint(c.Timeline),
		"Latest checkpoint's PrevTimeLineID": fmt.Sprint(c.PrevTimeline),
		"Minimum recovery ending location":   c.MinRecovery.String(),
		"Min recovery ending loc's timeline": fmt.Sprint(c.MinRecoveryTimeline),
		"wal_log_hints setting":              on[c.WALLogHints],
		"WAL block size":                     fmt.Sprint(c.WALBlockSize),
		"Bytes per WAL segment":              fmt.Sprint(c.WALSegmentSize),
		"Data page checksum version":         sums[c.Checksums],
	}
	theirs := map[string]string{}
	out, _ := tool(t, "pg_controldata", dir)
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(line, ":")
		theirs[key] = strings.TrimSpace(value)
	}
	for key, value := range ours {
		if theirs[key] != value {
			t.Errorf("%s: read %q, pg_controldata says %q", key, value, theirs[key])
		}
	}
}

// steady waits until the control file of a running server does not change any
// more, so that the two readings are of one file.
func steady(t *testing.T, dir string) {
	t.Helper()
	var last pgdata.Control
	same := 0
	testenv.Wait(t, limit, "a control file at rest", func() (bool, string) {
		c, err := pgdata.ReadControl(dir)
		if err != nil {
			return false, err.Error()
		}
		if same++; c != last {
			last, same = c, 0
		}
		return same > 10, c.State.String()
	})
}

func TestReadControl_EachState_AgreesWithPgControldata(t *testing.T) {
	ctx := within(t)
	pair := testenv.NewPair(t)
	primary, standby := pair.Servers[0], pair.Servers[1]
	stop := func(s *demo.Server) {
		t.Helper()
		if err := s.Stop(ctx, demo.StopFast); err != nil {
			t.Fatal(err)
		}
	}
	if err := primary.Exec(ctx, "CHECKPOINT"); err != nil {
		t.Fatal(err)
	}
	steady(t, primary.DataDir)
	agrees(t, primary.DataDir, pgdata.StateProduction)
	steady(t, standby.DataDir)
	agrees(t, standby.DataDir, pgdata.StateArchiveRecovery)

	stop(standby)
	agrees(t, standby.DataDir, pgdata.StateShutDownInRecovery)
	if err := primary.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	agrees(t, primary.DataDir, pgdata.StateProduction) // crashed
	if err := primary.Start(ctx); err != nil {
		t.Fatal(err)
	}
	stop(primary)
	agrees(t, primary.DataDir, pgdata.StateShutDown)
}

func TestReadSignals_RunningPair_SaysWhatTheServersWrote(t *testing.T) {
	pair := testenv.SharedPair(t)
	for i, s := range pair.Servers {
		got, err := pgdata.ReadSignals(s.DataDir)
		if err != nil {
			t.Fatal(err)
		}
		if got.Standby != (i == 1) || got.Recovery || got.TablespaceMap {
			t.Errorf("%s: %+v", s.Name, got)
		}
		if got.PID == nil || got.PID.PID != s.Pid() || got.PID.Port != s.Port || got.PID.SocketDir != s.SocketDir || got.PID.DataDir != s.DataDir {
			t.Errorf("%s: postmaster.pid %+v, want pid %d port %d in %s", s.Name, got.PID, s.Pid(), s.Port, s.SocketDir)
		}
		version, err := os.ReadFile(filepath.Join(s.DataDir, "PG_VERSION"))
		if err != nil || strings.TrimSpace(string(version)) != got.Version {
			t.Errorf("%s: version %q, file says %q, %v", s.Name, got.Version, version, err)
		}
		if empty, err := pgdata.Empty(s.DataDir); err != nil || empty {
			t.Errorf("%s: empty %v, %v", s.Name, empty, err)
		}
	}
}
