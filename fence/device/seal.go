package device

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// MarkerStore keeps the fence marker of this node in the state directory.
type MarkerStore interface {
	// SetMarker returns nil only when the marker survives a power loss.
	SetMarker(m fence.Marker) error
	// Marker gives the present one; nil when none is set.
	Marker() (*fence.Marker, error)
}

// Sealer fences the local node: it makes sure that its server does not write,
// and cannot come back writable, and reads that back.
type Sealer struct {
	Node    string
	DataDir string
	// SystemID is what the node's durable state knows; zero when it knows none.
	// A data directory with another one is not touched.
	SystemID replication.SystemID
	Driver   pgctl.Driver
	Markers  MarkerStore
	Limits   pgctl.Limits
	Now      func() time.Time
	Log      *zap.Logger
}

// Name implements fence.Device.
func (s *Sealer) Name() string { return "local" }

// Off implements fence.Device.
func (s *Sealer) Off(ctx context.Context, o fence.Order) fence.Outcome { return s.Seal(ctx, o) }

// sealing is one run of Seal.
type sealing struct {
	*Sealer
	order fence.Order
	id    replication.SystemID
	dir   string // links resolved, as the state records it
	out   fence.Outcome
}

// Seal fences this node under the order. The order of its acts is what makes it
// safe, and is never changed:
//
//  1. The marker, durably. From here on the gate and the service know that this
//     node must not be primary, whatever happens to the rest; if it cannot be
//     written, nothing else is done, for a stopped server without a marker
//     would come back writable by itself.
//  2. standby.signal, durably. Before the stop, not after it: a server that
//     starts from now on starts in recovery, and one that started before has the
//     data directory as its working directory, so the stop finds it. The other
//     way round, a restart between the two would be writable and unseen.
//  3. The stop, proven by processes: sessions of before the fault keep writing
//     through a dead postmaster.
//  4. All of it read back.
//
// What was set stays set when a later act fails. A sealed node that is sealed
// again is only read back; one that runs in recovery under its marker is left
// running, unless its manager starts it by itself again (a container that was made
// anew), which only a stop switches off. Whatever cannot be read makes the result unknown, except for the end
// of WAL, which is no part of the proof and then is missing in the outcome.
func (s *Sealer) Seal(ctx context.Context, o fence.Order) fence.Outcome {
	r := &sealing{Sealer: s, order: o, out: fence.Outcome{Node: s.Node, Device: s.Name()}}
	if err := r.admit(ctx); err != nil {
		return r.end(fence.ResultNotDone, err)
	}
	held, err := r.heldInRecovery(ctx)
	if err != nil {
		return r.end(fence.ResultNotDone, err)
	}
	if result, err := r.mark(); err != nil {
		return r.end(result, err)
	}
	if err := pgctl.WriteStandbySignal(s.DataDir); err != nil {
		return r.end(fence.ResultNotDone, fmt.Errorf("%w; the marker stays set, the server was not stopped; next: make %s writable and fence again, or use another device", err, s.DataDir))
	}
	r.saw("standby.signal is written, durably")
	if !held {
		if err := r.stop(ctx); err != nil {
			return r.end(fence.ResultUnknown, err)
		}
	}
	if err := r.readBack(ctx); err != nil {
		return r.end(fence.ResultUnknown, err)
	}
	if err := r.endOfWAL(); err != nil {
		return r.end(fence.ResultUnknown, err)
	}
	return r.end(fence.ResultDone, nil)
}

func (r *sealing) saw(format string, a ...any) {
	r.out.Evidence = append(r.out.Evidence, fence.Evidence{Observer: r.Node, Text: fmt.Sprintf(format, a...), At: r.Now()})
}

// end closes the outcome. A failed seal gives no grade and no end of WAL.
func (r *sealing) end(result fence.Result, err error) fence.Outcome {
	r.out.Result = result
	log := r.Log.With(zap.String("node", r.Node), zap.String("plan", r.order.Operation), zap.Uint64("epoch", r.order.Epoch.Number))
	if result == fence.ResultDone {
		r.out.Grade = fence.GradeSealed
		log.Info("node is sealed")
		return r.out
	}
	r.out.EndOfWAL = nil
	r.out.Problem = fmt.Sprintf("seal %s: %v", r.Node, err)
	log.Error("node is not sealed", zap.Stringer("result", result), zap.Error(err))
	return r.out
}

