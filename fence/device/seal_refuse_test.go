package device

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

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
