package observe

import (
	"context"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Committer tries a local and a normal commit on the own server and judges the
// pair. *replication.CommitProbe is one.
type Committer interface {
	Probe(ctx context.Context) replication.CommitResult
	Close()
}

// commitLoop tries commits while this node may: one in flight, because a
// stalled one is waited for until its deadline. While it may not, no connection
// is kept.
func (ob *Observer) commitLoop(ctx context.Context) error {
	defer ob.o.Commit.Close()
	own, misses := ob.own(), 0
	return every(ctx, ob.o.CommitPeriod, func(ctx context.Context) {
		if !ob.mayCommit(own) {
			misses = 0
			ob.o.Commit.Close()
			ob.update(func() bool { return ob.clearOverlay(own) })
			return
		}
		got := ob.o.Commit.Probe(ctx)
		if ctx.Err() != nil {
			return
		}
		switch got.Verdict {
		case replication.VerdictHealthy:
			misses = 0
			ob.update(func() bool { return ob.clearOverlay(own) })
		case replication.VerdictStorageStalled, replication.VerdictSyncStalled, replication.VerdictReadOnly, replication.VerdictSaturated:
			if misses++; misses >= ob.o.Misses {
				ob.update(func() bool { return ob.setOverlay(own, got) })
			}
		}
		// Every other verdict is about the connection, which the position probe
		// knows better.
	})
}

func (ob *Observer) mayCommit(own *server) bool {
	ob.mu.Lock()
	healthy := own.last.Verdict == replication.VerdictHealthy && own.last.Role == replication.RolePrimary
	ob.mu.Unlock()
	return healthy && ob.o.MayCommit()
}

func (ob *Observer) setOverlay(s *server, got replication.CommitResult) bool {
	changed := s.overlay.verdict != got.Verdict
	if changed {
		s.overlay.since = ob.o.Now()
		ob.o.Log.Warn("commits fail", zap.String("node", s.node), zap.Stringer("verdict", got.Verdict), zap.String("cause", got.Cause))
	}
	s.overlay.verdict, s.overlay.cause, s.overlay.detail = got.Verdict, got.Cause, got.Detail
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
