package main

import (
	"fmt"
	"strings"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// renderWhy gives the reasons as text: condition by condition, then what is
// seen of every server.
func renderWhy(s view.Status, d whyDoc, st style) string {
	var b strings.Builder
	b.WriteString(statusHead(s, st))
	for _, f := range d.Faults {
		b.WriteString("\n" + st.paint(red, "!! this service refuses to act: ") + clean(f) + "\n")
	}
	for _, c := range d.Conditions {
		b.WriteString("\n" + whyLines(c, st))
	}
	switch {
	case d.Closed != nil:
		b.WriteString("\n" + clean(d.Closed.Code) + " is not open.\n" +
			labelled("raised when", d.Closed.Means) + labelled("refuted by", d.Closed.Refute))
	case len(d.Conditions) == 0 && d.About != "":
		b.WriteString("\nNothing is open about " + clean(d.About) + ".\n")
	case len(d.Conditions) == 0:
		b.WriteString("\nNothing is open.\n")
	}
	b.WriteString(seenTable(d, st))
	return b.String()
}

// whyLines gives one open condition: what, the evidence, what would refute it,
// what to type next.
func whyLines(c whyOpen, st style) string {
	mark, colour := severityMark(c.Severity)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s  (%s)\n", st.paint(colour, mark), clean(c.Code), clean(c.Subject), standing(c.OpenCondition))
	b.WriteString(labelled("told as", c.Text))
	if c.Means != c.Text {
		b.WriteString(labelled("raised when", c.Means))
	}
	if len(c.Evidence) == 0 {
		b.WriteString(labelled("seen", "no evidence came with it"))
	}
	for i, e := range c.Evidence {
		label := ""
		if i == 0 {
			label = "seen"
		}
		b.WriteString(labelled(label, e))
	}
	refute := c.Refute
	if refute == "" {
		refute = unknownText + " this program does not know the condition: compare watchdog version on the nodes"
	}
	b.WriteString(labelled("refuted by", refute))
	if c.Hint != "watchdog status" { // shows less than what stands here
		b.WriteString(labelled("next", c.Hint))
	}
	b.WriteString(labelled("runbook", c.Runbook))
	return b.String()
}

// labelled is one line under a condition; nothing when there is nothing to say.
func labelled(label, text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("   %-11s  %s\n", label, clean(text))
}

// seenTable gives every server from every vantage point, and what its standby
// receives: a primary whose standby receives new WAL is alive, whoever says
// that it is not.
func seenTable(d whyDoc, st style) string {
	if len(d.Seen) == 0 && len(d.Heard) == 0 {
		return ""
	}
	rows := [][]cell{plainCells("SERVER", "SEEN BY", "POSTGRES", "ROLE", "CAUSE", "FOR", "POSITION", "SAMPLE", "LAST ANSWER", "SQL")}
	var receiving []string
	for _, seen := range d.Seen {
		row := append([]cell{{text: clean(seen.Node)}}, evidenceRow(seen.Observer, seen.ServerReport)...)
		rows = append(rows, append(row, cell{text: ageText(seen.StatusAge)}))
		receiving = append(receiving, receivingLine(seen)...)
	}
	return "\nWhat is seen, with ages:\n" + table(st, "  ", rows) + strings.Join(receiving, "") + heardLines(d)
}

// heardLines says when the other services were heard: silence of one makes its
// own view of its server old.
func heardLines(d whyDoc) string {
	var b strings.Builder
	for _, h := range d.Heard {
		switch {
		case h.Self:
		case h.Heard < 0:
			fmt.Fprintf(&b, "  the service of %s was never heard by %s\n", clean(h.Node), clean(d.AskedOn))
		case h.Planned:
			fmt.Fprintf(&b, "  the service of %s was stopped on purpose %s ago\n", clean(h.Node), ageText(h.Heard))
		default:
			fmt.Fprintf(&b, "  the service of %s was heard %s ago\n", clean(h.Node), ageText(h.Heard))
		}
	}
	return b.String()
}

// receivingLine says when a standby last got something from its upstream, and
// when its position last grew.
func receivingLine(seen whySighting) []string {
	if seen.Role != replication.RoleStandby || seen.Status == nil || seen.Age < 0 {
		return nil
	}
	r := seen.Status.Receiver
	if r == nil {
		return []string{fmt.Sprintf("  %s has no WAL receiver, seen by %s, %s old\n", clean(seen.Node), clean(seen.Observer), ageText(seen.StatusAge))}
	}
	line := fmt.Sprintf("  %s receives from %s:%d, %s, last known message %s ago, seen by %s", clean(seen.Node), clean(r.SenderHost), r.SenderPort,
		clean(r.Status), ageText(max(0, r.MessageAge)+seen.StatusAge), clean(seen.Observer))
	if seen.Advanced >= 0 {
		line += fmt.Sprintf("; its position grew within the last %s", ageText(seen.Advanced))
	}
	return []string{line + "\n"}
}

// severityMark gives the symbol and the colour of a severity.
func severityMark(severity string) (mark, colour string) {
	switch severity {
	case "page":
		return "!!", red
	case "warning":
		return "! ", yellow
	}
	return "i ", ""
}

// standing says since when a condition is true and whom it was told.
func standing(c view.OpenCondition) string {
	since := "for " + ageText(c.For)
	switch {
	case c.Incident != "":
		return since + ", incident " + clean(c.Incident)
	case c.Within != "":
		return since + ", told within " + clean(c.Within)
	case c.Firing:
		return since
	case c.Hold > c.For:
		return since + ", told after " + ageText(c.Hold)
	}
	return since + ", not told yet"
}
