package replication

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// holdLimit ends an attempt whose server stays silent after TCP connected, so
// that one stuck session behind a proxy cannot blind the watcher for ever. It
// is long because each new dial to a stopped server stays in its listen queue:
// a full queue (about max_connections × 2.9) drops SYNs and makes a hung
// server look unreachable.
const holdLimit = 10 * time.Minute

// attempt is one fresh connection on its way. A hung server is not dialed
// again and again: the attempt is held, its socket watched by the kernel's
// keepalive, and its answer, when the server wakes up, is the recovery.
type attempt struct {
	wire   *wire
	cancel context.CancelFunc
	done   chan struct{} // closed when link, phase, err are set
	began  time.Time
	link   *link
	phase  Phase
	err    error
}

// startAttempt dials in the background. The connect phase is bounded by
// deadline; what follows only by holdLimit and abandon.
func startAttempt(t Target, deadline time.Duration) *attempt {
	ctx, cancel := context.WithTimeout(context.Background(), holdLimit)
	a := &attempt{wire: newWire(deadline), cancel: cancel, done: make(chan struct{}), began: time.Now()}
	go func() {
		defer close(a.done)
		defer cancel()
		a.link, a.phase, a.err = connectAny(ctx, t, a.wire)
	}()
	return a
}

// connectAny logs in as a walsender of a database, or as a physical one where
// the role may open nothing else.
func connectAny(ctx context.Context, t Target, w *wire) (*link, Phase, error) {
	if t.Database == "" {
		return connect(ctx, t, modePhysical, w)
	}
	l, phase, err := connect(ctx, t, modeWalsender, w)
	if err == nil || !refusedDatabase(err) {
		return l, phase, err
	}
	if l, p, perr := connect(ctx, t, modePhysical, w); perr == nil {
		return l, p, nil
	}
	return nil, phase, err
}

// refusedDatabase tells whether another kind of session may still be let in:
// no pg_hba line, no such database, no right to connect to it.
func refusedDatabase(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	return pg.Code == "28000" || pg.Code == "3D000" || pg.Code == "42501"
}

// await gives the attempt until deadline after TCP connected. It reports false
// when the server stays silent (or ctx ended): the attempt goes on.
func (a *attempt) await(ctx context.Context, deadline time.Duration) bool {
	select {
	case <-a.done:
		return true
	case <-ctx.Done():
		return false
	case <-a.wire.up:
	}
	t := time.NewTimer(deadline)
	defer t.Stop()
	select {
	case <-a.done:
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// abandon ends the attempt and frees its socket.
func (a *attempt) abandon() {
	a.cancel()
	a.wire.cut()
	<-a.done
	if a.link != nil {
		a.link.close()
	}
}
