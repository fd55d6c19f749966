package view

import (
	"fmt"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// PositionWentBack says that a primary has lost WAL that it was seen to hold.
const PositionWentBack Code = "PositionWentBack"

var positionWentBack = Entry{
	Code: PositionWentBack, Means: "a primary is at a lower position of its timeline than it was seen at before",
	Refute:   "nothing: it has lost, or was given, other data; a later answer only moves on from there",
	Severity: alerts.SeverityPage, Hold: noHold,
	Hint: "watchdog status", Runbook: "position-went-back", NeverSilenced: true,
}

// backSlack is how far a primary may fall without anything being lost: after a
// crash its flush position drops from the end of a page to the last whole
// record, and few records are longer than this.
const backSlack = 1 << 20

// wentBack raises PositionWentBack for a primary that answers from an older
// state. Each observer compares two answers of its own, so no clocks are.
func (j *judgement) wentBack() {
	for _, a := range j.servers {
		for _, s := range a.Seen {
			lost := s.WentBackFrom.Since(s.Position)
			if !s.speaks(j.limits) || s.Role != replication.RolePrimary || s.WentBackFrom == 0 || lost <= backSlack {
				continue
			}
			j.raise(finding{
				code: PositionWentBack, subject: a.Node, evidence: j.evidence(a.Node),
				text: fmt.Sprintf("The primary %s is at %s of timeline %d, %d bytes before %s, where %s saw it earlier: WAL that it held is gone.",
					a.Node, s.Position, s.Timeline, lost, s.WentBackFrom, s.Observer),
			})
			break
		}
	}
}

// historyMissing reports whether a server has answered for long enough to have
// been asked for its timeline's history, and nobody could read it.
func (j *judgement) historyMissing(a Appraisal) bool {
	if a.ByWAL || a.Standing == StandingBad || a.Best.Timeline <= 1 || a.Best.RoleSince < j.limits.StatusFresh {
		return false
	}
	for _, s := range j.Sightings(a.Node) {
		if s.Timeline == a.Best.Timeline && len(s.History) > 0 {
			return false
		}
	}
	return true
}
