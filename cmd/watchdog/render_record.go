package main

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// renderRecord gives one journal record as the line that a follower sees;
// empty for one that only announces a step.
func renderRecord(r runbooks.Record, st style) string {
	switch r.Type {
	case runbooks.RecordOpened:
		return fmt.Sprintf("%s operation %s started: %s, by %s%s\n", clock(r.At), clean(r.Operation), clean(r.Text), clean(r.By), reasonText(r.Reason))
	case runbooks.RecordOutcome:
		return stepLine(r, st)
	case runbooks.RecordNote:
		return noteLines(r)
	case runbooks.RecordResumed:
		return fmt.Sprintf("%s resumed by %s%s\n", clock(r.At), clean(r.By), reasonText(r.Reason))
	case runbooks.RecordStopped:
		return stoppedLines(r, st)
	case runbooks.RecordClosed:
		return closedLine(r, st)
	}
	return ""
}

// renderRunning gives the line of a step that has begun, without a line break,
// for a terminal on which it is written again with its outcome.
func renderRunning(r runbooks.Record) string {
	return fmt.Sprintf("%2d/%d %-14s ...", r.N, r.Of, clean(r.Step))
}

func reasonText(reason string) string {
	if reason == "" {
		return ""
	}
	return fmt.Sprintf(", reason %q", clean(reason))
}

func stepLine(r runbooks.Record, st style) string {
	word, colour := "ok", green
	switch r.Result {
	case fence.ResultDone:
	case fence.ResultNotDone:
		word, colour = "NOT DONE", red
	default:
		word, colour = "UNKNOWN", red
	}
	line := fmt.Sprintf("%2d/%d %-14s %s  %s", r.N, r.Of, clean(r.Step), st.paint(colour, word), tookText(r.TookMS))
	if r.Text != "" {
		line += "  " + clean(r.Text)
	}
	return line + "\n"
}

func tookText(ms int64) string { return ageText(time.Duration(max(ms, 0)) * time.Millisecond) }

const noteIndent = "     "

func noteLines(r runbooks.Record) string {
	var b strings.Builder
	if r.Text != "" {
		b.WriteString(noteIndent + clean(r.Text) + "\n")
	}
	if r.Fence != nil {
		for _, e := range r.Fence.Evidence {
			fmt.Fprintf(&b, "%s  %s (%s, %s)\n", noteIndent, clean(e.Text), clean(e.Observer), clock(e.At))
		}
		if r.Fence.Problem != "" {
			b.WriteString(noteIndent + "  problem: " + clean(r.Fence.Problem) + "\n")
		}
		if e := r.Fence.EndOfWAL; e != nil {
			fmt.Fprintf(&b, "%s  end of WAL %s on timeline %d\n", noteIndent, e.LSN, e.Timeline)
		}
	}
	if len(r.Figures) > 0 {
		b.WriteString(noteIndent + figuresText(r.Figures) + "\n")
	}
	return b.String()
}

// figuresText gives journaled numbers by name, sorted; the unit stands in the
// name's end.
func figuresText(figures map[string]int64) string {
	names := make([]string, 0, len(figures))
	for n := range figures {
		names = append(names, n)
	}
	sort.Strings(names)
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = clean(strings.TrimSuffix(strings.TrimSuffix(n, "_bytes"), "_ms")) + " " + figureText(n, figures[n])
	}
	return strings.Join(parts, ", ")
}

func figureText(name string, v int64) string {
	switch {
	case v < 0:
		return unknownText
	case strings.HasSuffix(name, "_bytes"):
		return bytesText(uint64(v))
	case strings.HasSuffix(name, "_ms"):
		return ageText(time.Duration(v) * time.Millisecond)
	}
	return fmt.Sprint(v)
}

func stoppedLines(r runbooks.Record, st style) string {
	line := fmt.Sprintf("%s %s %s\n", clock(r.At), st.paint(red, "STOPPED"), clean(r.Text))
	if r.Refusal != nil && r.Refusal.Hint != "" {
		line += "Next:  " + clean(r.Refusal.Hint) + "\n"
	}
	return line
}

func closedLine(r runbooks.Record, st style) string {
	if r.Result == fence.ResultDone {
		return fmt.Sprintf("%s %s in %s\n", clock(r.At), st.paint(green, "DONE"), tookText(r.TookMS))
	}
	return fmt.Sprintf("%s %s and taken back after %s: %s\n", clock(r.At), st.paint(red, "STOPPED"), tookText(r.TookMS), clean(r.Text))
}

// renderEnd says what is true after an operation that is done, and what to
// type next.
func renderEnd(p *runbooks.Plan) string {
	if p == nil {
		return "Next:  watchdog status\n"
	}
	target, other := clean(p.Target), clean(p.Fence.Node)
	said := ""
	switch p.Kind {
	case runbooks.KindPromote:
		said = target + " is primary. "
		if other != "" {
			said += other + " is fenced and stays read-only; there is NO standby now."
		}
	case runbooks.KindFence:
		said = target + " is fenced: it does not start as primary until it is released."
	case runbooks.KindRelease:
		said = target + " is primary again, in a new epoch."
	case runbooks.KindAdopt:
		said = target + " is on record as the primary; the boot gates are active."
	}
	if said != "" {
		said += "\n"
	}
	return said + "Next:  watchdog status\n"
}
