package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// The states of a Status.
const (
	StateHealthy  = "HEALTHY"
	StateDegraded = "DEGRADED"
	StateCritical = "CRITICAL"
	StateUnknown  = "UNKNOWN" // no primary is seen, and nobody can say that there is none
)

// StatusInput is what BuildStatus needs beside the View.
type StatusInput struct {
	View    View
	Limits  Limits
	At      time.Time // printed only
	Open    []OpenCondition
	Adopted bool     // the boot gate of this node is active
	Running string   // open operation
	Faults  []string // why the service refuses to act
}

// Opened makes the line of a condition. lasted is how long it has been true.
func Opened(c alerts.Condition, lasted time.Duration, firing bool, incident string) OpenCondition {
	return OpenCondition{
		Code: c.Code, Subject: c.Subject, Severity: c.Severity.String(), Text: c.Text, Evidence: slices.Clone(c.Evidence),
		For: lasted, Hold: c.Hold, Firing: firing, Incident: incident, Hint: c.Hint, Runbook: c.Runbook,
	}
}

// BuildStatus makes the document behind `watchdog status`. It is pure.
func BuildStatus(in StatusInput) Status {
	v := in.View
	st := Status{
		V: 1, Cluster: v.Cluster, AskedOn: v.Self, At: in.At, Epoch: v.Epoch(), Adopted: in.Adopted,
		Nodes: make([]NodeStatus, 0, len(v.Nodes)), Open: append([]OpenCondition{}, in.Open...),
		Running: in.Running, Faults: in.Faults, Readiness: v.shownReadiness(in.Limits), CutOff: v.CutOff(in.Limits),
	}
	var servers []Appraisal
	for _, n := range v.Servers() {
		servers = append(servers, Appraise(v, in.Limits, n))
	}
	for _, n := range v.Nodes {
		st.Nodes = append(st.Nodes, nodeStatus(in, servers, n))
	}
	st.State = state(in, servers)
	st.Summary = summary(in, st, servers)
	if st.CutOff {
		st.Summary = "Cut off: nobody else is seen. " + st.Summary
	}
	st.Next = next(in, st, servers)
	return st
}

func nodeStatus(in StatusInput, servers []Appraisal, n NodeInfo) NodeStatus {
	v := in.View
	ns := NodeStatus{Node: n.Name, Witness: n.Witness, Self: n.Name == v.Self, Heard: Never, Seen: []ServerReport{}, Observers: []string{}}
	if h, ok := v.Reports[n.Name]; ok {
		ns.Heard, ns.Planned, ns.Durable = h.Heard, h.Report.PlannedStop, h.Report.Durable
		if free := h.Report.Host.DataFreeBytes; !n.Witness && h.Report.Host.DataTotalBytes > 0 && free >= 0 {
			ns.DataFreeBytes = &free
		}
		ns.Volumes = volumes(h)
		if h.Report.App != nil {
			app := *h.Report.App
			app.Age = older(app.Age, h.Heard)
			ns.App = &app
		}
	}
	if n.Witness {
		return ns
	}
	for _, s := range v.Sightings(n.Name) {
		ns.Seen, ns.Observers = append(ns.Seen, s.ServerReport), append(ns.Observers, s.Observer)
	}
	ns.Fence = v.Held(n.Name)
	i := slices.IndexFunc(servers, func(a Appraisal) bool { return a.Node == n.Name })
	ns.Role, _ = servers[i].role()
	if servers[i].Standing != StandingBad { // one that does not serve feeds nobody, whatever it said last
		ns.Upstream, ns.Downstreams = v.topology(n.Name)
	}
	if ns.Lag = lagOf(v, servers, servers[i], in.Limits); ns.Lag != nil {
		ns.ReceiveLagBytes, ns.ReplayLagBytes = ns.Lag.ReceiveBytes, ns.Lag.ReplayBytes
	}
	return ns
}

// volumes gives a node's file systems with their ages as of now.
func volumes(h Heard) []VolumeReport {
	all := slices.Clone(h.Report.Host.Volumes)
	for i := range all {
		all[i].Age += h.Heard
	}
	return all
}

