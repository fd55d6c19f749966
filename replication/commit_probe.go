package replication

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Causes that only a CommitProbe gives.
const (
	CauseInRecovery = "in_recovery" // the server is a standby: nothing was sent
	CauseReadOnly   = "default_transaction_read_only"
	CauseNoSlot     = "no_connection_slot" // commits work, ordinary logins do not
)

// CommitResult is what one commit probe of one server gave. Verdict is
// judged from the pair: sync_stalled when the local commit ended and the normal
// one did not, storage_stalled when not even the local one did.
type CommitResult struct {
	At      time.Time
	Took    time.Duration
	Verdict Verdict
	Cause   string
	Detail  string
	Local   time.Duration // how long the local commit took; 0 when it did not end
	Normal  time.Duration // the same of the normal commit
}

// CommitProbe proves that commits end, on a walsender connection of its own, so
// that a full max_connections does not blind it. At most one commit is under
// way at any time: one that does not end is waited for again by the next call
// instead of being followed by another. It writes WAL, so it must only ever be
// pointed at the legitimate primary.
type CommitProbe struct {
	target   Target
	deadline time.Duration

	mu        sync.Mutex
	link      *link
	flight    bool // a commit was sent and has not been answered
	failed    CommitResult
	notBefore time.Time // no dial before: a hung server's listen queue is finite
	beat      beat
}

// dialPause spaces the dials to a server that did not let us in.
const dialPause = 5 * time.Second

// NewCommitProbe makes a probe; deadline bounds each of its steps (0: the
// default of the SQL probe). Nothing is dialed before Probe.
func NewCommitProbe(t Target, deadline time.Duration) (*CommitProbe, error) {
	if deadline == 0 {
		deadline = DefaultSQLDeadline
	}
	if deadline < 0 || t.Database == "" {
		return nil, fmt.Errorf("set up commit probe: deadline %v, database %q: need both", deadline, t.Database)
	}
	if _, err := t.config(modeWalsender); err != nil {
		return nil, fmt.Errorf("set up commit probe: %w", err)
	}
	return &CommitProbe{target: t, deadline: deadline}, nil
}

// Probe runs the pair once. It returns within about three deadlines, and
// always a result: a zero Verdict says that nothing was learnt.
func (p *CommitProbe) Probe(ctx context.Context) CommitResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	began := time.Now()
	r := p.probe(ctx)
	r.At = time.Now()
	r.Took = r.At.Sub(began)
	return r
}

// Close drops the connection. A commit under way is left to the server.
func (p *CommitProbe) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
}

func (p *CommitProbe) drop() {
	if p.link != nil {
		p.link.close()
	}
	p.link, p.flight = nil, false
}

func (p *CommitProbe) probe(ctx context.Context) CommitResult {
	if p.flight {
		if err := p.land(ctx); err != nil {
			return p.broken(err, VerdictStorageStalled)
		}
	}
	if p.link == nil {
		if time.Now().Before(p.notBefore) {
			return p.failed
		}
		if r, ok := p.dial(ctx); !ok {
			return r
		}
	}
	free, r, ok := p.mayCommit(ctx)
	if !ok {
		return r
	}
	if r = p.commit(ctx, false); r.Verdict != VerdictHealthy {
		return r
	}
	local := r.Local
	r = p.commit(ctx, true)
	r.Local = local
	if r.Verdict != VerdictHealthy {
		return r
	}
	if broken, ok := p.heartbeat(ctx); !ok {
		return broken
	}
	if free < 1 {
		r.Verdict, r.Cause = VerdictSaturated, CauseNoSlot
	}
	return r
}

func (p *CommitProbe) dial(ctx context.Context) (CommitResult, bool) {
	ctx, cancel := context.WithTimeout(ctx, p.deadline)
	defer cancel()
	l, phase, err := connect(ctx, p.target, modeWalsender, newWire(0))
	if err == nil {
		p.link = l
		return CommitResult{}, true
	}
	r := CommitResult{Detail: detail(err)}
	r.Verdict, r.Cause = Classify(err, phase)
	p.failed = r
	if r.Verdict != VerdictDown { // a refusal is cheap to repeat
		p.notBefore = time.Now().Add(dialPause)
	}
	return r, false
}

