package device

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// markerFile is a MarkerStore on a real file; its durability is the subject of
// the real store's own tests.
type markerFile struct{ path string }

func (m markerFile) SetMarker(v fence.Marker) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(m.path, raw, 0o600)
}

func (m markerFile) Marker() (*fence.Marker, error) {
	raw, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var v fence.Marker
	return &v, json.Unmarshal(raw, &v)
}

func sealer(t *testing.T, s *demo.Server) *Sealer {
	t.Helper()
	return &Sealer{
		Node: s.Name, DataDir: s.DataDir, Driver: pgctl.PgCtl{DataDir: s.DataDir, LogFile: s.LogFile},
		Markers: markerFile{filepath.Join(t.TempDir(), "marker.json")},
		Limits:  pgctl.Limits{Fast: 20 * time.Second, Immediate: 5 * time.Second, Kill: 20 * time.Second},
		Now:     time.Now, Log: zap.NewNop(),
	}
}

func orderFor(s *demo.Server) fence.Order {
	return fence.Order{Operation: "op-1", Node: s.Name, Issuer: "db2", By: "mario",
		Epoch: fence.Epoch{Number: 4, ID: "e4", Primary: "db2"}}
}

// mustSeal seals and looks for itself whether anything is left.
func mustSeal(t *testing.T, r *Sealer, s *demo.Server) fence.Outcome {
	t.Helper()
	out := r.Seal(within(t, 2*time.Minute), orderFor(s))
	if out.Result != fence.ResultDone || out.Grade != fence.GradeSealed || out.Problem != "" {
		t.Fatalf("got %s/%s: %s\n%s", out.Result, out.Grade, out.Problem, evidenceText(out))
	}
	for _, e := range out.Evidence {
		if e.Observer != s.Name || e.At.IsZero() || e.Text == "" {
			t.Errorf("evidence without observer or time: %+v", e)
		}
	}
	return out
}

// committer is a client whose session was opened before the fault.
type committer struct {
	acked atomic.Int64
	done  chan error
}

func newCommitter(t *testing.T, s *demo.Server) *committer {
	t.Helper()
	conn, err := s.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "create table if not exists ledger (n bigint)"); err != nil {
		t.Fatal(err)
	}
	c := &committer{done: make(chan error, 1)}
	go func() {
		defer conn.Close(context.Background()) //nolint:errcheck // the session's end is what is tested
		for {
			if _, err := conn.Exec(context.Background(), "insert into ledger values ($1)", c.acked.Load()); err != nil {
				c.done <- err
				return
			}
			c.acked.Add(1)
		}
	}()
	testenv.Wait(t, 20*time.Second, "acknowledged rows", func() (bool, string) {
		return c.acked.Load() > 3, "none yet"
	})
	return c
}

func (c *committer) mustHaveEnded(t *testing.T) {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		t.Fatalf("the session of before the fault still commits (%d rows)", c.acked.Load())
	}
}

