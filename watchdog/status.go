package watchdog

import (
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Status gives the newest status document.
func (s *Service) Status() view.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *Service) buildStatus(v view.View, own *fence.Durable, conditions []alerts.Condition, now time.Time) view.Status {
	in := view.StatusInput{View: v, Limits: s.lim(), At: now, Faults: s.ops.faults(), Adopted: own != nil && !own.Epoch.Zero()}
	if ops := v.Operations(); len(ops) > 0 {
		in.Running = ops[0].ID
	}
	for _, c := range conditions {
		in.Open = append(in.Open, s.opened(c, now))
	}
	return view.BuildStatus(in)
}

// opened adds to a condition what its incident knows.
func (s *Service) opened(c alerts.Condition, now time.Time) view.OpenCondition {
	i, err := s.engine.Find(c.Code, c.Subject)
	if err != nil || i.State == alerts.StateNone || i.State == alerts.StateResolved {
		return view.Opened(c, 0, false, "")
	}
	id := ""
	if i.Key != "" && i.State.Open() {
		id = i.Key.ID()
	}
	c.Severity = max(c.Severity, i.Condition.Severity) // it may have risen by lasting
	o := view.Opened(c, max(0, now.Sub(i.FirstSeen)), i.State.Open(), id)
	if i.State == alerts.StateInhibited {
		o.Within = i.Root
	}
	return o
}

// details gives the table that goes into a message: each node as its own or the
// nearest vantage point saw it.
func (s *Service) details(alerts.Condition) []string {
	s.mu.Lock()
	st := s.status
	s.mu.Unlock()
	var out []string
	for _, n := range st.Nodes {
		if n.Witness {
			continue
		}
		for i, seen := range n.Seen {
			line := fmt.Sprintf("%s: %s, %s, timeline %d, %s", n.Node, n.Role, seen.Verdict, seen.Timeline, seen.Position)
			if i < len(n.Observers) {
				line += fmt.Sprintf(", seen by %s, sample %s old", n.Observers[i], view.Span(max(0, seen.Age)))
			}
			out = append(out, line)
		}
		if len(n.Seen) == 0 {
			out = append(out, n.Node+": not seen by anybody")
		}
	}
	return out
}

// channelConditions tells of message channels that do not work, so that another
// channel reports them, and of a spool that cannot be read.
func (s *Service) channelConditions() []alerts.Condition {
	var out []alerts.Condition
	if s.dbFault != nil {
		out = append(out, alerts.Condition{Code: alerts.CodeNotificationFailing, Subject: "the spool on " + s.cfg.Node, Severity: alerts.SeverityPage,
			Text: fmt.Sprintf("The incidents and messages that %s kept cannot be read: what was not delivered before is waiting there, and what was told may be told again.",
				s.cfg.Node),
			Evidence: []string{s.cfg.Node + ": " + s.dbFault.Error()}, Hint: "systemctl stop pg-watchdog, move the file aside, systemctl start pg-watchdog",
			Runbook: "the watchdog itself is broken"})
	}
	for _, f := range s.engine.ChannelFaults() {
		out = append(out, alerts.Condition{Code: alerts.CodeNotificationFailing, Subject: f.Subject() + " on " + s.cfg.Node,
			Severity: alerts.SeverityPage, Text: fmt.Sprintf("Messages through %s do not leave %s: %v.", f.Subject(), s.cfg.Node, f.Err),
			Evidence: []string{s.cfg.Node + ": " + f.Err.Error()}, Hint: "watchdog config check", Runbook: "the watchdog itself is broken"})
	}
	return out
}

// clusterID is the system identifier behind incident keys: from the durable
// state, else from the servers as this node sees them.
func (s *Service) clusterID(v view.View) (string, bool) {
	for _, n := range v.Nodes {
		if d := v.Durable(n.Name); d != nil && d.SystemID != 0 {
			return d.SystemID.String(), true
		}
	}
	return "", false
}

// keepRate feeds the WAL rate with the primary's position.
func (s *Service) keepRate(v view.View, now time.Time) {
	for _, name := range v.Servers() {
		for _, seen := range v.Sightings(name) {
			if seen.Self && seen.Role == replication.RolePrimary && seen.Verdict == replication.VerdictHealthy {
				s.rate.add(now, seen.Position)
				return
			}
		}
	}
}