// admit refuses what is not for this node, before anything is changed.
func (r *sealing) admit(ctx context.Context) error {
	o := r.order
	switch {
	case o.Node != r.Node:
		return fmt.Errorf("the order is for %q", o.Node)
	case o.Operation == "":
		return errors.New("the order names no operation")
	case o.Revoked:
		return fmt.Errorf("the order of operation %s is revoked", o.Operation)
	case ctx.Err() != nil:
		return fmt.Errorf("not begun: %w", context.Cause(ctx))
	}
	dir, err := filepath.EvalSymlinks(r.DataDir)
	if err != nil {
		return fmt.Errorf("find data directory: %w; next: watchdog config show", err)
	}
	c, err := pgdata.ReadControl(dir)
	if err != nil {
		return fmt.Errorf("%w; next: fence %s by another device", err, r.Node)
	}
	r.dir, r.id = dir, c.SystemID
	for who, id := range map[string]replication.SystemID{"the state": r.SystemID, "the order": o.SystemID} {
		if id != 0 && id != c.SystemID {
			return fmt.Errorf("%s has system identifier %s, %s says %s; next: watchdog config show", dir, c.SystemID, who, id)
		}
	}
	if o.DataDirectory != "" && o.DataDirectory != dir && o.DataDirectory != r.DataDir {
		return fmt.Errorf("the data directory is %s, the order says %s; next: watchdog config show", dir, o.DataDirectory)
	}
	return nil
}

// mark sets the marker. One that holds the node under a higher epoch is not
// replaced, and a plain fence, which has no epoch, replaces none that has one.
func (r *sealing) mark() (fence.Result, error) {
	was, err := r.Markers.Marker()
	if err != nil {
		return fence.ResultNotDone, fmt.Errorf("read the marker: %w; the server was not stopped", err)
	}
	if was != nil {
		if err := r.bound(*was); err != nil {
			return fence.ResultNotDone, err
		}
		if was.Epoch.Number > r.order.Epoch.Number && !r.order.Epoch.Zero() {
			return fence.ResultNotDone, fmt.Errorf("the order of epoch %d comes late: a marker of epoch %d (operation %s) holds this node; next: watchdog status",
				r.order.Epoch.Number, was.Epoch.Number, was.Operation)
		}
		if was.Operation == r.order.Operation || (r.order.Epoch.Zero() && !was.Epoch.Zero()) {
			r.saw("a marker of operation %s (epoch %d) is set since %s", was.Operation, was.Epoch.Number, was.SetAt.UTC().Format(time.RFC3339))
			return fence.ResultDone, nil
		}
	}
	m := fence.Marker{Operation: r.order.Operation, Kind: r.kind(), Epoch: r.order.Epoch, SystemID: r.id, DataDirectory: r.dir,
		By: r.order.By, Reason: "sealed by order of " + r.order.Issuer, SetAt: r.Now()}
	if err := r.Markers.SetMarker(m); err != nil {
		return r.unset(err)
	}
	r.saw("the marker of operation %s is set, durably", m.Operation)
	return fence.ResultDone, nil
}

// kind is what the marker says of its operation: only one that makes an epoch
// promotes.
func (r *sealing) kind() string {
	if r.order.Epoch.Zero() {
		return "fence"
	}
	return "promote"
}

// unset tells a marker that is certainly not there from one that may be: an
// fsync can fail after the rename.
func (r *sealing) unset(cause error) (fence.Result, error) {
	err := fmt.Errorf("set the marker: %w; the server was not stopped; next: make the state directory writable and fence again", cause)
	if now, rerr := r.Markers.Marker(); rerr != nil || (now != nil && now.Operation == r.order.Operation) {
		return fence.ResultUnknown, err
	}
	return fence.ResultNotDone, err
}

// bound refuses a marker that was set for other data.
func (s *sealing) bound(m fence.Marker) error {
	if m.SystemID != s.id || (m.DataDirectory != s.dir && m.DataDirectory != s.DataDir) {
		return fmt.Errorf("the marker is bound to system identifier %s in %s, the data is %s in %s; next: watchdog status",
			m.SystemID, m.DataDirectory, s.id, s.dir)
	}
	return nil
}

// stop ends the server and tells how.
func (r *sealing) stop(ctx context.Context) error {
	rep, err := pgctl.StopVerified(ctx, r.Driver, r.DataDir, r.Limits)
	for _, p := range rep.Phases {
		note := ""
		if p.Note != "" {
			note = " (" + clean(p.Note) + ")"
		}
		r.saw("stop %s: %d server processes left after %s%s", p.Name, p.Left, p.Took.Round(time.Millisecond), note)
	}
	for _, p := range rep.Killed {
		r.saw("killed %s", clean(p.String()))
	}
	if err != nil {
		return fmt.Errorf("%w; marker and standby.signal stay set; next: look at these processes (ps), or fence %s by another device", err, r.Node)
	}
	if !rep.Proven {
		return errors.New("the stop is not proven; next: watchdog fence " + r.Node)
	}
	return nil
}
