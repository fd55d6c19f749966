package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// settleLimit bounds the wait for a moment at which a promotion is safe from
// the trap of Promote. wal_retrieve_retry_interval, by default 5 s, is what the
// trap costs, so waiting longer than that can never pay.
const settleLimit = 2 * time.Second

// Promotion says what Promote did.
type Promotion struct {
	Already bool          // the server was a primary before
	Settled bool          // the startup process was seen at rest before the request
	Wait    time.Duration // spent until it was at rest
	Took    time.Duration // from the request until the server left recovery
}

// Promote makes the standby leave recovery and returns once pg_is_in_recovery
// says no; a server out of recovery is left alone.
//
// The trap: a promote request that arrives while the startup process waits for
// a new walreceiver is only looked at after a whole wal_retrieve_retry_interval
// (measured in 8 of 10 promotions right at the end of the stream). So it waits
// first, bounded, until the startup process sleeps in
// RecoveryRetrieveRetryInterval, from which the request wakes it, or consumes a
// running stream.
func (a *Actor) Promote(ctx context.Context) (Promotion, error) {
	in, err := a.InRecovery(ctx)
	if err != nil {
		return Promotion{}, err
	}
	if !in {
		return Promotion{Already: true}, nil
	}
	var p Promotion
	began := time.Now()
	p.Settled, err = a.settle(ctx)
	p.Wait = time.Since(began)
	if err != nil {
		return p, err
	}
	began = time.Now()
	s, err := a.row(ctx, "promote", 1, "SELECT pg_promote(false)")
	if err != nil {
		return p, err
	}
	if !s.bool() {
		return p, errors.New("promote: server could not signal its postmaster")
	}
	err = poll(ctx, pollEvery, "server leaves recovery", func() (bool, string, error) {
		in, err := a.InRecovery(ctx)
		return !in, "in recovery", err
	})
	p.Took = time.Since(began)
	return p, err
}

// inProgress is object_not_in_prerequisite_state: what pg_wal_replay_resume
// gives while a promotion is under way, and out of recovery.
const inProgress = "55000"

// PromotionUnderWay says whether the startup process has taken a promote request
// that it has not finished: such a server says that it is in recovery, and leaves
// it whatever its caller decides. One that was not looked at yet shows as the file
// promote in the data directory. A paused replay is left paused: a promotion
// ends the pause.
func (a *Actor) PromotionUnderWay(ctx context.Context) (bool, error) {
	p, err := a.Positions(ctx)
	if err != nil || !p.InRecovery || p.Paused {
		return false, err
	}
	err = a.exec(ctx, "look for a promotion", "SELECT pg_wal_replay_resume()") // without effect, but for the error
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == inProgress {
		return true, nil
	}
	return false, err
}

// settle waits until a promote request is looked at at once. Not reaching that
// is no error: the promotion is then only slower.
func (a *Actor) settle(ctx context.Context) (bool, error) {
	sctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	err := poll(sctx, pollEvery, "startup process is at rest", func() (bool, string, error) {
		// The statement has the outer deadline: a poll that ends must not drop
		// the connection.
		s, err := a.row(ctx, "read startup process", 2, `SELECT
 (SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'),
 (SELECT status FROM pg_stat_wal_receiver)`)
		if err != nil {
			return false, "", err
		}
		event, receiver := s.str(), s.str()
		return atRest(event, receiver), event + "/" + receiver, s.err
	})
	if err == nil {
		return true, nil
	}
	if sctx.Err() != nil && ctx.Err() == nil && a.link != nil {
		return false, nil
	}
	return false, err
}

// atRest judges a wait event of the startup process and the state of the
// walreceiver (empty: none runs). PostgreSQL 14 to 18 use the same names.
func atRest(event, receiver string) bool {
	return event == "RecoveryRetrieveRetryInterval" && receiver == "" ||
		event == "RecoveryWalStream" && receiver == "streaming"
}

// Timeline reads the timeline that the server writes; only a primary has one.
func (a *Actor) Timeline(ctx context.Context) (Timeline, error) {
	p, err := a.Positions(ctx)
	switch {
	case err != nil:
		return 0, err
	case p.InRecovery:
		return 0, errors.New("read timeline: server is in recovery")
	case p.Timeline == 0:
		return 0, fmt.Errorf("read timeline: %w", ErrProtocol)
	}
	return p.Timeline, nil
}
