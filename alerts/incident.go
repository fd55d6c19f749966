package alerts

import (
	"fmt"
	"maps"
	"time"
)

// State is where an incident stands. The zero value is no incident.
type State uint8

// The states, in the order an incident passes through them.
const (
	StateNone      State = iota
	StatePending         // the hold is not over
	StateInhibited       // listed inside the incident that explains it
	StateFiring          // told to people
	StateResolving       // the condition is gone, the hold-down runs
	StateResolved        // over; kept for its counter and what was told
)

var stateNames = [...]string{"none", "pending", "inhibited", "firing", "resolving", "resolved"}

// String gives the name used in output and logs.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText writes the name: stored records stay readable.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name and refuses any other.
func (s *State) UnmarshalText(b []byte) error {
	for i, name := range stateNames {
		if name == string(b) {
			*s = State(i) //nolint:gosec // index of a short array
			return nil
		}
	}
	return fmt.Errorf("read incident state: unknown name %q", b)
}

// Open says whether the incident stands in front of people: firing, or gone but
// not yet for long enough.
func (s State) Open() bool { return s == StateFiring || s == StateResolving }

// waiting says whether the condition is there and nobody was told by itself.
func (s State) waiting() bool { return s == StatePending || s == StateInhibited }

// Incident is a condition that was noticed, held, and told. Times are wall
// times, because they outlive the process; ages of the running process use
// their monotonic part.
type Incident struct {
	Condition Condition `json:"condition"` // as last observed
	State     State     `json:"state"`
	// Key is empty until the incident first fires.
	Key Key `json:"key,omitempty"`
	// Instance counts the openings of this key; mails of one opening form a thread.
	Instance   uint32    `json:"instance"`
	FirstSeen  time.Time `json:"first_seen"`
	HoldFrom   time.Time `json:"hold_from"` // later than FirstSeen after an inhibition
	FiredAt    time.Time `json:"fired_at,omitzero"`
	GoneSince  time.Time `json:"gone_since,omitzero"`
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
	// RiseFrom is since when the condition has been past its graver threshold
	// without a break; zero when it is not.
	RiseFrom time.Time `json:"rise_from,omitzero"`
	// Root is the code of the incident that lists this one; empty when none.
	Root string `json:"root,omitempty"`
	// RootFired says that the root was told, so that this one waits its own hold
	// after it.
	RootFired bool `json:"root_fired,omitempty"`
	// CauseGone is when the incident that listed this one went; see released.
	CauseGone time.Time `json:"cause_gone,omitzero"`
	// ToldSeverity is the severity that people were last told.
	ToldSeverity Severity `json:"told_severity,omitempty"`
	// Told is the newest stage each recipient was told, by us or by a peer.
	Told map[string]stage `json:"told,omitempty"`

	// lapse is the last time that the condition was gone in this opening.
	lapse lapse

	seen  bool  // observed by this run of the service
	heard stage // newest that a peer told while the condition was there
}

// ID is the short name for people; empty while pending.
func (i *Incident) ID() string { return i.Key.ID() }

func (i *Incident) identity() string { return identity(i.Condition.Code, i.Condition.Subject) }

func (i *Incident) clone() Incident {
	c := *i
	c.Told = maps.Clone(i.Told)
	return c
}

// raised says that the condition became louder than what people were told.
func (i *Incident) raised() bool { return i.Condition.Severity > i.ToldSeverity }

func (i *Incident) newestTold() stage {
	var s stage
	for _, t := range i.Told {
		s = max(s, t)
	}
	return s
}

// tell records what a recipient was told and says whether that was news.
func (i *Incident) tell(target string, s stage) bool {
	if i.Told[target] >= s {
		return false
	}
	if i.Told == nil {
		i.Told = map[string]stage{}
	}
	i.Told[target] = s
	return true
}

// Transition is one change of state, as Observe yields it.
type Transition struct {
	Incident Incident // after the change
	From     State
	To       State
	At       time.Time
}
