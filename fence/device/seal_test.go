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
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
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

// stillWrites proves that a refused seal left the server as it was.
func stillWrites(t *testing.T, s *demo.Server) {
	t.Helper()
	if err := s.Exec(t.Context(), "create table if not exists witness (n int); insert into witness values (1)"); err != nil {
		t.Errorf("the server was touched: %v", err)
	}
}

func hasSignal(t *testing.T, s *demo.Server) bool {
	t.Helper()
	sig, err := pgdata.ReadSignals(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	return sig.Standby
}

// One running primary for those that must not touch it.
func TestSeal_Refused_ServerNotStopped(t *testing.T) {
	s := testenv.NewPair(t).Servers[0]
	t.Run("state directory read-only", func(t *testing.T) { stateDirectoryReadOnly(t, s) })
	t.Run("data directory read-only", func(t *testing.T) { dataDirectoryReadOnly(t, s) })
	t.Run("order for other data", func(t *testing.T) { orderForOtherData(t, s) })
}

func stateDirectoryReadOnly(t *testing.T, s *demo.Server) {
	r := sealer(t, s)
	dir := filepath.Dir(r.Markers.(markerFile).path)
	readOnly(t, dir)
	out := r.Seal(within(t, time.Minute), orderFor(s))
	if out.Result != fence.ResultNotDone || out.Grade != fence.GradeNone || !strings.Contains(out.Problem, "next: ") {
		t.Fatalf("got %s/%s: %s", out.Result, out.Grade, out.Problem)
	}
	if hasSignal(t, s) {
		t.Error("standby.signal came before the marker")
	}
	stillWrites(t, s)
}

func readOnly(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Fatal("root is not stopped by a mode; testenv.Main runs the tests as another user")
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Error(err)
		}
	})
}

func dataDirectoryReadOnly(t *testing.T, s *demo.Server) {
	stillWrites(t, s) // its files exist before nothing new can be made
	r := sealer(t, s)
	readOnly(t, s.DataDir)
	out := r.Seal(within(t, time.Minute), orderFor(s))
	if out.Result != fence.ResultNotDone || out.Grade != fence.GradeNone {
		t.Fatalf("got %s/%s: %s", out.Result, out.Grade, out.Problem)
	}
	if m, err := r.Markers.Marker(); err != nil || m == nil {
		t.Errorf("the marker was taken back: %v, %v", m, err)
	}
	stillWrites(t, s)
}

func orderForOtherData(t *testing.T, s *demo.Server) {
	for name, spoil := range map[string]func(*Sealer, *fence.Order){
		"other node":              func(_ *Sealer, o *fence.Order) { o.Node = "db9" },
		"revoked":                 func(_ *Sealer, o *fence.Order) { o.Revoked = true },
		"no operation":            func(_ *Sealer, o *fence.Order) { o.Operation = "" },
		"other system identifier": func(_ *Sealer, o *fence.Order) { o.SystemID = 42 },
		"other directory":         func(_ *Sealer, o *fence.Order) { o.DataDirectory = "/srv/other" },
		"state of another system": func(r *Sealer, _ *fence.Order) { r.SystemID = 42 },
		"no data":                 func(r *Sealer, _ *fence.Order) { r.DataDir = filepath.Join(r.DataDir, "base") },
	} {
		r, o := sealer(t, s), orderFor(s)
		spoil(r, &o)
		out := r.Seal(within(t, time.Minute), o)
		if out.Result != fence.ResultNotDone || out.Problem == "" {
			t.Errorf("%s: got %s: %s", name, out.Result, out.Problem)
		}
		if m, err := r.Markers.Marker(); err != nil || m != nil {
			t.Errorf("%s: marker %v, %v", name, m, err)
		}
	}
	if hasSignal(t, s) {
		t.Error("standby.signal was written")
	}
	stillWrites(t, s)
}

