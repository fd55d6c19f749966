package view

import (
	"fmt"
	"slices"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// partingWords says where two lines of WAL parted, and what each side holds that
// the other lacks; empty where no switch point is known. a and b are the sides of
// the relation, and a standby counts what it received.
func partingWords(r replication.Relation, a, b string) string {
	if r.SwitchPoint == 0 {
		return ""
	}
	return fmt.Sprintf("they part at %s: %s holds %d bytes after it that %s lacks, %s holds %d bytes that %s lacks",
		r.SwitchPoint, a, r.OnlyA, b, b, r.OnlyB, a)
}

// related asks how two servers stand to each other as the sightings have them.
func related(a, b Sighting, l Limits) replication.Relation {
	return replication.Relate(a.standing(l), b.standing(l))
}

// supersededLines raises SupersededPrimary from timelines alone, where no epoch
// says who is primary: two servers are out of recovery, and the history of one
// says that it left the other's timeline.
func (j *judgement) supersededLines() {
	if !j.Epoch().Zero() {
		return
	}
	for i, a := range j.servers {
		for _, b := range j.servers[i+1:] {
			if a.Standing != StandingPrimary || b.Standing != StandingPrimary || a.ByWAL || b.ByWAL {
				continue
			}
			r := related(a.Best, b.Best, j.limits)
			if r.Older == replication.SideNone || r.Kind != replication.RelationSuperseded && r.Kind != replication.RelationDiverged {
				continue
			}
			old, young := a, b
			if r.Older == replication.SideB {
				old, young = b, a
			}
			j.raise(finding{
				code: SupersededPrimary, subject: old.Node,
				text: fmt.Sprintf("%s still runs as primary on timeline %d, which %s left for timeline %d at %s: %s holds %s that %s lacks.",
					old.Node, old.Best.Timeline, young.Node, young.Best.Timeline, r.SwitchPoint, old.Node, alone(r), young.Node),
				evidence: slices.Concat([]string{partingWords(r, a.Node, b.Node)}, j.aloneEvidence(r.SwitchPoint, a.Best, b.Best), j.evidence(a.Node, b.Node)),
			})
		}
	}
}

// alone is what the older side of a relation holds past the switch point.
func alone(r replication.Relation) string {
	n := r.OnlyA
	if r.Older == replication.SideB {
		n = r.OnlyB
	}
	if n == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d bytes", n)
}
