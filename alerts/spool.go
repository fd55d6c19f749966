package alerts

import "time"

// entry is one message for one recipient, waiting to be delivered.
type entry struct {
	Incident  string    `json:"incident"` // identity of its incident
	Channel   string    `json:"channel"`
	To        Recipient `json:"to"`
	Target    string    `json:"target"`
	Local     bool      `json:"local,omitempty"`
	Stage     stage     `json:"stage"`
	Message   Message   `json:"message"`
	Queued    time.Time `json:"queued"`
	FirstTry  time.Time `json:"first_try,omitzero"`
	NextTry   time.Time `json:"next_try,omitzero"`
	Attempts  int       `json:"attempts"`
	LastError string    `json:"last_error,omitempty"`
}

// id is the entry's key in the store: the same message for the same recipient
// is queued once.
func (e *entry) id() string {
	return mark{key: e.Message.Key.short(), stage: e.Stage, target: e.Target}.String()
}

// before orders entries of one channel. Among those that are due the louder goes
// first, then the one that has waited longest, so that a retry that comes soon
// does not overtake a first attempt.
func (e *entry) before(o *entry, due, otherDue, now time.Time) bool {
	bothDue := !due.After(now) && !otherDue.After(now)
	switch {
	case bothDue && e.Message.Severity != o.Message.Severity:
		return e.Message.Severity > o.Message.Severity
	case !due.Equal(otherDue):
		return due.Before(otherDue)
	default:
		return e.id() < o.id()
	}
}

// victim chooses what to drop when the spool is full: the quietest severity,
// among these resolved before firing, among these the oldest.
func victim(spool map[string]*entry) *entry {
	var worst *entry
	for _, e := range spool {
		if worst == nil || e.lessWorth(worst) {
			worst = e
		}
	}
	return worst
}

func (e *entry) lessWorth(o *entry) bool {
	a, b := e.Stage.event(), o.Stage.event()
	switch {
	case e.Message.Severity != o.Message.Severity:
		return e.Message.Severity < o.Message.Severity
	case a != b:
		return a == EventResolved
	case !e.Queued.Equal(o.Queued):
		return e.Queued.Before(o.Queued)
	default:
		return e.id() < o.id()
	}
}
