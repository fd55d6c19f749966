package replication

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// emit is a commit that reaches the disk and waits as any other, writes 96
// bytes of WAL and touches no row, so that a stalled one blocks nobody.
// txid_current and the non-transactional form neither flush nor wait.
const emit = "SELECT pg_logical_emit_message(true, 'watchdog', '')"

// cancelLimit bounds the cancel request that frees the backend of a stalled
// commit: on its own connection, best effort.
const cancelLimit = 250 * time.Millisecond

// commit runs sql, whose end is a commit. ErrStalled when ctx ended first: the
// server is asked to give up waiting, and the connection is dropped.
func (a *Actor) commit(ctx context.Context, act, sql string) error {
	if a.link == nil {
		return fmt.Errorf("%s: %w", act, ErrDropped)
	}
	err := a.link.exec(ctx, sql)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && timedOut(err) && a.link != nil {
		cctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelLimit)
		defer cancel()
		a.link.cancel(cctx)
		a.Close()
		return fmt.Errorf("%s: %w", act, errors.Join(ErrStalled, ctx.Err()))
	}
	return a.fail(act, err)
}

// CommitLocal proves that a commit reaches this server's disk, waiting for no
// standby.
func (a *Actor) CommitLocal(ctx context.Context) error {
	if err := a.exec(ctx, "commit locally", "SET synchronous_commit = local"); err != nil {
		return err
	}
	return a.commit(ctx, "commit locally", emit)
}

// CommitNormal proves that a commit ends as the applications' commits do, the
// wait for synchronous standbys included.
func (a *Actor) CommitNormal(ctx context.Context) error {
	if err := a.exec(ctx, "commit", "RESET synchronous_commit"); err != nil {
		return err
	}
	return a.commit(ctx, "commit", emit)
}

// WriteEpoch inserts the epoch's row, without waiting for a standby: right
// after a promotion there may be none. Idempotent. The row streams to every
// descendant of this promotion and to no other server, which nothing in
// PostgreSQL's own answers can tell apart.
func (a *Actor) WriteEpoch(ctx context.Context, e EpochRow) error {
	if e.Number == 0 || e.Number > 1<<63-1 || e.ID == "" || e.Node == "" {
		return fmt.Errorf("write epoch row: number %d, id %q, node %q", e.Number, e.ID, e.Node)
	}
	const act = "write epoch row"
	if err := a.exec(ctx, act, "SET synchronous_commit = local"); err != nil {
		return err
	}
	return a.commit(ctx, act, fmt.Sprintf(
		"INSERT INTO watchdog.epoch (number, id, node, operation) VALUES (%d, %s, %s, %s) ON CONFLICT (number, id) DO NOTHING",
		e.Number, quoteLiteral(e.ID), quoteLiteral(e.Node), quoteLiteral(e.Operation)))
}

// ReadEpoch gives the newest epoch row; nil when there is none yet. A missing
// table is an error (42P01): install it with `watchdog config init-db`.
func (a *Actor) ReadEpoch(ctx context.Context) (*EpochRow, error) {
	if a.link == nil {
		return nil, fmt.Errorf("read epoch row: %w", ErrDropped)
	}
	e, err := a.link.epoch(ctx)
	if err != nil {
		return nil, a.fail("read epoch row", err)
	}
	return e, nil
}
