package view

import (
	"slices"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// NodeInfo is one configured node.
type NodeInfo struct {
	Name    string
	Witness bool // runs no PostgreSQL
	// Where its PostgreSQL is reached, and the slot that another server keeps for
	// it, to know it again in what servers say of each other. They may be empty.
	Addresses []string // host as configured, and its addresses
	Port      int
	Slot      string
}

// Heard is the newest report of a node and how long ago it came, on the
// receiver's monotonic clock.
type Heard struct {
	Report Report
	Heard  time.Duration
	// Present is how long ago the first of the reports came that have followed
	// each other without a gap, from one run of the service: what was tried in
	// vain before tells nothing about the node as it is now.
	Present time.Duration
}

// View is node × observer: what every node last told, with ages. It is a value;
// Judge and BuildStatus only read it.
type View struct {
	Cluster string
	Self    string
	Nodes   []NodeInfo // all configured nodes, Self included
	Reports map[string]Heard
	// Alive is what gossip membership thinks of each node. It is a hint for the
	// evidence lines and decides nothing.
	Alive map[string]bool
	// Up is how long this service has been collecting: below Limits.Grace,
	// silence is not yet a finding.
	Up time.Duration
}

// Sighting is one server as one observer saw it; its ages include the time
// since the observer's report was heard.
type Sighting struct {
	Observer string
	Self     bool // seen by the node that asks, so no transit time hides in the ages
	ServerReport
}

// Servers lists the configured nodes that run PostgreSQL, in order.
func (v View) Servers() []string {
	var names []string
	for _, n := range v.Nodes {
		if !n.Witness {
			names = append(names, n.Name)
		}
	}
	return names
}

// Sightings gives the server of node from every configured vantage point, the
// asking node first, then in the order of the configuration.
func (v View) Sightings(node string) []Sighting {
	var all []Sighting
	for _, n := range v.observers() {
		h, ok := v.Reports[n]
		if !ok {
			continue
		}
		for _, s := range h.Report.Servers {
			if s.Node == node {
				all = append(all, Sighting{Observer: n, Self: n == v.Self, ServerReport: aged(s, h.Heard)})
			}
		}
	}
	return all
}

func (v View) observers() []string {
	names := []string{v.Self}
	for _, n := range v.Nodes {
		if n.Name != v.Self {
			names = append(names, n.Name)
		}
	}
	return names
}

// aged adds the time since the report was heard to every age in it.
func aged(s ServerReport, heard time.Duration) ServerReport {
	for _, d := range []*time.Duration{&s.Age, &s.Since, &s.Answered, &s.StatusAge, &s.RoleSince, &s.Advanced} {
		*d = older(*d, heard)
	}
	if s.Stuck > 0 {
		s.Stuck += heard
	}
	return s
}

// older adds to an age; what never happened stays so.
func older(d, by time.Duration) time.Duration {
	if d < 0 {
		return Never
	}
	return d + by
}

// Epoch gives the newest epoch that any node's durable state names, and who
// holds it. Durable facts do not go stale: an epoch once made stays made.
func (v View) Epoch() fence.Epoch {
	var newest fence.Epoch
	for _, n := range v.observers() {
		d := v.Reports[n].Report.Durable
		if d != nil && d.Epoch.Number > newest.Number {
			newest = d.Epoch
		}
	}
	return newest
}

// Durable gives what node last told of its durable state; nil when it never did.
func (v View) Durable(node string) *fence.Durable { return v.Reports[node].Report.Durable }

// Held says why node must not be primary: "marker" when it says so itself,
// "ordered" when another node holds a standing order against it, else "".
func (v View) Held(node string) string {
	if d := v.Durable(node); d != nil && d.Marker != nil {
		return "marker"
	}
	for _, h := range v.Reports {
		if d := h.Report.Durable; d != nil {
			if _, ok := d.StandingOrder(node); ok {
				return "ordered"
			}
		}
	}
	return ""
}

// Operations lists the open operations that the nodes tell of, each once, by id.
func (v View) Operations() []OperationReport {
	var all []OperationReport
	for _, n := range v.observers() {
		h := v.Reports[n]
		for _, o := range h.Report.Operations {
			o.Age = older(o.Age, h.Heard)
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b OperationReport) int { return strings.Compare(a.ID, b.ID) })
	return slices.CompactFunc(all, func(a, b OperationReport) bool { return a.ID == b.ID })
}

// Operating reports whether any node holds an intent or runs an operation.
func (v View) Operating() bool {
	for _, h := range v.Reports {
		d := h.Report.Durable
		if len(h.Report.Operations) > 0 || d != nil && len(d.Intents) > 0 {
			return true
		}
	}
	return false
}

// ExpectedRole is the role that the newest epoch gives to node; without an
// epoch it is the role in which the server last answered anybody.
func (v View) ExpectedRole(node string) replication.Role {
	if e := v.Epoch(); !e.Zero() && e.Primary != "" {
		if e.Primary == node {
			return replication.RolePrimary
		}
		return replication.RoleStandby
	}
	if s, ok := youngestAnswer(v.Sightings(node)); ok {
		return s.Role
	}
	return replication.RoleUnknown
}

// youngestAnswer picks the sighting with the newest answer, whatever came since.
func youngestAnswer(all []Sighting) (Sighting, bool) {
	var best Sighting
	found := false
	for _, s := range all {
		if s.Answered >= 0 && (!found || s.Answered < best.Answered) {
			best, found = s, true
		}
	}
	return best, found
}