// state is CRITICAL once a page has lasted past its hold, and at once when
// nothing may wait: no primary, or two.
func state(in StatusInput, servers []Appraisal) string {
	worst := StateHealthy
	for _, c := range in.Open {
		switch {
		case c.early():
		case c.Code == NoSample:
			worst = StateDegraded // missing data is no proof of a fault; without a primary it is StateUnknown
		case c.Severity == alerts.SeverityPage.String() && (c.Firing || c.Code == NoPrimary || c.Code == TwoPrimaries):
			return StateCritical
		case c.Severity != alerts.SeverityInfo.String():
			worst = StateDegraded
		}
	}
	if !slices.ContainsFunc(servers, func(a Appraisal) bool { return a.Standing == StandingPrimary }) {
		return StateUnknown
	}
	if len(in.Faults) > 0 {
		return StateDegraded
	}
	return worst
}

// early reports whether the condition may pass without having been a fault: a
// standby that pauses replay for a minute is well, and could not be promoted.
func (c OpenCondition) early() bool { return c.Code == FailoverNotReady && !c.Firing }

// summary is the first line: the gravest condition, else who does what.
func summary(in StatusInput, st Status, servers []Appraisal) string {
	if c, ok := gravest(in.Open); ok && st.State != StateUnknown {
		return c.Text
	}
	var parts []string
	for _, a := range servers {
		parts = append(parts, roleWords(a, nodeOf(st, a.Node)))
	}
	switch {
	case st.State == StateUnknown && len(parts) > 0:
		return "It is not known who is primary: " + strings.Join(parts, ", ") + "."
	case len(parts) == 0:
		return "No PostgreSQL server is configured."
	case len(in.Faults) > 0:
		return "The service refuses to act: " + sentence(in.Faults[0])
	default:
		return strings.Join(parts, ", ") + "."
	}
}

func nodeOf(st Status, name string) NodeStatus {
	i := slices.IndexFunc(st.Nodes, func(n NodeStatus) bool { return n.Node == name })
	return st.Nodes[i]
}

func roleWords(a Appraisal, n NodeStatus) string {
	switch {
	case a.Standing == StandingPrimary && a.ByWAL:
		return a.Node + " sends WAL but cannot be asked"
	case a.Standing == StandingPrimary:
		return a.Node + " is primary"
	case a.Standing == StandingStandby && n.ReceiveLagBytes == nil:
		return a.Node + " is standby, receive lag unknown"
	case a.Standing == StandingStandby:
		return fmt.Sprintf("%s is standby, %d bytes behind in receiving", a.Node, *n.ReceiveLagBytes)
	case a.Standing == StandingUnknown:
		return "nothing is known of " + a.Node
	default:
		return a.Node + " " + verdictWords(a.Best.Verdict)
	}
}

// gravest picks by severity first, then in the order given (the catalogue's).
func gravest(open []OpenCondition) (OpenCondition, bool) {
	for _, want := range []string{alerts.SeverityPage.String(), alerts.SeverityWarning.String()} {
		for _, c := range open {
			if c.Severity == want && !c.early() {
				return c, true
			}
		}
	}
	return OpenCondition{}, false
}

// next lists the commands worth typing: those of the conditions, gravest first,
// each once. status itself is not worth saying to somebody who reads it.
func next(in StatusInput, st Status, servers []Appraisal) []NextCommand {
	out := []NextCommand{}
	add := func(command string) {
		if command == "" || command == "watchdog status" || slices.ContainsFunc(out, func(n NextCommand) bool { return n.Command == command }) {
			return
		}
		out = append(out, NextCommand{Command: command, Why: why(command)})
	}
	for _, c := range in.Open {
		// A look from outside is worth its line once the condition is told: the way
		// out of an incident must not drown in it.
		if !c.early() && (c.Firing || strings.HasPrefix(c.Hint, "watchdog ")) {
			add(c.Hint)
		}
	}
	if in.Running != "" {
		add("watchdog ops follow " + in.Running)
	}
	for _, a := range servers {
		if role, _ := a.role(); !in.Adopted && st.State == StateHealthy && role == replication.RolePrimary {
			add("watchdog adopt " + a.Node)
		}
	}
	return out
}

// why says what a command shows. None of them changes anything as printed.
func why(command string) string {
	words := strings.Fields(command)
	if len(words) < 2 {
		return ""
	}
	if words[0] != "watchdog" {
		return "to look closer, on the node in question; changes nothing"
	}
	switch words[1] {
	case "promote":
		return "shows the plan, changes nothing"
	case "fence":
		return "shows how it would be fenced, changes nothing"
	case "release":
		return "shows the proof that it may be primary again, changes nothing"
	case "adopt":
		return "shows what would be recorded and enables the boot gate when confirmed; changes nothing yet"
	case "history":
		return "who did what"
	case "ops":
		return "where the operation stands, and how to go on or back"
	case "status":
		return "follow what it does by itself"
	default:
		return ""
	}
}
