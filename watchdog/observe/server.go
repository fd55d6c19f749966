package observe

import (
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// server is what this node knows of one PostgreSQL server. Zero times mean
// never. Its owner's mutex guards it.
type server struct {
	node      string
	last      replication.Sample // newest, answered or missed
	since     time.Time          // when the verdict became what it is
	answer    replication.Sample // newest answered
	prior     replication.Sample // the answer before it, of the same role and line
	roleSince time.Time
	advanced  time.Time
	// wentBack is the highest position that a primary has fallen back from on its
	// present timeline; 0 when it never did, or is past it again.
	wentBack  replication.LSN
	history   replication.History
	status    *replication.Status
	statusAt  time.Time
	counters  counters
	overlay   overlay // of the commit probe
	processes int
	ring      ring    // of its positions while it is primary
	applied   applied // while it is a standby
}

// overlay is a verdict of the commit probe. It counts only while the position
// probe finds the server healthy: below that, the sample tells more.
type overlay struct {
	verdict replication.Verdict
	cause   string
	detail  string
	since   time.Time
}

// note takes a sample and says whether it changes the picture.
func (s *server) note(m replication.Sample) bool {
	changed := m.Verdict != s.last.Verdict || m.Cause != s.last.Cause || s.last.At.IsZero()
	if m.Verdict != s.last.Verdict || s.since.IsZero() {
		s.since = m.At
	}
	answered := m.Verdict == replication.VerdictHealthy
	if !answered {
		s.roleSince = time.Time{}
		s.ring.miss()
		s.last = m
		return changed
	}
	changed = changed || m.Role != s.answer.Role || m.Timeline != s.answer.Timeline || m.SystemID != s.answer.SystemID
	if s.roleSince.IsZero() || m.Role != s.answer.Role {
		s.roleSince = m.At
	}
	if !s.answer.At.IsZero() && m.Timeline == s.answer.Timeline && m.Position > s.answer.Position {
		s.advanced = s.answer.At // the bytes may have come right after that answer
	}
	if m.Role == replication.RolePrimary {
		s.ring.push(m)
	}
	s.applied.note(m, s.answer)
	s.wentBack = fallenFrom(s.wentBack, s.answer, m)
	s.prior = replication.Sample{}
	if m.Role == s.answer.Role && m.Timeline == s.answer.Timeline && m.SystemID == s.answer.SystemID {
		s.prior = s.answer
	}
	s.last, s.answer = m, m
	return changed
}

// noteStatus takes an SQL answer and says whether it is the first.
func (s *server) noteStatus(st replication.Status) bool {
	first := s.status == nil
	s.status, s.statusAt = &st, st.At
	s.counters.note(&st)
	if st.Receiver != nil && st.Receiver.Status == "streaming" {
		s.applied.streams(s.answer)
	}
	return first
}

// fallenFrom compares two answers in a row of one primary. WAL that was flushed
// stays; a standby's received position falls to a segment's start at a restart.
func fallenFrom(from replication.LSN, before, now replication.Sample) replication.LSN {
	same := before.Role == replication.RolePrimary && now.Role == before.Role && now.Timeline == before.Timeline && now.SystemID == before.SystemID
	if from = max(from, before.Position); !same || now.Position >= from {
		return 0
	}
	return from
}

func (s *server) report(now time.Time) view.ServerReport {
	r := view.ServerReport{
		Node: s.node, Verdict: s.last.Verdict, Cause: s.last.Cause, Detail: s.last.Detail,
		Age: age(now, s.last.At), Since: age(now, s.since),
		Role: s.answer.Role, SystemID: s.answer.SystemID, Timeline: s.answer.Timeline, Position: s.answer.Position,
		Answered: age(now, s.answer.At), RoleSince: age(now, s.roleSince), Advanced: age(now, s.advanced),
		Status: s.status, StatusAge: age(now, s.statusAt), Processes: s.processes, WentBackFrom: s.wentBack,
		Took: s.answer.Took, Replay: s.answer.Replay, Reached: s.applied.reached, Stuck: s.applied.stuck(now),
		ConflictsRecent: s.counters.recent(), ArchiverFailing: s.counters.failing(now),
	}
	if s.last.Verdict == replication.VerdictHealthy && s.overlay.verdict != replication.VerdictUnknown {
		r.Verdict, r.Cause, r.Detail, r.Since = s.overlay.verdict, s.overlay.cause, s.overlay.detail, age(now, s.overlay.since)
	}
	if !s.prior.At.IsZero() {
		r.Prior = &view.PriorAnswer{Position: s.prior.Position, Answered: age(now, s.prior.At)}
	}
	if s.history.Timeline == s.answer.Timeline {
		for _, p := range s.history.Parents {
			r.History = append(r.History, view.HistoryLine{Timeline: p.Timeline, SwitchPoint: p.SwitchPoint})
		}
	}
	return r
}

// age is the time since t on the monotonic clock, and view.Never for the zero time.
func age(now, t time.Time) time.Duration {
	if t.IsZero() {
		return view.Never
	}
	return max(0, now.Sub(t))
}

func indexOf(servers []*server, node string) int {
	return slices.IndexFunc(servers, func(s *server) bool { return s.node == node })
}
