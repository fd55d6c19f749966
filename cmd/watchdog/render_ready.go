package main

import (
	"fmt"
	"strings"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// readyLines says of each operation whether it would work: what is not known is
// never shown as ready. A document of an older service tells of none.
func readyLines(s view.Status, st style) string {
	if len(s.Readiness) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n")
	for _, r := range s.Readiness {
		b.WriteString(readyLine(r, wayBack(s, r), st))
		if r.State != view.ReadyNo {
			continue
		}
		for _, f := range r.Failing {
			line := "     " + clean(f.Name) + ": " + clean(f.Reason)
			if f.Hint != "" {
				line += "; mend: " + clean(f.Hint)
			}
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func readyLine(r view.ReadyStatus, back bool, st style) string {
	what := clean(r.Operation) + " to " + clean(r.Target)
	if back {
		what = clean(r.Operation) + " back to " + clean(r.Target)
	}
	checked := "checked " + ageText(r.Age) + " ago"
	if r.Age < 0 {
		checked = "not checked yet"
	}
	switch r.State {
	case view.ReadyYes:
		return fmt.Sprintf("%s: ready, %s\n", what, checked)
	case view.ReadyNo:
		return fmt.Sprintf("%s: %s, %s\n", what, st.paint(yellow, "NOT READY"), checked)
	}
	return fmt.Sprintf("%s: %s, %s\n", what, st.paint(yellow, unknownText+" not known"), checked)
}

// wayBack says that the target is the primary now: the switchover after next.
func wayBack(s view.Status, r view.ReadyStatus) bool {
	for _, n := range s.Nodes {
		if n.Node == r.Target {
			return n.Role == replication.RolePrimary
		}
	}
	return false
}
