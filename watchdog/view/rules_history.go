package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// standing gives what replication.Relate looks at.
func (s Sighting) standing(l Limits) replication.Standing {
	st := replication.Standing{SystemID: s.SystemID, Role: s.Role, Timeline: s.Timeline, Position: s.Position}
	if len(s.History) > 0 {
		h := replication.History{Timeline: s.Timeline}
		for _, e := range s.History {
			h.Parents = append(h.Parents, replication.HistoryEntry{Timeline: e.Timeline, SwitchPoint: e.SwitchPoint})
		}
		st.History = &h
	}
	if s.statusFresh(l) {
		st.Epoch = s.Status.Epoch
		if s.Role == replication.RoleStandby {
			st.Replay = s.Status.Replay
		}
	}
	if s.Role == replication.RoleStandby && s.Replay != 0 {
		st.Replay = s.Replay // as old as Position, where the SQL answer may be from before
	}
	return st
}

// parted reports whether the server shares no history with the primary, and why.
// A standby on a later timeline than its primary has parted too, even when the
// primary wrote nothing past the switch point.
// Two primaries of one timeline number have parted when their histories say so:
// each was promoted to it from a point of its own.
func parted(primary, other Sighting, l Limits) (string, bool) {
	r := related(primary, other, l)
	why := r.Reason
	if words := partingWords(r, primary.Node, other.Node); words != "" {
		why += "; " + words
	}
	switch r.Kind {
	case replication.RelationDiverged:
		return why, true
	case replication.RelationSplitBrain:
		return why, r.SwitchPoint != 0
	case replication.RelationUnrelated:
		return why, primary.SystemID == other.SystemID
	case replication.RelationSuperseded:
		return why, r.Older == replication.SideA
	default:
		return "", false
	}
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
	if why, ok := parted(p.Best, o.Best, j.limits); ok {
		j.raiseDivergence(p.Best, o.Best, fmt.Sprintf("%s (timeline %d, %s) and the primary %s (timeline %d, %s) have no common history: %s",
			o.Node, o.Best.Timeline, o.Best.Position, p.Node, p.Best.Timeline, p.Best.Position, why))
	}
}

// aheadOf gives how much more WAL of the same timeline the standby had, in an
// answer that was there before the primary was asked. A walsender sends only what
// is flushed, so this cannot happen to servers of one history.
func aheadOf(primary, standby Sighting) uint64 {
	if standby.Role != replication.RoleStandby || primary.Role != replication.RolePrimary ||
		standby.Timeline != primary.Timeline || primary.Took <= 0 {
		return 0
	}
	asked := primary.Answered + primary.Took
	switch {
	case standby.Answered >= asked:
		return standby.Position.Since(primary.Position)
	case standby.Prior != nil && standby.Prior.Answered >= asked:
		return standby.Prior.Position.Since(primary.Position)
	}
	return 0
}

func (j *judgement) raiseDivergence(p, o Sighting, what string) {
	c := finding{
		code: TimelineDivergence, subject: o.Node,
		text:     what + ".",
		evidence: append([]string{p.evidence(), o.evidence()}, j.aloneEvidence(related(p, o, j.limits).SwitchPoint, p, o)...),
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
