package view

import (
	"fmt"
	"strings"
	"time"
)

// archiveFresh is how old a look into the archive may be: three periods of ten
// minutes and the time that a slow share takes.
const archiveFresh = 35 * time.Minute

// walArchive raises WalGap from the looks of all nodes: a hole is one although
// another node looks somewhere else.
func (j *judgement) walArchive() {
	var holes, blind, lines []string
	for _, node := range j.observers() {
		h, ok := j.Reports[node]
		if !ok || h.Report.Host.WALArchive == nil || h.Report.Host.WALArchive.Age+h.Heard > archiveFresh {
			continue
		}
		w := *h.Report.Host.WALArchive
		seen := Span(w.Age + h.Heard)
		switch {
		case w.Fault != "":
			blind = append(blind, fmt.Sprintf("%s cannot look into it (%s)", node, w.Fault))
			lines = append(lines, fmt.Sprintf("%s: %s, %s ago", node, w.Fault, seen))
		case w.Gaps > 0 || len(w.Histories) > 0:
			holes = append(holes, gapWords(w))
			lines = append(lines, fmt.Sprintf("%s: %d segments, %s, looked %s ago", node, w.Segments, gapWords(w), seen))
		default:
			lines = append(lines, fmt.Sprintf("%s: %d segments without a hole, looked %s ago", node, w.Segments, seen))
		}
	}
	switch {
	case len(holes) > 0:
		j.raise(finding{code: WalGap, subject: SubjectArchive, evidence: lines,
			text: fmt.Sprintf("The WAL archive has a hole: %s. No backup from before it can be brought past it.", holes[0])})
	case len(blind) > 0:
		j.raise(finding{code: WalGap, subject: SubjectArchive, severity: warning(), evidence: lines,
			text: fmt.Sprintf("Nobody knows whether the WAL archive has holes: %s.", strings.Join(blind, "; "))})
	}
}

func gapWords(w WALArchiveReport) string {
	var parts []string
	if w.Gaps > 0 {
		parts = append(parts, fmt.Sprintf("segments are missing in %d places, the first is %s", w.Gaps, orUnknown(w.First)))
	}
	for _, t := range w.Histories {
		parts = append(parts, fmt.Sprintf("the history of timeline %d is missing", t))
	}
	return strings.Join(parts, ", ")
}
