package observe

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// applied is what is remembered of a standby to tell its lag.
type applied struct {
	// reached is the highest position that it said to hold on its timeline. After
	// a restart a standby says less, until it has read its own WAL again or
	// streams: what it had flushed is not lost by that.
	reached replication.LSN
	// pending is since when WAL that it has received waits at one and the same
	// replayed position; zero when none waits.
	pending time.Time
}

// note takes a healthy answer; before is the answer before it.
func (a *applied) note(m, before replication.Sample) {
	if m.Role != replication.RoleStandby {
		*a = applied{}
		return
	}
	if before.Role != m.Role || before.Timeline != m.Timeline || before.SystemID != m.SystemID {
		*a = applied{}
	}
	a.reached = max(a.reached, m.Position)
	switch {
	case m.Replay == 0 || m.Replay >= m.Position:
		a.pending = time.Time{}
	case a.pending.IsZero() || m.Replay != before.Replay:
		a.pending = m.At
	}
}

// streams forgets what was reached before: a receiver that streams begins where
// the WAL on its disk ends, so from here on its own word is the truth.
func (a *applied) streams(now replication.Sample) { a.reached = now.Position }

// stuck is how long received WAL has waited without any progress; 0 when none
// waits.
func (a *applied) stuck(now time.Time) time.Duration {
	if a.pending.IsZero() {
		return 0
	}
	return max(0, now.Sub(a.pending))
}

// primaryOf finds the server that answers as primary of the same data; with two
// of them the one that answered last, and what that means is not decided here.
func primaryOf(servers []*server, of *server) *server {
	var found *server
	for _, p := range servers {
		if p == of || p.answer.Role != replication.RolePrimary || p.last.Verdict != replication.VerdictHealthy || p.answer.SystemID != of.answer.SystemID {
			continue
		}
		if found == nil || p.answer.At.After(found.answer.At) {
			found = p
		}
	}
	return found
}

// behind measures a standby against the primary's ring, as of its last answer.
// nil is not known: nobody answers as primary, or the standby has told no
// replayed position.
func (s *server) behind(servers []*server) *view.Behind {
	if s.answer.Role != replication.RoleStandby {
		return nil
	}
	p := primaryOf(servers, s)
	if p == nil {
		return nil
	}
	lag, atLeast, known := p.ring.behind(s.answer.Replay, readAt(s.answer))
	if !known {
		return nil
	}
	return &view.Behind{Primary: p.node, Time: lag, AtLeast: atLeast}
}
