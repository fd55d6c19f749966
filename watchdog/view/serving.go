package view

import (
	"fmt"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Serving is what the own node's server may be used for right now.
type Serving struct {
	// Role is RoleUnknown whenever anything is missing or contradicts.
	Role replication.Role
	Why  string
}

// Serves answers load balancers, for the own node alone and by its own fresh
// observation. It is stricter than status: connections must not go to a primary
// that another node may have replaced, nor reads to a standby that stands still.
func Serves(v View, l Limits) Serving {
	var own Sighting
	for _, s := range v.Sightings(v.Self) {
		if s.Self {
			own = s
		}
	}
	switch {
	case own.Node == "":
		return Serving{Why: "this node observes no PostgreSQL of its own"}
	case own.Age < 0:
		return Serving{Why: "PostgreSQL has not been probed yet"}
	case !own.speaks(l):
		return Serving{Why: fmt.Sprintf("PostgreSQL %s (last answer %s ago)", verdictWords(own.Verdict), Span(own.Answered))}
	case own.Verdict != replication.VerdictHealthy:
		return Serving{Why: "PostgreSQL " + verdictWords(own.Verdict)}
	}
	if why := v.forbids(); why != "" {
		return Serving{Why: why}
	}
	if own.Role == replication.RoleStandby {
		return servesReads(own, l)
	}
	return servesWrites(v, l)
}

// forbids says what in the durable states speaks against any use of this node.
func (v View) forbids() string {
	h := v.Reports[v.Self]
	switch {
	case h.Report.StateFault != "":
		return "the durable state cannot be read: " + h.Report.StateFault
	case h.Report.Durable == nil:
		return "the durable state is not known"
	}
	switch v.Held(v.Self) {
	case "marker":
		return "this node is fenced"
	case "ordered":
		return "another node holds an order to fence this node"
	default:
		return ""
	}
}

func servesReads(own Sighting, l Limits) Serving {
	age, ok := receivedAge(own, l)
	switch {
	case !own.statusFresh(l):
		return Serving{Why: "whether this standby receives WAL is not known"}
	case !ok || age > l.MessageStale:
		return Serving{Why: "this standby receives no WAL"}
	default:
		return Serving{Role: replication.RoleStandby, Why: "standby, last message from its upstream " + Span(age) + " ago"}
	}
}

func servesWrites(v View, l Limits) Serving {
	newest := v.Epoch()
	own := v.Durable(v.Self)
	switch {
	case newest.Zero():
		return Serving{Why: "no epoch is recorded: watchdog adopt " + v.Self}
	case newest.Primary != v.Self || !own.Epoch.Same(newest) || own.Role != replication.RolePrimary:
		return Serving{Why: fmt.Sprintf("epoch %d makes %s the primary", newest.Number, newest.Primary)}
	}
	for _, h := range v.Reports {
		if d := h.Report.Durable; d != nil {
			if d.Epoch.Number == newest.Number && d.Epoch.ID != newest.ID {
				return Serving{Why: fmt.Sprintf("two changes of primary were recorded as epoch %d", newest.Number)}
			}
			for _, in := range d.Intents {
				if in.Target != v.Self {
					return Serving{Why: "operation " + in.Operation + " is open"}
				}
			}
		}
	}
	for _, n := range v.Servers() {
		if a := Appraise(v, l, n); n != v.Self && a.Standing == StandingPrimary && !a.ByWAL {
			return Serving{Why: n + " runs as primary too"}
		}
	}
	return Serving{Role: replication.RolePrimary, Why: fmt.Sprintf("primary of epoch %d", newest.Number)}
}