func TestSeal_RunningPrimaryWithOpenSession_CannotWriteNowOrAfterRestart(t *testing.T) {
	s := testenv.NewPair(t).Servers[0]
	c := newCommitter(t, s)
	r := sealer(t, s)
	out := mustSeal(t, r, s)
	c.mustHaveEnded(t)
	if s.Running() {
		t.Fatal("the server still runs")
	}
	if out.EndOfWAL == nil || out.EndOfWAL.LSN == 0 || !out.EndOfWAL.Shutdown {
		t.Errorf("end of WAL after a clean stop: %+v", out.EndOfWAL)
	}

	// What an operator or a boot does by mistake.
	if err := r.Driver.Start(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if rec, err := s.InRecovery(t.Context()); err != nil || !rec {
		t.Fatalf("in recovery: %t, %v", rec, err)
	}
	err := s.Exec(t.Context(), "insert into ledger values (-1)")
	if err == nil || !strings.Contains(err.Error(), "25006") {
		t.Fatalf("a sealed server took a write: %v", err)
	}
	rows, err := s.Ask(t.Context(), "select count(*) from ledger")
	if err != nil || rows == "0" {
		t.Fatalf("rows: %s, %v", rows, err)
	}

	// Sealed again while it runs read-only: proven, and left running.
	pid := s.Pid()
	mustSeal(t, r, s)
	if s.Pid() != pid {
		t.Error("a server in recovery under the marker was stopped")
	}
	if state, _, err := r.Status(t.Context(), s.Name); state != fence.PowerOff || err != nil {
		t.Errorf("status: %s, %v", state, err)
	}

	// Somebody made its container anew, with the policy of the compose file.
	r.Driver = &revived{Driver: r.Driver}
	mustSeal(t, r, s)
	if s.Running() {
		t.Error("a sealed server whose manager starts it by itself was left running")
	}
}

// revived is a manager whose restart policy only a stop switches off.
type revived struct {
	pgctl.Driver
	stopped bool
}

func (r *revived) Stop(ctx context.Context, m pgctl.Mode) error {
	r.stopped = true
	return r.Driver.Stop(ctx, m)
}

func (r *revived) Status(ctx context.Context) (pgctl.Status, error) {
	st, err := r.Driver.Status(ctx)
	st.Restart, st.RestartsByItself = "restart policy", !r.stopped
	return st, err
}

func TestSeal_PostmasterStoppedBySignal_Ended(t *testing.T) {
	s := testenv.NewPair(t).Servers[0]
	c := newCommitter(t, s)
	if err := syscall.Kill(s.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	before := c.acked.Load()
	testenv.Wait(t, 10*time.Second, "commits past a stopped postmaster", func() (bool, string) {
		return c.acked.Load() > before, "none"
	})
	mustSeal(t, sealer(t, s), s)
	c.mustHaveEnded(t)
	if s.Running() {
		t.Fatal("processes are left")
	}
}

func TestSeal_PostmasterKilledBackendStillWrites_BackendFoundAndEnded(t *testing.T) {
	s := testenv.NewPair(t).Servers[0]
	if err := s.Exec(t.Context(), "create table busy (n bigint)"); err != nil {
		t.Fatal(err)
	}
	conn, err := s.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	backend := int(conn.PgConn().PID())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Never waits, so it never learns that its postmaster is gone.
		_, _ = conn.PgConn().Exec(context.Background(), "do $$ begin loop insert into busy values (1); commit; end loop; end $$").ReadAll()
	}()
	rows := func(c *pgx.Conn) (n int64) {
		_ = c.QueryRow(t.Context(), "select count(*) from busy").Scan(&n)
		return n
	}
	look, err := s.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer look.Close(context.Background()) //nolint:errcheck // ends with its server
	testenv.Wait(t, 20*time.Second, "rows of the busy backend", func() (bool, string) { return rows(look) > 10, "none" })
	if err := syscall.Kill(s.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, 10*time.Second, "the postmaster's end", func() (bool, string) { return s.Pid() == 0, "alive" })
	if !alive(backend) {
		t.Fatal("the backend ended by itself: nothing is tested")
	}
	out := mustSeal(t, sealer(t, s), s)
	if alive(backend) || s.Running() {
		t.Fatal("the backend still lives")
	}
	<-ended
	if !strings.Contains(evidenceText(out), "killed") {
		t.Errorf("evidence does not tell of the killed backend:\n%s", evidenceText(out))
	}
	if out.EndOfWAL == nil || out.EndOfWAL.Commits == 0 || out.EndOfWAL.Shutdown {
		t.Errorf("end of WAL after a kill: %+v", out.EndOfWAL)
	}
}

// One stopped server for those that do not need it to run.
func TestSeal_StoppedServer(t *testing.T) {
	s := testenv.NewPair(t).Servers[0]
	if err := s.Stop(t.Context(), demo.StopFast); err != nil {
		t.Fatal(err)
	}
	t.Run("again: read back, marker kept", func(t *testing.T) { sealedAgain(t, s) })
	t.Run("late order of a lower epoch", func(t *testing.T) { lateOrder(t, s) })
	t.Run("what cannot be read back", func(t *testing.T) { cannotBeReadBack(t, s) })
	t.Run("as a device", func(t *testing.T) { sealerConforms(t, s) })
}

func sealerConforms(t *testing.T, s *demo.Server) {
	conform(t, fence.GradeSealed, map[behaviour]func(*testing.T) fence.Device{
		behavesOK: func(t *testing.T) fence.Device { return sealer(t, s) },
		cannotRead: func(t *testing.T) fence.Device {
			r := sealer(t, s)
			r.Driver = mute{r.Driver}
			return r
		},
		fails: func(t *testing.T) fence.Device {
			r := sealer(t, s)
			readOnly(t, filepath.Dir(r.Markers.(markerFile).path))
			return r
		},
	})
}

func sealedAgain(t *testing.T, s *demo.Server) {
	r := sealer(t, s)
	first := mustSeal(t, r, s)
	m1, err := r.Markers.Marker()
	if err != nil || m1 == nil {
		t.Fatalf("marker: %v, %v", m1, err)
	}
	if m1.Operation != "op-1" || m1.Epoch.Number != 4 || m1.Kind != "promote" || m1.By != "mario" || m1.SystemID == 0 || m1.DataDirectory == "" {
		t.Errorf("marker: %+v", m1)
	}
	again := mustSeal(t, r, s)
	m2, err := r.Markers.Marker()
	if err != nil || !m2.SetAt.Equal(m1.SetAt) {
		t.Errorf("the marker was set anew: %v, %v", m2, err)
	}
	if *first.EndOfWAL != *again.EndOfWAL {
		t.Errorf("end of WAL: %+v, then %+v", first.EndOfWAL, again.EndOfWAL)
	}
}

func TestSeal_Standby_Twice(t *testing.T) {
	s := testenv.NewPair(t).Servers[1]
	r := sealer(t, s)
	mustSeal(t, r, s)
	if s.Running() {
		t.Fatal("the standby still runs")
	}
	mustSeal(t, r, s)
}
