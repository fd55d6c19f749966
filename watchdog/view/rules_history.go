package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Relation is how the WAL of one server stands to that of another.
type Relation uint8

// The relations. RelationUnknown is the zero value: histories are missing.
const (
	RelationUnknown  Relation = iota
	RelationSame              // same timeline
	RelationBehind            // on a parent of the other's timeline, before the switch point: it can follow
	RelationDiverged          // past the switch point, or on a branch that the other's history does not name
)

// relate judges a server against the primary whose history is given. A position
// past the switch point is WAL that the primary never had.
func relate(tl replication.Timeline, pos replication.LSN, primary replication.Timeline, history []HistoryLine) Relation {
	switch {
	case tl == 0 || primary == 0:
		return RelationUnknown
	case tl == primary:
		return RelationSame
	case tl > primary:
		return RelationDiverged // a later timeline is in no history of an earlier one
	case len(history) == 0:
		return RelationUnknown // a timeline above 1 has parents; they are not read yet
	}
	i := slices.IndexFunc(history, func(h HistoryLine) bool { return h.Timeline == tl })
	if i >= 0 && pos <= history[i].SwitchPoint {
		return RelationBehind
	}
	return RelationDiverged
}

// position is the greater of what was received and what was replayed.
func (s Sighting) position() replication.LSN {
	if s.Status != nil && s.Role == replication.RoleStandby {
		return max(s.Position, s.Status.Replay, s.Status.Receive)
	}
	return s.Position
}

// timelines raises TimelineDivergence for servers that answer now and whose WAL
// the primary does not share.
func (j *judgement) timelines() {
	for _, p := range j.servers {
		if p.Standing != StandingPrimary || p.ByWAL || !j.rightful(p.Node) {
			continue
		}
		for _, o := range j.servers {
			if o.Node != p.Node && (o.Standing == StandingStandby || o.Standing == StandingPrimary && !o.ByWAL) {
				j.divergence(p, o)
			}
		}
	}
	j.epochClash()
}

// rightful keeps one side of two primaries from being measured against the
// other twice: the epoch's primary is the measure, else the first in order.
func (j *judgement) rightful(node string) bool {
	var running []string
	for _, a := range j.servers {
		if a.Standing == StandingPrimary {
			running = append(running, a.Node)
		}
	}
	e := j.Epoch()
	if slices.Contains(running, e.Primary) {
		return node == e.Primary
	}
	return node == running[0]
}

// divergence prefers an observer who sees both servers: only then are the two
// ages measured by one clock and the order of the two answers known.
func (j *judgement) divergence(p, o Appraisal) {
	for _, ps := range p.Seen {
		for _, os := range o.Seen {
			if ps.Observer != os.Observer || !ps.speaks(j.limits) || !os.speaks(j.limits) {
				continue
			}
			if ahead := aheadOf(ps, os); ahead > 0 {
				j.raiseDivergence(ps, os, fmt.Sprintf("%s holds %d bytes of WAL on timeline %d that the primary %s does not have",
					o.Node, ahead, os.Timeline, p.Node))
				return
			}
		}
	}
	if relate(o.Best.Timeline, o.Best.position(), p.Best.Timeline, p.Best.History) != RelationDiverged {
		return
	}
	j.raiseDivergence(p.Best, o.Best, fmt.Sprintf("%s is on timeline %d at %s, which is not in the history of the primary %s (timeline %d%s)",
		o.Node, o.Best.Timeline, o.Best.position(), p.Node, p.Best.Timeline, switchWords(p.Best.History, o.Best.Timeline)))
}

func switchWords(history []HistoryLine, tl replication.Timeline) string {
	for _, h := range history {
		if h.Timeline == tl {
			return fmt.Sprintf(", switched from %d at %s", tl, h.SwitchPoint)
		}
	}
	return ""
}

// aheadOf gives how much more WAL of the same timeline the standby had in an
// answer that is older than the primary's. A walsender sends only what is
// flushed, so this cannot happen to servers of one history.
func aheadOf(primary, standby Sighting) uint64 {
	if standby.Role != replication.RoleStandby || primary.Role != replication.RolePrimary ||
		standby.Timeline != primary.Timeline || standby.Answered < primary.Answered {
		return 0
	}
	return standby.Position.Since(primary.Position)
}

func (j *judgement) raiseDivergence(p, o Sighting, what string) {
	c := finding{
		code: TimelineDivergence, subject: o.Node,
		text:     what + ": the two histories have parted.",
		evidence: []string{p.evidence(), o.evidence()},
	}
	if held := j.Held(o.Node); held != "" && o.Role == replication.RoleStandby {
		// A fenced former primary is kept read-only and is known to have parted.
		c.severity, c.evidence = warning(), append(c.evidence, fmt.Sprintf("%s is fenced (%s) and cannot write", o.Node, held))
	}
	j.raise(c)
}

// epochClash finds two changes of primary that took one number without knowing
// of each other. PostgreSQL itself cannot tell them apart: two promotions of one
// state take the same timeline.
func (j *judgement) epochClash() {
	seen := map[uint64]string{}
	from := map[uint64]string{}
	note := func(number uint64, id, who string) bool {
		if number == 0 || id == "" {
			return false
		}
		if old, ok := seen[number]; ok && old != id {
			j.raise(finding{
				code: TimelineDivergence, subject: SubjectPair,
				text:     fmt.Sprintf("Two different changes of primary were recorded as epoch %d: the nodes hold two histories.", number),
				evidence: []string{from[number] + ": id " + old, who + ": id " + id},
			})
			return true
		}
		seen[number], from[number] = id, who
		return false
	}
	for _, n := range j.observers() {
		if d := j.Durable(n); d != nil && note(d.Epoch.Number, d.Epoch.ID, "durable state of "+n) {
			return
		}
	}
	for _, a := range j.servers {
		s, ok := newestStatus(j.Sightings(a.Node))
		if ok && s.Status.Epoch != nil && note(s.Status.Epoch.Number, s.Status.Epoch.ID, "epoch table on "+a.Node) {
			return
		}
	}
}

// newestStatus picks the sighting with the youngest SQL answer.
func newestStatus(all []Sighting) (Sighting, bool) {
	var best Sighting
	found := false
	for _, s := range all {
		if s.Status != nil && s.StatusAge >= 0 && (!found || s.StatusAge < best.StatusAge) {
			best, found = s, true
		}
	}
	return best, found
}

// systemIDs raises SystemIdMismatch. An identifier never goes stale, so the last
// answer of each server counts however old it is.
func (j *judgement) systemIDs() {
	var ids []replication.SystemID
	var lines, words []string
	note := func(id replication.SystemID, line, word string) {
		if id == 0 {
			return
		}
		lines = append(lines, line)
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
			words = append(words, word)
		}
	}
	for _, a := range j.servers {
		if s, ok := youngestAnswer(j.Sightings(a.Node)); ok {
			note(s.SystemID, s.evidence()+", system identifier "+s.SystemID.String(), a.Node+" has "+s.SystemID.String())
		}
		if d := j.Durable(a.Node); d != nil {
			note(d.SystemID, "the state of "+a.Node+" was made for system identifier "+d.SystemID.String(),
				"the state of "+a.Node+" names "+d.SystemID.String())
		}
	}
	if len(ids) < 2 {
		return
	}
	j.raise(finding{
		code: SystemIdMismatch, subject: SubjectPair, evidence: lines,
		text: "The servers of " + j.Cluster + " do not hold the same data: " + strings.Join(words, ", ") + "; every operation is refused.",
	})
}
