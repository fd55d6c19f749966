package observe

import (
	"context"
	"errors"
	"strings"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Committer is one session that tries to commit. *replication.Actor is one.
type Committer interface {
	CommitLocal(ctx context.Context) error
	CommitNormal(ctx context.Context) error
	Close()
}

// DialCommit opens sessions on the own server for the commit probe.
func DialCommit(t replication.Target) func(context.Context) (Committer, error) {
	return func(ctx context.Context) (Committer, error) {
		a, err := replication.Dial(ctx, t)
		if err != nil {
			return nil, err
		}
		return a, nil
	}
}

// attempt is what one commit probe found; VerdictHealthy when both commits
// ended, VerdictUnknown when it proves nothing about commits.
type attempt struct {
	verdict replication.Verdict
	cause   string
	detail  string
}

// commitLoop tries commits while this node may: one in flight, because a
// stalled one is waited for until its deadline.
func (ob *Observer) commitLoop(ctx context.Context) error {
	own, misses := ob.own(), 0
	return every(ctx, ob.o.CommitPeriod, func(ctx context.Context) {
		if !ob.mayCommit(own) {
			misses = 0
			ob.update(func() bool { return ob.clearOverlay(own) })
			return
		}
		got := ob.tryCommit(ctx)
		if ctx.Err() != nil {
			return
		}
		switch got.verdict {
		case replication.VerdictHealthy:
			misses = 0
			ob.update(func() bool { return ob.clearOverlay(own) })
		case replication.VerdictUnknown:
		default:
			if misses++; misses >= ob.o.Misses {
				ob.update(func() bool { return ob.setOverlay(own, got) })
			}
		}
	})
}

func (ob *Observer) mayCommit(own *server) bool {
	ob.mu.Lock()
	healthy := own.last.Verdict == replication.VerdictHealthy && own.last.Role == replication.RolePrimary
	ob.mu.Unlock()
	return healthy && ob.o.MayCommit()
}

// tryCommit compares the two commits: the local one waits for the disk only,
// the normal one for synchronous standbys as well.
func (ob *Observer) tryCommit(ctx context.Context) attempt {
	dctx, cancel := context.WithTimeout(ctx, ob.o.CommitDeadline)
	defer cancel()
	session, err := ob.o.Commit(dctx)
	if err != nil {
		return opened(err)
	}
	defer session.Close()
	if err := ob.commit(ctx, session.CommitLocal); err != nil {
		return classifyCommit(err, replication.VerdictStorageStalled)
	}
	if err := ob.commit(ctx, session.CommitNormal); err != nil {
		return classifyCommit(err, replication.VerdictSyncStalled)
	}
	return attempt{verdict: replication.VerdictHealthy}
}

func (ob *Observer) commit(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, ob.o.CommitDeadline)
	defer cancel()
	return do(ctx)
}

// opened judges a session that was not opened: only saturation says something
// that the position probe does not know better.
func opened(err error) attempt {
	var se *replication.StateError
	if errors.As(err, &se) && se.Verdict == replication.VerdictSaturated {
		return attempt{se.Verdict, se.Cause, se.Error()}
	}
	return attempt{}
}

// classifyCommit judges a commit that did not succeed. A stall is what the pair
// of commits says; a refusal is judged by SQLSTATE: 25006 read-only, classes 53
// and 58 no resources or I/O errors (PostgreSQL manual, appendix A).
func classifyCommit(err error, stalled replication.Verdict) attempt {
	if errors.Is(err, replication.ErrStalled) {
		return attempt{stalled, replication.CauseTimeout, err.Error()}
	}
	var se *replication.StateError
	if !errors.As(err, &se) {
		return attempt{}
	}
	switch {
	case se.Verdict == replication.VerdictReadOnly || se.Verdict == replication.VerdictSaturated:
		return attempt{se.Verdict, se.Cause, se.Error()}
	case len(se.Cause) == 5 && (strings.HasPrefix(se.Cause, "53") || strings.HasPrefix(se.Cause, "58")):
		return attempt{replication.VerdictStorageStalled, se.Cause, se.Error()}
	default:
		return attempt{}
	}
}

func (ob *Observer) setOverlay(s *server, got attempt) bool {
	changed := s.overlay.verdict != got.verdict
	if changed {
		s.overlay.since = ob.o.Now()
		ob.o.Log.Warn("commits fail", zap.String("node", s.node), zap.Stringer("verdict", got.verdict), zap.String("cause", got.cause))
	}
	s.overlay.verdict, s.overlay.cause, s.overlay.detail = got.verdict, got.cause, got.detail
	return changed
}

func (ob *Observer) clearOverlay(s *server) bool {
	had := s.overlay.verdict != replication.VerdictUnknown
	if had {
		ob.o.Log.Info("commit probe no longer fails", zap.String("node", s.node))
	}
	s.overlay = overlay{}
	return had
}
