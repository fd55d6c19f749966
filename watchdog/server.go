package watchdog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// server acts on the own node's PostgreSQL for the operations. Each call opens
// a session of its own: an operation may span restarts of the server, and no
// idle session of ours ever holds up a shutdown.
type server struct {
	target replication.Target
	store  *state.Store
}

// dialLimit bounds opening a session on the local server.
const dialLimit = 5 * time.Second

func (s *server) with(ctx context.Context, act func(*replication.Actor) error) error {
	dctx, cancel := context.WithTimeout(ctx, dialLimit)
	a, err := replication.Dial(dctx, s.target)
	cancel()
	if err != nil {
		return err
	}
	defer a.Close()
	return act(a)
}

// InRecovery implements runbooks.Server.
func (s *server) InRecovery(ctx context.Context) (in bool, err error) {
	err = s.with(ctx, func(a *replication.Actor) error {
		in, err = a.InRecovery(ctx)
		return err
	})
	return in, err
}

// promoting says whether the server has taken a promote request.
func (s *server) promoting(ctx context.Context) (on bool, err error) {
	err = s.with(ctx, func(a *replication.Actor) error {
		on, err = a.PromotionUnderWay(ctx)
		return err
	})
	return on, err
}

// Positions implements runbooks.Server.
func (s *server) Positions(ctx context.Context) (received, replayed replication.LSN, err error) {
	err = s.with(ctx, func(a *replication.Actor) error {
		p, err := a.Positions(ctx)
		received, replayed = p.End(), p.Replay
		return err
	})
	return received, replayed, err
}

// look is the own server as it is at this moment.
type look struct {
	positions replication.Positions
	streaming bool // WAL comes in
}

func (s *server) look(ctx context.Context) (l look, err error) {
	err = s.with(ctx, func(a *replication.Actor) error {
		if l.positions, err = a.Positions(ctx); err != nil {
			return err
		}
		l.streaming, err = a.Streaming(ctx)
		return err
	})
	return l, err
}

// StopReceiving implements runbooks.Server. What was set before is kept durably
// first, so that an abort after a crash can put it back.
func (s *server) StopReceiving(ctx context.Context) error {
	return s.with(ctx, func(a *replication.Actor) error {
		was, err := a.Receiving(ctx)
		if err != nil {
			return err
		}
		if was.ConnInfo != "" {
			if err := s.store.SaveReceiving(was); err != nil {
				return err
			}
		}
		_, err = a.StopReceiving(ctx)
		return err
	})
}

// ResumeReceiving implements runbooks.Server. A server that cannot be asked now
// keeps nobody from aborting: what was set before stays remembered, and the
// service puts it back when the server answers (receiveAgain).
func (s *server) ResumeReceiving(ctx context.Context) error {
	if _, _, err := s.store.Receiving(); err != nil {
		return err
	}
	if _, err := s.InRecovery(ctx); err != nil {
		return nil //nolint:nilerr // later, as said
	}
	return s.restoreReceiving(ctx)
}

// restoreReceiving puts back what is remembered; with nothing remembered it does
// nothing.
func (s *server) restoreReceiving(ctx context.Context) error {
	was, kept, err := s.store.Receiving()
	if err != nil || !kept {
		return err
	}
	if err := s.with(ctx, func(a *replication.Actor) error { return a.RestoreReceiving(ctx, was) }); err != nil {
		return err
	}
	return s.store.ForgetReceiving()
}

// stillFor is how long the replayed position must stand still, short of the
// received one, to count as the end of what can be replayed: the tail may be
// half a record. The promotion itself replays whatever is left.
const stillFor = 2 * time.Second

// Settle implements runbooks.Server.
func (s *server) Settle(ctx context.Context) error {
	return s.with(ctx, func(a *replication.Actor) error {
		t := time.NewTicker(20 * time.Millisecond)
		defer t.Stop()
		var at replication.LSN
		since := time.Now()
		for {
			p, err := a.Positions(ctx)
			switch {
			case err != nil:
				return err
			case p.Paused:
				return fmt.Errorf("replay is paused at %s", p.Replay)
			case !p.InRecovery || p.Replay >= p.Receive:
				return nil
			}
			if p.Replay != at {
				at, since = p.Replay, time.Now()
			}
			if time.Since(since) > stillFor {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("replay reached %s of %s: %w", p.Replay, p.Receive, ctx.Err())
			case <-t.C:
			}
		}
	})
}

// CreateSlot implements runbooks.Promoted.
func (s *server) CreateSlot(ctx context.Context, name string) error {
	return s.with(ctx, func(a *replication.Actor) error { return a.CreatePhysicalSlot(ctx, name, true) })
}

// Promote implements runbooks.Promoted.
func (s *server) Promote(ctx context.Context) error {
	return s.with(ctx, func(a *replication.Actor) error {
		_, err := a.Promote(ctx)
		return err
	})
}

// Prove implements runbooks.Promoted.
func (s *server) Prove(ctx context.Context, e replication.EpochRow) (tl replication.Timeline, err error) {
	err = s.with(ctx, func(a *replication.Actor) error {
		in, err := a.InRecovery(ctx)
		if err != nil {
			return err
		}
		if in {
			return errors.New("the server is in recovery")
		}
		if err := a.WriteEpoch(ctx, e); err != nil {
			return err
		}
		got, err := a.ReadEpoch(ctx)
		if err != nil {
			return err
		}
		if got == nil || got.Number != e.Number || got.ID != e.ID {
			return fmt.Errorf("the epoch row reads back as %v, not as number %d", got, e.Number)
		}
		tl, err = a.Timeline(ctx)
		return err
	})
	return tl, err
}

// ReleaseSync implements runbooks.Promoted.
func (s *server) ReleaseSync(ctx context.Context) (was string, err error) {
	err = s.with(ctx, func(a *replication.Actor) error {
		n, err := a.ReleaseSync(ctx)
		was = n.Names
		return err
	})
	return was, err
}

// Settled implements runbooks.Promoted: a normal commit, or a checkpoint.
func (s *server) Settled(ctx context.Context, checkpoint bool) error {
	return s.with(ctx, func(a *replication.Actor) error {
		if checkpoint {
			return a.Checkpoint(ctx)
		}
		return a.CommitNormal(ctx)
	})
}
