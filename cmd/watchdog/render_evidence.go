package main

import (
	"fmt"
	"strings"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// disagree reports whether two observers that have a sample see the server
// differently. An observer that cannot know yet does not contradict.
func disagree(n view.NodeStatus) bool {
	first := -1
	for i, seen := range n.Seen {
		if seen.Age < 0 || seen.Verdict == replication.VerdictUnknown {
			continue
		}
		if first < 0 {
			first = i
			continue
		}
		if seen.Verdict != n.Seen[first].Verdict || seen.Role != n.Seen[first].Role {
			return true
		}
	}
	return false
}

// disputed gives node × observer when observers disagree: the reader decides
// with everything that was seen.
func disputed(n view.NodeStatus, st style) string {
	if !disagree(n) {
		return ""
	}
	rows := [][]cell{plainCells("OBSERVER", "POSTGRES", "ROLE", "CAUSE", "FOR", "POSITION", "SAMPLE", "LAST ANSWER")}
	for i, seen := range n.Seen {
		if i < len(n.Observers) {
			rows = append(rows, evidenceRow(n.Observers[i], seen))
		}
	}
	return fmt.Sprintf("\nObservers disagree about %s:\n", clean(n.Node)) + table(st, "  ", rows)
}

func evidenceRow(observer string, seen view.ServerReport) []cell {
	cause, position := notApplicableText, unknownText
	if seen.Cause != "" {
		cause = clean(seen.Cause)
	}
	if seen.Position != 0 {
		position = fmt.Sprintf("%s on timeline %d", seen.Position, seen.Timeline)
	}
	verdict, since := seen.Verdict.String(), ageText(seen.Since)
	if seen.Age < 0 || seen.Verdict == replication.VerdictUnknown {
		verdict, since = unknownText+" unknown", unknownText
	}
	return plainCells(clean(observer), verdict, seen.Role.String(), cause, since, position, ageText(seen.Age), ageText(seen.Answered))
}

// conditionLines gives one open condition with its evidence. What the reader
// has seen already is not said twice: the summary above, and evidence that an
// earlier condition rests on.
func conditionLines(c view.OpenCondition, summary string, shown map[string]bool, st style) string {
	mark, colour := severityMark(c.Severity)
	var b strings.Builder
	text := ": " + clean(c.Text)
	if c.Text == summary {
		text = ""
	}
	fmt.Fprintf(&b, "%s %s %s%s  (%s)\n", st.paint(colour, mark), clean(c.Code), clean(c.Subject), text, standing(c))
	repeated := 0
	for _, e := range c.Evidence {
		if shown[e] {
			repeated++
			continue
		}
		shown[e] = true
		b.WriteString("     " + clean(e) + "\n")
	}
	if repeated > 0 {
		b.WriteString("     and as above\n")
	}
	return b.String()
}

func nextLines(next []view.NextCommand) string {
	if len(next) == 0 {
		return ""
	}
	rows := make([][]cell, 0, len(next))
	for i, n := range next {
		label := ""
		if i == 0 {
			label = "Next:"
		}
		rows = append(rows, plainCells(label, clean(n.Command), clean(n.Why)))
	}
	return "\n" + table(style{}, "", rows)
}
