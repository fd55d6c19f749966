package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// MonitorState is what a monitoring system hears: the four states of a Nagios
// plugin (https://nagios-plugins.org/doc/guidelines.html). Unknown is the zero
// value; Exit gives the plugin's number.
type MonitorState uint8

// The states, by rising weight save that unknown outweighs a warning: what
// cannot be seen may be worse than what is seen.
const (
	MonitorUnknown MonitorState = iota
	MonitorOK
	MonitorWarning
	MonitorCritical
)

// String gives the word of the plugin guidelines.
func (m MonitorState) String() string {
	switch m {
	case MonitorOK:
		return "OK"
	case MonitorWarning:
		return "WARNING"
	case MonitorCritical:
		return "CRITICAL"
	}
	return "UNKNOWN"
}

// Exit gives the plugin's exit code: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
func (m MonitorState) Exit() int {
	switch m {
	case MonitorOK:
		return 0
	case MonitorWarning:
		return 1
	case MonitorCritical:
		return 2
	}
	return 3
}

// worse gives the graver of two states.
func (m MonitorState) worse(o MonitorState) MonitorState {
	weight := func(s MonitorState) int {
		return slices.Index([]MonitorState{MonitorOK, MonitorWarning, MonitorUnknown, MonitorCritical}, s)
	}
	if weight(o) > weight(m) {
		return o
	}
	return m
}

// MonitorLine is one reason behind a monitoring state.
type MonitorLine struct {
	State MonitorState
	Text  string
}

// monitorFresh is how old a status document may be: it is made anew every
// second, so that an older one comes from a loop that hangs.
const monitorFresh = 30 * time.Second

// Monitor says what a status means to a monitoring system, the gravest reason
// first. It is pure. name limits it to a condition code or a node; empty is the
// whole. Missing data is never OK. The error is an unknown name.
func Monitor(s Status, name string, now time.Time) (MonitorState, []MonitorLine, error) {
	m := monitored{Status: s, name: name, now: now}
	if !m.knows() {
		return MonitorUnknown, nil, fmt.Errorf("no condition or node %q", name)
	}
	m.conditions()
	m.missing()
	for _, f := range s.Faults {
		m.add(MonitorWarning, "the service on "+s.AskedOn+" refuses to act: "+f)
	}
	state := MonitorOK
	for _, l := range m.lines {
		state = state.worse(l.State)
	}
	slices.SortStableFunc(m.lines, func(a, b MonitorLine) int {
		switch {
		case a.State == b.State:
			return 0
		case a.State.worse(b.State) == a.State:
			return -1
		}
		return 1
	})
	return state, m.lines, nil
}

type monitored struct {
	Status
	name  string
	now   time.Time
	lines []MonitorLine
}

func (m *monitored) add(state MonitorState, text string) {
	m.lines = append(m.lines, MonitorLine{State: state, Text: text})
}

// node reports whether the name is that of a node.
func (m *monitored) node() bool {
	return slices.ContainsFunc(m.Nodes, func(n NodeStatus) bool { return n.Node == m.name })
}

func (m *monitored) knows() bool {
	return m.name == "" || m.node() || slices.Contains(Codes(), m.name) ||
		slices.ContainsFunc(m.Open, func(c OpenCondition) bool { return c.Code == m.name })
}

func (m *monitored) wants(c OpenCondition) bool {
	return m.name == "" || c.Code == m.name || m.node() && About(c, m.name)
}

// conditions weighs what is open. A condition within its hold is a warning,
// whatever it will become.
func (m *monitored) conditions() {
	for _, c := range m.Open {
		// A check that is red for a moment is no state of the pair, as in Status.
		if !m.wants(c) || c.early() && m.name != c.Code {
			continue
		}
		text := fmt.Sprintf("%s: %s", c.Code, strings.TrimSuffix(c.Text, "."))
		if c.Subject != SubjectPair {
			text = fmt.Sprintf("%s %s: %s", c.Code, c.Subject, strings.TrimSuffix(c.Text, "."))
		}
		m.add(weigh(c), text+" ("+m.lasting(c)+")")
	}
}

func (m *monitored) lasting(c OpenCondition) string {
	if !c.Firing && c.Within == "" {
		return "held for " + Span(max(0, c.For))
	}
	text := "for " + Span(max(0, c.For))
	if c.Incident != "" {
		text += ", incident " + c.Incident
	}
	return text
}

func weigh(c OpenCondition) MonitorState {
	held := !c.Firing && c.Within == ""
	switch {
	case c.Severity == alerts.SeverityInfo.String():
		return MonitorOK
	case c.Severity == alerts.SeverityPage.String() && !held:
		return MonitorCritical
	case c.Code == NoSample:
		return MonitorUnknown
	}
	return MonitorWarning
}

// missing adds what is not known. Judge says so too, in time; a plugin that is
// asked in between must not say OK.
func (m *monitored) missing() {
	if age := m.now.Sub(m.At); age > monitorFresh || age < -monitorFresh {
		m.add(MonitorUnknown, fmt.Sprintf("the newest look of the service on %s is %s old", m.AskedOn, Span(max(0, age))))
	}
	if len(m.Nodes) == 0 {
		m.add(MonitorUnknown, "the status names no node")
	}
	if m.State == StateUnknown && !m.node() {
		m.add(MonitorUnknown, "it is not known who is primary")
	}
	for _, n := range m.Nodes {
		if m.node() && n.Node != m.name {
			continue
		}
		if !n.Self && n.Heard < 0 {
			m.add(MonitorUnknown, "the service of "+n.Node+" was never heard")
		}
		if !n.Witness {
			m.server(n)
		}
	}
}

func (m *monitored) server(n NodeStatus) {
	age := n.SampleAge()
	switch {
	case age < 0:
		m.add(MonitorUnknown, "there is no sample of PostgreSQL on "+n.Node)
	case age > monitorFresh:
		m.add(MonitorUnknown, fmt.Sprintf("the newest sample of PostgreSQL on %s is %s old", n.Node, Span(age)))
	case !n.answers():
		// Its silence is known, and a condition tells of it.
	case n.Role == replication.RoleUnknown:
		m.add(MonitorUnknown, "the role of "+n.Node+" is not known")
	case n.Role == replication.RoleStandby && n.ReceiveLagBytes == nil:
		m.add(MonitorUnknown, "the receive lag of "+n.Node+" is not known"+n.Lag.because())
	}
}

// because says why a figure is missing, after what is missing.
func (l *Lag) because() string {
	if l == nil || l.Unknown == "" {
		return ""
	}
	return ": " + l.Unknown
}

// answers reports whether any vantage point has the server answering.
func (n NodeStatus) answers() bool {
	return slices.ContainsFunc(n.Seen, func(s ServerReport) bool { return s.Age >= 0 && answers(s.Verdict) })
}

// SampleAge is the age of the newest sample of the node's server from any
// vantage point; negative when there is none.
func (n NodeStatus) SampleAge() time.Duration {
	youngest := Never
	for _, s := range n.Seen {
		if s.Age >= 0 && s.Verdict != replication.VerdictUnknown && (youngest < 0 || s.Age < youngest) {
			youngest = s.Age
		}
	}
	return youngest
}

// About reports whether a condition is about a node: "db1-db2" is about both,
// and so is what a channel on a node does.
func About(c OpenCondition, node string) bool {
	return c.Subject == node || strings.HasPrefix(c.Subject, node+"-") || strings.HasSuffix(c.Subject, "-"+node) ||
		strings.HasSuffix(c.Subject, " on "+node)
}
