package replication

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrStalled is returned when a commit did not end within the caller's
// deadline. Whether it takes effect later is not known; the connection is
// dropped, and the actor must be dialed anew.
var ErrStalled = errors.New("commit did not end before its deadline")

// ErrDropped is returned by every method of an Actor whose connection was
// dropped after a deadline or an error of the transport.
var ErrDropped = errors.New("connection was dropped: dial again")

// StateError carries the verdict on a refused act, so that callers need not
// know SQLSTATE codes.
type StateError struct {
	Act     string // what was tried: "promote", "drop slot \"x\""
	Verdict Verdict
	Cause   string // SQLSTATE, errno name or one of the Cause constants
	Err     error
}

// Error gives act and cause on one line.
func (e *StateError) Error() string { return fmt.Sprintf("%s: %s", e.Act, detail(e.Err)) }

// Unwrap gives the cause.
func (e *StateError) Unwrap() error { return e.Err }

// Actor is an ordinary session for acting on one server, as a role with the
// rights of watchdog_act or a superuser. Every method obeys its context on the
// client's side, because no server-side timeout bounds a commit. When a
// context ends while an answer is due, the connection is dropped: what was sent
// may still take effect, and only reading back tells. An Actor is not safe for
// concurrent use.
type Actor struct {
	target Target
	link   *link
}

// Dial opens the session. An error is a *StateError with the verdict: 53300 is
// VerdictSaturated here, whatever a Watcher on the same server says.
func Dial(ctx context.Context, t Target) (*Actor, error) {
	l, phase, err := connect(ctx, t, modeOrdinary, newWire(0))
	if err != nil {
		v, cause := Classify(err, phase)
		return nil, &StateError{Act: "open session on " + t.Address(), Verdict: v, Cause: cause, Err: err}
	}
	return &Actor{target: t, link: l}, nil
}

// Close ends the session. It does not wait for the server.
func (a *Actor) Close() {
	if a.link != nil {
		a.link.close()
		a.link = nil
	}
}

// fail names the act, and drops the connection unless the server itself
// refused the one command.
func (a *Actor) fail(act string, err error) error {
	v, cause := Classify(err, PhaseQuery)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || fatal(pg) {
		a.Close()
	}
	return &StateError{Act: act, Verdict: v, Cause: cause, Err: err}
}

// row asks one statement that gives one row of n columns.
func (a *Actor) row(ctx context.Context, act string, n int, sql string) (*scan, error) {
	if a.link == nil {
		return nil, fmt.Errorf("%s: %w", act, ErrDropped)
	}
	cols, err := a.link.row(ctx, n, sql)
	if err != nil {
		return nil, a.fail(act, err)
	}
	return &scan{cols: cols}, nil
}

func (a *Actor) exec(ctx context.Context, act, sql string) error {
	if a.link == nil {
		return fmt.Errorf("%s: %w", act, ErrDropped)
	}
	if err := a.link.exec(ctx, sql); err != nil {
		return a.fail(act, err)
	}
	return nil
}

// poll asks done every few milliseconds until it says yes. State is what was
// seen last, for the error.
func poll(ctx context.Context, every time.Duration, what string, done func() (ok bool, state string, err error)) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		ok, state, err := done()
		if err != nil {
			return err
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: last seen %s: %w", what, state, ctx.Err())
		case <-t.C:
		}
	}
}

// InRecovery reports whether the server is a standby.
func (a *Actor) InRecovery(ctx context.Context) (bool, error) {
	s, err := a.row(ctx, "read role", 1, "SELECT pg_is_in_recovery()")
	if err != nil {
		return false, err
	}
	return s.bool(), s.err
}

// Positions is where a server stands, read in one statement.
type Positions struct {
	InRecovery bool
	// Receive and Replay are those of a standby. Receive is 0 when nothing was
	// streamed since it started, and may lie behind Replay then.
	Receive, Replay LSN
	Flush           LSN // of a primary
	// Timeline is that of WAL being written, or of WAL being received; a
	// standby without upstream gives the newest that its control file knows.
	Timeline Timeline
	Paused   bool // replay is paused
}

// End is the position to compare: flush of a primary; the greater of receive
// and replay of a standby.
func (p Positions) End() LSN {
	if p.InRecovery {
		return max(p.Receive, p.Replay)
	}
	return p.Flush
}

const sqlPositions = `SELECT r, CASE WHEN r THEN pg_last_wal_receive_lsn() END, CASE WHEN r THEN pg_last_wal_replay_lsn() END,
 CASE WHEN NOT r THEN pg_current_wal_flush_lsn() END,
 CASE WHEN r THEN greatest((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()),
   (SELECT min_recovery_end_timeline FROM pg_control_recovery()))::text
  ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint::text END,
 CASE WHEN r THEN pg_is_wal_replay_paused() END
 FROM pg_is_in_recovery() r`

// Positions reads where the server stands.
func (a *Actor) Positions(ctx context.Context) (Positions, error) {
	s, err := a.row(ctx, "read positions", 6, sqlPositions)
	if err != nil {
		return Positions{}, err
	}
	p := Positions{InRecovery: s.bool(), Receive: s.lsn(), Replay: s.lsn(), Flush: s.lsn(), Timeline: s.timeline(), Paused: s.bool()}
	return p, s.err
}

// History fetches the ancestry of a timeline, on a walsender connection of its
// own (TIMELINE_HISTORY is a replication command), so the role needs
// REPLICATION.
func (a *Actor) History(ctx context.Context, tl Timeline) (History, error) {
	l, phase, err := connectAny(ctx, a.target, newWire(0))
	if err != nil {
		v, cause := Classify(err, phase)
		return History{}, &StateError{Act: fmt.Sprintf("fetch history of timeline %d", tl), Verdict: v, Cause: cause, Err: err}
	}
	defer l.close()
	return l.history(ctx, tl)
}

// Checkpoint runs CHECKPOINT and waits for its end. A rewind against a new
// primary needs it first: until then its control file shows the old timeline,
// and pg_rewind silently does nothing.
func (a *Actor) Checkpoint(ctx context.Context) error { return a.exec(ctx, "checkpoint", "CHECKPOINT") }

// reload makes the server read its configuration files; it only sends the
// signal, so callers read back.
func (a *Actor) reload(ctx context.Context) error {
	s, err := a.row(ctx, "reload configuration", 1, "SELECT pg_reload_conf()")
	if err == nil && !s.bool() {
		err = errors.New("reload configuration: server could not signal its postmaster")
	}
	return err
}

// alterSystem writes one setting to postgresql.auto.conf and reloads. Values
// with line breaks or NUL bytes are refused: the file is read line by line.
func (a *Actor) alterSystem(ctx context.Context, name, value string) error {
	if strings.ContainsAny(value, "\x00\r\n") {
		return fmt.Errorf("set %s: value holds a line break or a NUL byte", name)
	}
	if err := a.exec(ctx, "set "+name, "ALTER SYSTEM SET "+name+" = "+quoteLiteral(value)); err != nil {
		return err
	}
	return a.reload(ctx)
}

func (a *Actor) resetSystem(ctx context.Context, name string) error {
	if err := a.exec(ctx, "reset "+name, "ALTER SYSTEM RESET "+name); err != nil {
		return err
	}
	return a.reload(ctx)
}
