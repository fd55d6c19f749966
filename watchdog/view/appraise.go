package view

import (
	"cmp"
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Standing is what all vantage points together allow to say of one server.
type Standing uint8

// The standings. StandingUnknown is the zero value and is neither good nor bad.
const (
	StandingUnknown Standing = iota // nobody has a sample that is fresh enough
	StandingPrimary                 // out of recovery, proven by a fresh answer or by the WAL that it sends
	StandingStandby                 // in recovery, proven by a fresh answer
	StandingAlive                   // something answers, but its role is not proven
	StandingBad                     // every fresh sample says that it does not serve
)

// Appraisal is the standing of one server with what it rests on.
type Appraisal struct {
	Node     string
	Standing Standing
	Expected replication.Role
	// Best is the sighting behind the standing: the youngest answer, or for
	// StandingBad the one that tells most.
	Best Sighting
	// Seen are the sightings whose newest sample is fresh.
	Seen []Sighting
	// ByWAL is true when only the WAL that a standby receives proves the
	// primary: then Best is that standby's sighting.
	ByWAL bool
}

// answers reports whether a verdict means that the server spoke and could tell
// its role.
func answers(v replication.Verdict) bool {
	switch v {
	case replication.VerdictHealthy, replication.VerdictSaturated, replication.VerdictReadOnly,
		replication.VerdictSyncStalled, replication.VerdictStorageStalled:
		return true
	default:
		return false
	}
}

// bad reports whether a verdict says that the server does not serve. Unknown is
// not bad, and a refused login is not either: something living refused it.
func bad(v replication.Verdict) bool {
	switch v {
	case replication.VerdictStarting, replication.VerdictShuttingDown, replication.VerdictHung,
		replication.VerdictDown, replication.VerdictUnreachable:
		return true
	default:
		return false
	}
}

// fresh reports whether the newest sample, answered or missed, is young enough.
func (s Sighting) fresh(l Limits) bool {
	if bad(s.Verdict) || s.Verdict == replication.VerdictAuthRefused {
		return s.Age >= 0 && s.Age <= max(l.Fresh, l.MissFresh)
	}
	return s.Age >= 0 && s.Age <= l.Fresh
}

// speaks reports whether the sighting proves role and position as of now.
func (s Sighting) speaks(l Limits) bool {
	return s.fresh(l) && answers(s.Verdict) && s.Role != replication.RoleUnknown &&
		s.Answered >= 0 && s.Answered <= l.Fresh
}

// refusedFor gives for how long the host of the server has been refusing
// connections, by any fresh sighting. That is the one miss that proves something:
// an answer from before it is history, however young it is.
func refusedFor(seen []Sighting, l Limits) (time.Duration, bool) {
	longest := Never
	for _, s := range seen {
		if s.Verdict == replication.VerdictDown && s.Age <= l.Fresh && s.Since > longest {
			longest = s.Since
		}
	}
	return longest, longest >= 0
}

// superseded reports whether evidence of that age lies before a refusal that
// has lasted since.
func superseded(age time.Duration, seen []Sighting, l Limits) bool {
	since, ok := refusedFor(seen, l)
	return ok && age > since
}

// Appraise combines all vantage points on the server of node.
func Appraise(v View, l Limits, node string) Appraisal {
	a := Appraisal{Node: node, Expected: v.ExpectedRole(node)}
	for _, s := range v.Sightings(node) {
		if s.fresh(l) && s.Verdict != replication.VerdictUnknown {
			a.Seen = append(a.Seen, s)
		}
	}
	if s, ok := youngestSpeaker(a.Seen, l); ok {
		a.Best, a.Standing = s, StandingStandby
		if s.Role == replication.RolePrimary {
			a.Standing = StandingPrimary
		}
		return a
	}
	if s, ok := walProof(v, l, a); ok {
		a.Best, a.Standing, a.ByWAL = s, StandingPrimary, true
		return a
	}
	a.Best, a.Standing = silent(a.Seen, l)
	return a
}

func youngestSpeaker(seen []Sighting, l Limits) (Sighting, bool) {
	var speakers []Sighting
	for _, s := range seen {
		if s.speaks(l) && !superseded(s.Answered, seen, l) {
			speakers = append(speakers, s)
		}
	}
	return youngestAnswer(speakers)
}

// walProof looks for a standby that keeps receiving from this server. Only in a
// pair is it certain whose WAL that is.
func walProof(v View, l Limits, a Appraisal) (Sighting, bool) {
	servers := v.Servers()
	if len(servers) != 2 || a.Expected != replication.RolePrimary {
		return Sighting{}, false
	}
	other := servers[0]
	if other == a.Node {
		other = servers[1]
	}
	for _, s := range v.Sightings(other) {
		age, ok := receivedAge(s, l)
		if ok && age <= l.Fresh && !superseded(age, a.Seen, l) {
			return s, true
		}
	}
	return Sighting{}, false
}

// receivedAge says how long ago the standby in the sighting received something
// from its upstream. The word "streaming" alone proves nothing.
func receivedAge(s Sighting, l Limits) (time.Duration, bool) {
	if s.Role != replication.RoleStandby || !streams(s, l) {
		return 0, false
	}
	age := s.StatusAge + max(0, s.Status.Receiver.MessageAge)
	if s.speaks(l) && s.Advanced >= 0 {
		age = min(age, s.Advanced)
	}
	return age, true
}

// streams reports whether the last fresh SQL answer of a standby says that it
// is connected to an upstream.
func streams(s Sighting, l Limits) bool {
	return s.statusFresh(l) && s.Status.Receiver != nil && s.Status.Receiver.Status == "streaming"
}

func (s Sighting) statusFresh(l Limits) bool {
	return s.Status != nil && s.StatusAge >= 0 && s.StatusAge <= l.StatusFresh
}

// silent judges a server of which no fresh answer tells the role.
func silent(seen []Sighting, l Limits) (Sighting, Standing) {
	var alive, mute []Sighting
	for _, s := range seen {
		switch {
		case bad(s.Verdict):
			mute = append(mute, s)
		case !superseded(s.Age, seen, l):
			alive = append(alive, s)
		}
	}
	if len(alive) > 0 {
		return slices.MinFunc(alive, func(a, b Sighting) int { return cmp.Compare(a.Age, b.Age) }), StandingAlive
	}
	if len(mute) > 0 {
		return slices.MaxFunc(mute, func(a, b Sighting) int { return cmp.Compare(tells(a.Verdict), tells(b.Verdict)) }), StandingBad
	}
	return Sighting{}, StandingUnknown
}

// tells orders the bad verdicts by how much was heard from the other side.
func tells(v replication.Verdict) int {
	switch v {
	case replication.VerdictStarting, replication.VerdictShuttingDown:
		return 4
	case replication.VerdictDown:
		return 3
	case replication.VerdictHung:
		return 2
	case replication.VerdictUnreachable:
		return 1
	default:
		return 0
	}
}
