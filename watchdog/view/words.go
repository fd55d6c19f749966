package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Span prints a duration for people: "0.2 s", "14 s", "2m41s", "3h5m".
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "never"
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}

// verdictWords says what a verdict means to somebody who has just woken up.
func verdictWords(v replication.Verdict) string {
	switch v {
	case replication.VerdictHealthy:
		return "answers"
	case replication.VerdictStarting:
		return "is starting"
	case replication.VerdictShuttingDown:
		return "is shutting down"
	case replication.VerdictSaturated:
		return "has no connection slot left"
	case replication.VerdictAuthRefused:
		return "refuses our login"
	case replication.VerdictReadOnly:
		return "refuses writes"
	case replication.VerdictSyncStalled:
		return "waits for a synchronous standby"
	case replication.VerdictStorageStalled:
		return "cannot write to its storage"
	case replication.VerdictHung:
		return "accepts connections but does not answer (it may still be writing)"
	case replication.VerdictDown:
		return "is down (its host refuses connections)"
	case replication.VerdictUnreachable:
		return "does not answer at all (which does not prove that it is down)"
	default:
		return "is not known"
	}
}

// evidence is one line: who saw what, and how old that is.
func (s Sighting) evidence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s sees PostgreSQL of %s: %s", s.Observer, s.Node, s.Verdict)
	if s.Cause != "" {
		fmt.Fprintf(&b, " (%s)", s.Cause)
	}
	if s.Since >= 0 {
		fmt.Fprintf(&b, " for %s", Span(s.Since))
	}
	if s.Age >= 0 {
		fmt.Fprintf(&b, ", sample %s old", Span(s.Age))
	}
	if s.Answered < 0 {
		b.WriteString(", has never answered here")
		return b.String()
	}
	fmt.Fprintf(&b, "; answered %s ago as %s, timeline %d, %s", Span(s.Answered), s.Role, s.Timeline, s.Position)
	return b.String()
}

// evidenceOf gives one line per vantage point on a server, stale ones included
// and named so.
func evidenceOf(v View, l Limits, node string) []string {
	var lines []string
	for _, s := range v.Sightings(node) {
		line := s.evidence()
		switch {
		case s.Age < 0:
			line = fmt.Sprintf("%s has no sample of PostgreSQL of %s yet", s.Observer, node)
		case !s.fresh(l):
			line += " (too old to count)"
		}
		lines = append(lines, line)
	}
	return append(lines, ownEvidence(v, l, node)...)
}

// ownEvidence adds what only the node's own service can know, and what its
// standby receives.
func ownEvidence(v View, l Limits, node string) []string {
	var lines []string
	for _, s := range v.Sightings(node) {
		if s.Observer == node && s.Processes > 0 && bad(s.Verdict) {
			lines = append(lines, fmt.Sprintf("%s counts %d PostgreSQL processes that still hold the data directory, %s ago",
				s.Observer, s.Processes, Span(s.Age)))
		}
	}
	if v.ExpectedRole(node) != replication.RolePrimary {
		return lines
	}
	for _, other := range v.Servers() {
		for _, s := range v.Sightings(other) {
			if age, ok := receivedAge(s, l); ok && other != node {
				lines = append(lines, fmt.Sprintf("%s sees the standby on %s: last received from its upstream %s ago", s.Observer, other, Span(age)))
			}
		}
	}
	return lines
}

// list joins names: "a", "a and b", "a, b and c".
func list(names []string) string {
	switch n := len(names); n {
	case 0:
		return "nobody"
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}

// observersOf names who saw.
func observersOf(seen []Sighting) string {
	var names []string
	for _, s := range seen {
		names = append(names, s.Observer)
	}
	return list(names)
}