func lateOrder(t *testing.T, s *demo.Server) {
	r := sealer(t, s)
	mustSeal(t, r, s)
	late := orderFor(s)
	late.Operation, late.Epoch = "op-0", fence.Epoch{Number: 3, ID: "e3", Primary: "db2"}
	if out := r.Seal(within(t, time.Minute), late); out.Result != fence.ResultNotDone {
		t.Errorf("got %s: %s", out.Result, out.Problem)
	}
	plain := orderFor(s)
	plain.Operation, plain.Epoch = "op-2", fence.Epoch{}
	if out := r.Seal(within(t, time.Minute), plain); out.Result != fence.ResultDone {
		t.Errorf("got %s: %s", out.Result, out.Problem)
	}
	next := orderFor(s)
	next.Operation, next.Epoch = "op-3", fence.Epoch{Number: 5, ID: "e5", Primary: "db2"}
	if out := r.Seal(within(t, time.Minute), next); out.Result != fence.ResultDone {
		t.Errorf("got %s: %s", out.Result, out.Problem)
	}
	if m, err := r.Markers.Marker(); err != nil || m.Operation != "op-3" {
		t.Errorf("marker %+v, %v", m, err)
	}
}

// forgetful says that it set the marker and does not keep it.
type forgetful struct{ markerFile }

func (forgetful) SetMarker(fence.Marker) error { return nil }

// restless is a manager that starts the server again by itself.
type restless struct{ pgctl.Driver }

func (r restless) Status(ctx context.Context) (pgctl.Status, error) {
	st, err := r.Driver.Status(ctx)
	st.Restart, st.RestartsByItself = "Restart=always", true
	return st, err
}

// mute is a manager that cannot be asked.
type mute struct{ pgctl.Driver }

func (mute) Status(context.Context) (pgctl.Status, error) {
	return pgctl.Status{}, errors.New("no answer from the manager")
}

func cannotBeReadBack(t *testing.T, s *demo.Server) {
	for want, spoil := range map[string]func(*Sealer){
		"marker is gone":         func(r *Sealer) { r.Markers = forgetful{r.Markers.(markerFile)} },
		"restarts by itself":     func(r *Sealer) { r.Driver = restless{r.Driver} },
		"no answer from the man": func(r *Sealer) { r.Driver = mute{r.Driver} },
	} {
		r := sealer(t, s)
		spoil(r)
		out := r.Seal(within(t, time.Minute), orderFor(s))
		if out.Result != fence.ResultUnknown || out.Grade != fence.GradeNone || out.EndOfWAL != nil || !strings.Contains(out.Problem, want) {
			t.Errorf("%s: got %s/%s: %s", want, out.Result, out.Grade, out.Problem)
		}
	}
}

func TestSeal_Status_UnsealedServerIsOn(t *testing.T) {
	s := testenv.NewPair(t).Servers[0]
	r := sealer(t, s)
	if state, _, err := r.Status(t.Context(), s.Name); state != fence.PowerOn || err != nil {
		t.Fatalf("status: %s, %v", state, err)
	}
	// A marker alone is no seal: the server still writes.
	if err := r.Markers.SetMarker(markerOf(t, s)); err != nil {
		t.Fatal(err)
	}
	if state, _, err := r.Status(t.Context(), s.Name); state != fence.PowerUnknown || err == nil {
		t.Fatalf("status with a marker and a running primary: %s, %v", state, err)
	}
	if err := pgctl.WriteStandbySignal(s.DataDir); err != nil {
		t.Fatal(err)
	}
	if state, _, err := r.Status(t.Context(), s.Name); state != fence.PowerUnknown || err == nil || !strings.Contains(err.Error(), "in production") {
		t.Fatalf("status with marker, standby.signal and a running primary: %s, %v", state, err)
	}
}

func markerOf(t *testing.T, s *demo.Server) fence.Marker {
	t.Helper()
	c, err := pgdata.ReadControl(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	return fence.Marker{Operation: "op-1", SystemID: c.SystemID, DataDirectory: s.DataDir, SetAt: time.Now()}
}
