package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

func (a Appraisal) expectsPrimary() bool { return a.Expected == replication.RolePrimary }

// primaries raises TwoPrimaries and NoPrimary.
func (j *judgement) primaries() {
	j.twoPrimaries()
	j.noPrimary()
}

// twoPrimaries needs two answers that prove the same moment: during a planned
// change the old primary's last answer and the new one's first are both young,
// and yet there was never more than one.
func (j *judgement) twoPrimaries() {
	for i, a := range j.servers {
		for _, b := range j.servers[i+1:] {
			if s, t, ok := j.together(a, b); ok {
				j.raise(finding{
					code: TwoPrimaries, subject: SubjectPair,
					text: fmt.Sprintf("%s and %s are both primary of the same data (system identifier %s): both accept writes now.",
						a.Node, b.Node, s.SystemID),
					evidence: append(j.whereParted(s, t), j.evidence(a.Node, b.Node)...),
					hint:     j.fenceHint(a.Node, b.Node),
				})
				return
			}
		}
	}
}

// whereParted is the evidence on two primaries: what each said, and where their
// lines part as far as their histories tell.
func (j *judgement) whereParted(s, t Sighting) []string {
	lines := []string{s.evidence(), t.evidence()}
	r := related(s, t, j.limits)
	if words := partingWords(r, s.Node, t.Node); words != "" {
		lines = append(lines, words)
	}
	return append(lines, j.aloneEvidence(r.SwitchPoint, s, t)...)
}

// together finds two sightings that prove both servers out of recovery at one
// moment, whoever made them.
func (j *judgement) together(a, b Appraisal) (Sighting, Sighting, bool) {
	for _, s := range a.Seen {
		for _, t := range b.Seen {
			if j.asPrimary(s, a) && j.asPrimary(t, b) && s.SystemID != 0 && s.SystemID == t.SystemID &&
				overlap(s, t, j.limits.Transit) {
				return s, t, true
			}
		}
	}
	return Sighting{}, Sighting{}, false
}

func (j *judgement) asPrimary(s Sighting, a Appraisal) bool {
	return s.Role == replication.RolePrimary && s.speaks(j.limits) && !superseded(s.Answered, a.Seen, j.limits)
}

// overlap reports whether the spans in which the two sightings saw their roles
// meet. An answer that travelled may be older than its age tells, so it must lie
// inside the other's span by the time a report may take.
func overlap(s, t Sighting, transit time.Duration) bool {
	return t.RoleSince >= s.Answered+travelled(s, transit) && s.RoleSince >= t.Answered+travelled(t, transit)
}

func travelled(s Sighting, transit time.Duration) time.Duration {
	if s.Self {
		return 0
	}
	return transit
}

// fenceHint names the node that the newest epoch does not make primary.
func (j *judgement) fenceHint(nodes ...string) string {
	e := j.Epoch()
	for _, n := range nodes {
		if !e.Zero() && e.Primary != n {
			return "watchdog fence " + n
		}
	}
	return ""
}

// noPrimary holds its tongue while a server is unknown or alive with a role that
// is not proven; NoSample speaks then.
func (j *judgement) noPrimary() {
	if len(j.servers) == 0 || j.anyPrimary() {
		return
	}
	var states, nodes []string
	for _, a := range j.servers {
		if a.Standing == StandingUnknown || a.Standing == StandingAlive && a.Expected != replication.RoleStandby {
			return
		}
		states = append(states, a.words())
		nodes = append(nodes, a.Node)
	}
	j.raise(finding{
		code: NoPrimary, subject: SubjectPair,
		text:     fmt.Sprintf("%s has no primary%s: %s.", j.Cluster, j.primaryGone(), strings.Join(states, "; ")),
		evidence: j.evidence(nodes...),
		hint:     j.noPrimaryHint(),
	})
}

// words describes one server inside the sentence of NoPrimary.
func (a Appraisal) words() string {
	name := a.Node
	if a.expectsPrimary() {
		name += ", the primary until then,"
	}
	if a.Standing == StandingStandby {
		return fmt.Sprintf("%s is a standby", name)
	}
	return fmt.Sprintf("%s %s, seen by %s", name, verdictWords(a.Best.Verdict), observersOf(a.Seen))
}

// primaryGone says since when no primary has answered anybody.
func (j *judgement) primaryGone() string {
	youngest := Never
	for _, a := range j.servers {
		for _, s := range j.Sightings(a.Node) {
			if s.Role == replication.RolePrimary && s.Answered >= 0 && (youngest < 0 || s.Answered < youngest) {
				youngest = s.Answered
			}
		}
	}
	if youngest < 0 {
		return " and none has answered since this service started"
	}
	return " for " + Span(youngest)
}

// noPrimaryHint does not send anybody to promote while there is nothing to
// promote, or while the primary is on its way back by itself.
func (j *judgement) noPrimaryHint() string {
	for _, a := range j.servers {
		if a.Standing == StandingBad && a.expectsPrimary() && a.Best.Verdict == replication.VerdictStarting {
			return "watchdog status --watch"
		}
	}
	for _, a := range j.servers {
		// The primary of record came up read-only (its gate could ask nobody):
		// it misses nothing, while promoting the other may lose something.
		if a.Standing == StandingStandby && a.expectsPrimary() && j.Held(a.Node) == "" && !j.Operating() {
			return "watchdog release " + a.Node
		}
	}
	for _, a := range j.servers {
		if a.Standing == StandingStandby {
			return "watchdog promote"
		}
	}
	return "watchdog status"
}

// silence raises PostgresDown for every server that nobody can use.
func (j *judgement) silence() {
	for _, a := range j.servers {
		if a.Standing != StandingBad {
			continue
		}
		c := finding{
			code: PostgresDown, subject: a.Node, evidence: j.evidence(a.Node),
			text: fmt.Sprintf("PostgreSQL of %s %s for %s, seen by %s.", a.Node, verdictWords(a.Best.Verdict), Span(a.Best.Since), observersOf(a.Seen)),
		}
		if a.expectsPrimary() {
			c.severity, c.hold = page(), ptr(j.limits.HoldPrimaryDown)
		}
		j.raise(c)
	}
}

// commits raises CommitsFailing: only the own node's service tries to commit,
// so only its report can carry this; when it falls silent, PeerUnreachable pages.
func (j *judgement) commits() {
	for _, a := range j.servers {
		if a.Standing != StandingPrimary {
			continue
		}
		for _, s := range a.Seen {
			switch s.Verdict {
			case replication.VerdictReadOnly, replication.VerdictSyncStalled, replication.VerdictStorageStalled:
				j.raise(finding{
					code: CommitsFailing, subject: a.Node, evidence: j.evidence(a.Node),
					text: fmt.Sprintf("The primary %s answers, but no write gets through: it %s for %s.", a.Node, verdictWords(s.Verdict), Span(s.Since)),
				})
				return
			default:
			}
		}
	}
}
