package view

import (
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// AloneReport is what a node read on its own disk of the WAL after the point
// where another server's line parted from it. The server may be running: the
// figures are lower bounds.
type AloneReport struct {
	Timeline    replication.Timeline `json:"timeline"`
	SwitchPoint replication.LSN      `json:"switch_point"`
	End         replication.LSN      `json:"end"` // of what was read
	Commits     int                  `json:"commits"`
	Age         time.Duration        `json:"age"` // since it was read
}

// Parting says where the WAL of node's server parted from that of another server
// that answers, on which timeline of its own, and how many bytes lie beyond. ok
// is false when it has parted from none, or nothing is known.
func Parting(v View, l Limits, node string) (on replication.Timeline, at replication.LSN, bytes uint64, ok bool) {
	own := Appraise(v, l, node)
	if !own.answersItself() {
		return 0, 0, 0, false
	}
	for _, n := range v.Servers() {
		other := Appraise(v, l, n)
		if n == node || !other.answersItself() {
			continue
		}
		r := related(own.Best, other.Best, l)
		switch r.Kind {
		case replication.RelationDiverged, replication.RelationSuperseded, replication.RelationSplitBrain:
			if r.SwitchPoint != 0 {
				return own.Best.Timeline, r.SwitchPoint, r.OnlyA, true
			}
		}
	}
	return 0, 0, 0, false
}

func (a Appraisal) answersItself() bool {
	return a.Standing == StandingStandby || a.Standing == StandingPrimary && !a.ByWAL
}

// aloneEvidence tells the commits that the parted servers' own nodes counted
// after the switch point; nothing of a node that did not read them.
func (j *judgement) aloneEvidence(at replication.LSN, sides ...Sighting) []string {
	var lines []string
	for _, s := range sides {
		h, ok := j.Reports[s.Node]
		if !ok || h.Report.Alone == nil {
			continue
		}
		a := *h.Report.Alone
		if a.SwitchPoint != at || a.Timeline != s.Timeline {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s read its own disk %s ago: at least %d transactions were committed there alone, from %s to %s",
			s.Node, Span(older(a.Age, h.Heard)), a.Commits, a.SwitchPoint, a.End))
	}
	return lines
}
