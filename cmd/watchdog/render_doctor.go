package main

import (
	"fmt"
	"strings"

	"github.com/gestionale-fullstack/watchdog/watchdog/audit"
)

// renderDoctor gives the findings by group, the well ones of a group as a count.
func renderDoctor(d doctorDoc, all bool, st style) string {
	var b strings.Builder
	if d.AskedOn != "" {
		fmt.Fprintf(&b, "%s  asked on %s  %s\n", clean(d.Cluster), clean(d.AskedOn), d.At.Local().Format("15:04:05 MST"))
	}
	for _, group := range groupsOf(d.Checks) {
		b.WriteString(groupLines(group, d.Checks, all, st))
	}
	b.WriteString("\n" + countText(d.Counts) + "\n")
	return b.String()
}

// groupsOf gives the groups that there are; those of a newer service come last.
func groupsOf(checks []audit.Check) []string {
	groups, known := []string{}, map[string]bool{}
	add := func(g string) {
		if !known[g] {
			groups, known[g] = append(groups, g), true
		}
	}
	for _, g := range audit.Groups {
		for _, c := range checks {
			if c.Group == g {
				add(g)
			}
		}
	}
	for _, c := range checks {
		add(c.Group)
	}
	return groups
}

func groupLines(group string, checks []audit.Check, all bool, st style) string {
	var b strings.Builder
	well := 0
	for _, c := range checks {
		if c.Group != group {
			continue
		}
		if c.Level == audit.OK && !all {
			well++
			continue
		}
		b.WriteString(checkLines(c, st))
	}
	head := "\n" + clean(group)
	if well > 0 {
		head += fmt.Sprintf("  %d ok", well)
	}
	return head + "\n" + b.String()
}

func checkLines(c audit.Check, st style) string {
	word, colour := levelWord(c.Level)
	const under = "           "
	s := fmt.Sprintf("  %s  %s\n", st.paint(colour, fmt.Sprintf("%-7s", word)), indented(c.Text, under))
	if c.Hint != "" {
		s += under + "-> " + clean(c.Hint) + "\n"
	}
	return s
}

// levelWord gives the word and the colour of a result.
func levelWord(l audit.Level) (word, colour string) {
	switch l {
	case audit.OK:
		return "ok", green
	case audit.Warn:
		return "warn", yellow
	case audit.Fail:
		return "FAIL", red
	}
	return "unknown", yellow
}

func countText(c doctorCounts) string {
	warnings := fmt.Sprintf("%d warnings", c.Warn)
	if c.Warn == 1 {
		warnings = "1 warning"
	}
	return fmt.Sprintf("%d failed, %s, %d unknown, %d ok", c.Fail, warnings, c.Unknown, c.OK)
}
