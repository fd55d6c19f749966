package view

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

// ready raises FailoverNotReady for each node to which a promotion or a
// switchover would not work, or to which nobody can say whether it would.
func (j *judgement) ready() {
	all := j.Readiness(j.limits)
	for _, node := range j.Servers() {
		var red []ReadyStatus
		for _, r := range all {
			if r.Target == node && (r.State == ReadyNo || r.State == ReadyUnknown && j.overdue(node)) {
				red = append(red, r)
			}
		}
		if len(red) > 0 {
			j.notReady(node, red)
		}
	}
}

// overdue reports whether a node that was heard has had the time to check; of
// one that was never heard other conditions tell.
func (j *judgement) overdue(node string) bool {
	_, heard := j.Reports[node]
	return heard && j.Up > j.limits.ReadyStale
}

func (j *judgement) notReady(node string, red []ReadyStatus) {
	c := finding{code: FailoverNotReady, subject: node}
	var said []string
	for _, r := range red {
		said = append(said, readyWords(r))
		if r.State == ReadyUnknown {
			c.evidence = append(c.evidence, fmt.Sprintf("%s has told of no check of a %s to it for more than %s", node, r.Operation, Span(j.limits.ReadyStale)))
			continue
		}
		for _, f := range r.Failing {
			c.evidence = append(c.evidence, fmt.Sprintf("%s, %s to %s, checked %s ago: %s: %s", node, r.Operation, node, Span(r.Age), f.Name, f.Reason))
			if c.hint == "" {
				c.hint = f.Hint
			}
		}
	}
	c.text = strings.Join(said, " ")
	j.raise(c)
}

// readyWords is one sentence: what would not work, and the checks by name.
func readyWords(r ReadyStatus) string {
	what := "A " + r.Operation + " to " + r.Target
	switch {
	case r.State == ReadyUnknown && r.Age < 0:
		return fmt.Sprintf("Whether a %s to %s would work was not checked yet.", r.Operation, r.Target)
	case r.State == ReadyUnknown:
		return fmt.Sprintf("Whether a %s to %s would work was last checked %s ago.", r.Operation, r.Target, Span(r.Age))
	}
	var names []string
	for _, f := range r.Failing {
		names = append(names, fmt.Sprintf("%s (%s)", f.Name, f.Reason))
	}
	return fmt.Sprintf("%s would not work now: %s.", what, strings.Join(names, ", "))
}

// explainedBy says which condition tells all that a failing check says. What is
// not listed stands for itself.
var explainedBy = map[string][]Code{
	"stream": {ReplicationDown, PostgresDown, PeerUnreachable}, "lag": {ReplicationDown, ReplicationLagBytes}, "target": {PostgresDown}, "server": {PostgresDown, PeerUnreachable},
	"service": {PeerUnreachable}, "gate": {PeerUnreachable}, "held": {PeerUnreachable}, "login": {PeerUnreachable, PostgresDown}, "fence": {PeerUnreachable},
	"disk": {PeerUnreachable, DiskSpace}, "clock": {PeerUnreachable, ClockSkew}, "witness": {PeerUnreachable}, "settings": {PostgresDown, ConfigDrift}, "senders": {PostgresDown},
	"slots": {PostgresDown}, "rewind": {PostgresDown}, "archive": {PostgresDown, ArchiverFailing}, "backup": {PostgresDown}, "delay": {PostgresDown}, "replay": {PostgresDown, ReplayPaused},
	"version": {VersionMismatch}, "system-id": {SystemIdMismatch}, "timeline": {TimelineDivergence}, "state": {StateUnreadable}, "operation": {OperationStopped},
}

// explainsReady reports whether code takes part in explaining every check that
// fails for the node: a lasting fault beside the incident stays told.
func (j *judgement) explainsReady(code Code, node string) bool {
	if code == NoPrimary || code == ReplicationDown && j.Held(node) != "" {
		return j.present(code, "")
	}
	some := false
	for _, r := range j.Readiness(j.limits) {
		if r.Target != node || r.State == ReadyYes {
			continue
		}
		if r.State == ReadyUnknown {
			if !j.presentAbout(PeerUnreachable, node) {
				return false
			}
			some = some || code == PeerUnreachable
			continue
		}
		for _, f := range r.Failing {
			by := slices.DeleteFunc(slices.Clone(explainedBy[f.Name]), func(c Code) bool { return !j.present(c, f.Name) })
			if len(by) == 0 {
				return false
			}
			some = some || slices.Contains(by, code)
		}
	}
	return some
}

// present reports whether a condition of code is there. Silence of a witness
// explains what is asked of the witness, and nothing else.
func (j *judgement) present(code Code, check string) bool {
	return slices.ContainsFunc(j.found, func(c alerts.Condition) bool {
		return c.Code == code && (code != PeerUnreachable || j.isWitness(c.Subject) == (check == "witness"))
	})
}

func (j *judgement) presentAbout(code Code, node string) bool {
	return slices.ContainsFunc(j.found, func(c alerts.Condition) bool {
		return c.Code == code && slices.Contains(strings.Split(c.Subject, "-"), node)
	})
}

func (j *judgement) isWitness(node string) bool {
	return slices.ContainsFunc(j.Nodes, func(n NodeInfo) bool { return n.Name == node && n.Witness })
}