// mayCommit asks whether a commit is allowed here at all, and how many ordinary
// logins are left for a role that is no superuser (reserved_connections exists
// since 16).
func (p *CommitProbe) mayCommit(ctx context.Context) (free int, r CommitResult, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, p.deadline)
	defer cancel()
	cols, err := p.link.row(ctx, 3, `SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::bool,
 current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
 - coalesce(current_setting('reserved_connections', true), '0')::int
 - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')`)
	if err != nil {
		return 0, p.broken(err, VerdictHung), false
	}
	s := scan{cols: cols}
	standby, readOnly := s.bool(), s.bool()
	free = s.int()
	switch {
	case s.err != nil:
		return 0, p.broken(s.err, VerdictUnknown), false
	case standby:
		return 0, CommitResult{Verdict: VerdictUnknown, Cause: CauseInRecovery}, false
	case readOnly:
		// pg_logical_emit_message does not mind, the applications do.
		return 0, CommitResult{Verdict: VerdictReadOnly, Cause: CauseReadOnly}, false
	}
	return free, CommitResult{}, true
}

// commit sends one commit, local or normal, and waits for its end.
func (p *CommitProbe) commit(ctx context.Context, normal bool) CommitResult {
	set, stalled := "SET synchronous_commit = local", VerdictStorageStalled
	if normal {
		set, stalled = "RESET synchronous_commit", VerdictSyncStalled
	}
	sctx, cancel := context.WithTimeout(ctx, p.deadline)
	defer cancel()
	if err := p.link.exec(sctx, set); err != nil {
		return p.broken(err, VerdictHung)
	}
	began := time.Now()
	err := p.send(emit)
	if err == nil {
		err = p.receive(sctx)
	}
	took := time.Since(began)
	switch {
	case err != nil:
		if normal && p.flight && timedOut(err) {
			p.release(ctx)
		}
		return p.broken(err, stalled)
	case normal:
		return CommitResult{Verdict: VerdictHealthy, Normal: took}
	}
	return CommitResult{Verdict: VerdictHealthy, Local: took}
}

func (p *CommitProbe) send(sql string) error {
	p.link.pg.Frontend().SendQuery(&pgproto3.Query{String: sql})
	if err := p.link.pg.Frontend().Flush(); err != nil {
		return fmt.Errorf("send commit: %w", err)
	}
	p.flight = true
	return nil
}

// receive waits for the answer of the commit under way. A deadline that passes
// leaves it under way.
func (p *CommitProbe) receive(ctx context.Context) error {
	a, err := p.link.finish(ctx)
	if err != nil {
		return err
	}
	p.flight = false
	if a.err != nil {
		return a.err
	}
	return nil
}

// land waits once more for a commit that the last call left under way.
func (p *CommitProbe) land(ctx context.Context) error {
	p.release(ctx)
	if !p.flight {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.deadline)
	defer cancel()
	err := p.receive(ctx)
	if !p.flight {
		return nil // it ended; how does not matter any more
	}
	return err
}

// release cancels a wait for a standby, so that the next pair starts afresh
// and no backend is left behind: the commit then stands locally, with a
// warning. A commit that waits for the disk cannot be cancelled.
func (p *CommitProbe) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, cancelLimit)
	defer cancel()
	p.link.cancel(ctx)
	_ = p.receive(ctx) // p.flight tells
}

// broken turns an error into a result. A deadline means stalled; the link is
// kept only while its commit is under way or the server refused one command.
func (p *CommitProbe) broken(err error, stalled Verdict) CommitResult {
	r := CommitResult{Detail: detail(err)}
	r.Verdict, r.Cause = Classify(err, PhaseQuery)
	if timedOut(err) {
		r.Verdict, r.Cause = stalled, CauseTimeout
		if stalled == VerdictStorageStalled || stalled == VerdictSyncStalled {
			return r
		}
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !fatal(pg) {
		return r
	}
	p.drop()
	if r.Verdict == VerdictHung {
		p.failed, p.notBefore = r, time.Now().Add(dialPause)
	}
	return r
}
