package alerts

import (
	"time"

	"go.uber.org/zap"
)

// lapse is a time within one opening in which the condition was gone, for less
// than our own hold-down.
type lapse struct{ from, to time.Time }

// lapseLasts is how long after a lapse it matters: by then a peer that lives has
// said what it told, and one that died is known to be gone.
const lapseLasts = 30 * time.Second

// endMayBeTold says whether people were told that an open incident is over, or
// may have been. Each service counts its own hold-down, so a peer may have told
// the end in a lapse that was too short for us; and when it dies right after
// that, the incident would go on in silence. A peer that died within the time is
// taken to have told it: a page that comes twice is better than none.
func (e *Engine) endMayBeTold(in *Incident, now time.Time) bool {
	if in.lapse.to.IsZero() || now.Sub(in.lapse.to) > lapseLasts {
		return false
	}
	if in.newestTold() == stageOf(in.Instance, EventResolved) {
		return true
	}
	for _, name := range e.peer.missing() {
		if !e.lastAlive[name].Before(in.lapse.from) {
			return true
		}
	}
	return false
}

// reopen makes a new opening of an incident that goes on.
func (e *Engine) reopen(in *Incident, marks peerMarks) {
	in.FirstSeen, in.FiredAt, in.lapse = in.lapse.to, in.lapse.to, lapse{}
	e.openIncident(in, marks)
	e.log.Info("incident is told anew: its end was told, or may have been, by a service that is gone",
		zap.String("incident", in.ID()), zap.String("code", in.Condition.Code), zap.Uint32("opening", in.Instance))
}
