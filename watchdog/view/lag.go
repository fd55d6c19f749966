package view

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Lag is how far one standby is behind its primary. A nil figure is not known,
// and 0 is a measured 0. Bytes go through timeline history: two positions that
// lie on no common line give no figure.
type Lag struct {
	Primary  string `json:"primary,omitempty"`  // behind whom; empty when nobody is known to be primary
	Observer string `json:"observer,omitempty"` // whose samples the bytes rest on; "a/b" when of two observers
	// ReceiveBytes is what the primary has flushed and the standby has not
	// received, FlushBytes what the standby has not made durable, ReplayBytes what
	// it has not replayed.
	ReceiveBytes *uint64 `json:"receive_bytes"`
	FlushBytes   *uint64 `json:"flush_bytes"`
	ReplayBytes  *uint64 `json:"replay_bytes"`
	// Time is how long ago the primary passed the position up to which the standby
	// has replayed, by the samples of TimeObserver; 0 on an idle primary whose WAL
	// is replayed. AtLeast makes it a lower bound.
	Time         *time.Duration `json:"time"`
	AtLeast      bool           `json:"at_least,omitempty"`
	TimeObserver string         `json:"time_observer,omitempty"`
	// ApplyDelay is the standby's recovery_min_apply_delay: so much of Time is
	// wanted. 0 when none is set or it is not known.
	ApplyDelay time.Duration `json:"apply_delay,omitempty"`
	// Heartbeat bounds Time by the heartbeat row; nil when there is none to compare.
	Heartbeat *HeartbeatBounds `json:"heartbeat,omitempty"`
	// Unknown says why a figure is missing; empty when none is.
	Unknown string `json:"unknown,omitempty"`
}

// lagOf measures a standby against the running primary. nil is "not applicable":
// the server is not known to be a standby.
func lagOf(v View, servers []Appraisal, s Appraisal, l Limits) *Lag {
	if s.Standing != StandingStandby {
		return nil
	}
	lag := &Lag{Unknown: "nobody is known to be primary" + lastKnown(v, servers, s, l)}
	for _, p := range servers {
		if p.Standing != StandingPrimary || p.ByWAL {
			continue
		}
		ps, ss := together(p, s, l)
		if r := replication.Relate(ps.standing(l), ss.standing(l)); r.Kind != replication.RelationSameLine && r.Kind != replication.RelationCanFollow {
			lag.Unknown = "the positions of " + p.Node + " and " + s.Node + " cannot be compared: " + r.Reason
			continue
		}
		lag = &Lag{Primary: p.Node, Observer: ps.Observer}
		if ss.Observer != ps.Observer {
			lag.Observer += "/" + ss.Observer
		}
		lag.bytes(ps, ss, l)
		lag.inTime(p, s, l)
		lag.Heartbeat = heartbeatBounds(v, p.Node, s.Node, l)
		return lag
	}
	return lag
}

// lastKnown is how far the standby was behind the last answer of a primary that
// answers no more. It is told with its age and is no figure: since then the
// primary may have written more.
func lastKnown(v View, servers []Appraisal, s Appraisal, l Limits) string {
	for _, p := range servers {
		last, ok := youngestAnswer(v.Sightings(p.Node))
		if !ok || p.Node == s.Node || last.Role != replication.RolePrimary {
			continue
		}
		if k := related(last, s.Best, l).Kind; k != replication.RelationSameLine && k != replication.RelationCanFollow {
			continue
		}
		return fmt.Sprintf("; at the last answer of %s, %s ago, its WAL went %d bytes beyond what %s has received", p.Node, Span(last.Answered),
			last.Position.Since(max(s.Best.Position, s.Best.Reached)), s.Node)
	}
	return ""
}

// together picks the two sightings to subtract: of one observer where one sees
// both, because then nothing but a probe's period lies between the two answers.
func together(p, s Appraisal, l Limits) (primary, standby Sighting) {
	primary, standby = p.Best, s.Best
	youngest := Never
	for _, ps := range p.Seen {
		for _, ss := range s.Seen {
			if ps.Observer != ss.Observer || !ps.speaks(l) || !ss.speaks(l) || ps.Role != replication.RolePrimary || ss.Role != replication.RoleStandby {
				continue
			}
			if age := max(ps.Answered, ss.Answered); youngest < 0 || age < youngest {
				youngest, primary, standby = age, ps, ss
			}
		}
	}
	return primary, standby
}

// bytes fills in the differences. A standby that has just restarted says less
// than it holds until it streams or has read its own WAL again: then what it has
// received is not known, whatever an SQL answer from before the restart says.
func (g *Lag) bytes(p, s Sighting, l Limits) {
	if s.Reached > s.Position {
		g.Unknown = s.Node + " has restarted and has not read its own WAL to the end: it held at least " + s.Reached.String()
	} else {
		received := s.Position
		if streams(s, l) {
			received = max(received, s.Status.Receiver.Written)
		}
		g.ReceiveBytes, g.FlushBytes = since(p.Position, received), since(p.Position, s.Position)
	}
	switch {
	case s.Replay != 0:
		g.ReplayBytes = since(p.Position, s.Replay)
	case s.statusFresh(l) && s.Status.InRecovery && s.Status.Replay != 0:
		g.ReplayBytes = since(p.Position, s.Status.Replay)
	default:
		g.Unknown = "the replayed position of " + s.Node + " is not known"
	}
	if s.statusFresh(l) {
		g.ApplyDelay = s.Status.ApplyDelay
	}
}

func since(primary, standby replication.LSN) *uint64 {
	n := primary.Since(standby)
	return &n
}

// inTime takes the best figure that any observer has: a measured one before a
// lower bound, of lower bounds the highest, then the youngest. An observer whose
// own look at the primary is old has a ring that stands still.
func (g *Lag) inTime(p, s Appraisal, l Limits) {
	if g.ReplayBytes != nil && *g.ReplayBytes == 0 {
		g.Time, g.TimeObserver = new(time.Duration), g.Observer
		return
	}
	var best *Sighting
	for _, ss := range s.Seen {
		if ss.Behind == nil || ss.Behind.Primary != p.Node || !ss.speaks(l) || !sees(p, ss.Observer, l) {
			continue
		}
		if best == nil || better(ss, *best) {
			best = &ss
		}
	}
	if best == nil {
		if g.Unknown == "" {
			g.Unknown = "no observer has followed " + p.Node + " to tell the lag in time"
		}
		return
	}
	lag := best.Behind.Time
	g.Time, g.AtLeast, g.TimeObserver = &lag, best.Behind.AtLeast, best.Observer
}

func sees(p Appraisal, observer string, l Limits) bool {
	return slices.ContainsFunc(p.Seen, func(ps Sighting) bool {
		return ps.Observer == observer && ps.speaks(l) && ps.Role == replication.RolePrimary
	})
}

func better(a, b Sighting) bool {
	if a.Behind.AtLeast != b.Behind.AtLeast {
		return b.Behind.AtLeast
	}
	if a.Behind.AtLeast {
		return a.Behind.Time > b.Behind.Time
	}
	return cmp.Less(a.Answered, b.Answered)
}
