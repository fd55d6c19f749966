package alerts

import (
	"strings"
	"time"
)

// composer makes messages of incidents; it has no state.
type composer struct {
	catalogue Catalogue
	cluster   string
	location  *time.Location
	details   func(Condition) []string
}

const (
	localLayout = "2006-01-02 15:04:05 MST"
	utcLayout   = "15:04:05 UTC"
)

// compose writes the message of one event; also lists what the incident explains.
func (c composer) compose(in *Incident, e Event, also []Condition, now time.Time) Message {
	cond := in.Condition
	text := c.catalogue.phrase(cond.Code)(Facts{Cluster: clean(c.cluster, maxTitle), Subject: clean(cond.Subject, maxTitle)})
	m := Message{
		Key: in.Key, Incident: in.ID(), Instance: in.Instance, Event: e, At: now,
		Code: cond.Code, Subject: clean(cond.Subject, maxTitle), Severity: cond.Severity,
		Title:   clean("["+c.severity(cond.Severity)+"] "+text.Subject+" ("+in.ID()+")", maxTitle),
		Lead:    c.lead(in, e, now),
		Details: cleanLines(c.details(cond)),
	}
	m.Body = c.body(in, e, text, m, also)
	return m
}

func (c composer) severity(s Severity) string {
	w := c.catalogue.Words
	switch s {
	case SeverityPage:
		return w.Page
	case SeverityWarning:
		return w.Warning
	default:
		return w.Info
	}
}

func (c composer) lead(in *Incident, e Event, now time.Time) string {
	w := c.catalogue.Words
	if e == EventResolved {
		// It ended when the condition went, not when the hold-down was over.
		end := in.GoneSince
		return w.Resolved(c.local(end), utc(end), lasted(in.FirstSeen, end))
	}
	return w.Firing(c.local(in.FirstSeen), utc(in.FirstSeen), lasted(in.FirstSeen, now), in.Instance)
}

func (c composer) body(in *Incident, e Event, t Text, m Message, also []Condition) string {
	w, cond := c.catalogue.Words, in.Condition
	var b paragraphs
	b.add(m.Lead)
	b.add(t.Sentence)
	if cond.Text != "" {
		b.add(w.Observed + ": " + clean(cond.Text, maxLine))
	}
	heading := w.Also
	if e == EventResolved {
		heading = w.Still
	} else {
		b.add(w.Meaning + ": " + t.Meaning)
	}
	b.list(w.Evidence, cleanLines(cond.Evidence))
	b.list(heading, describe(also))
	b.list(w.Details, m.Details)
	if e == EventFiring {
		b.list(w.First, commands(t.Action, cond.Hint))
	}
	b.add(w.Incident(m.Incident, m.Code, m.Subject, cond.Hold.String()))
	return b.String()
}

func describe(also []Condition) []string {
	var lines []string
	for _, c := range also {
		line := c.Code + " (" + c.Subject + ")"
		if c.Text != "" {
			line += ": " + c.Text
		}
		lines = append(lines, line)
	}
	return cleanLines(lines)
}

func commands(action, hint string) []string {
	lines := cleanLines([]string{action, hint})
	if lines[1] == "" || lines[1] == lines[0] {
		return lines[:1]
	}
	return lines
}

// footer says who sends, who is not heard, and whether the message is late.
func (c composer) footer(e *entry, p PeerView, now time.Time) []string {
	w := c.catalogue.Words
	lines := []string{w.SentBy(p.Self, p.Alive)}
	if missing := p.missing(); len(missing) > 0 && !e.Local {
		lines = append(lines, w.Alone(missing))
	}
	if e.Attempts > 1 || since(e.Queued, now) > time.Minute {
		lines = append(lines, w.Late(c.local(e.Queued), lasted(e.Queued, now), e.Attempts))
	}
	return cleanLines(lines)
}

func (c composer) local(t time.Time) string { return t.In(c.location).Format(localLayout) }

func utc(t time.Time) string { return t.UTC().Format(utcLayout) }

func lasted(from, to time.Time) string {
	d := since(from, to)
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// paragraphs joins blocks of text by empty lines.
type paragraphs struct{ blocks []string }

func (p *paragraphs) add(s string) { p.blocks = append(p.blocks, s) }

func (p *paragraphs) list(heading string, lines []string) {
	if len(lines) > 0 {
		p.add(heading + ":\n  " + strings.Join(lines, "\n  "))
	}
}

// String is the text, ended by a newline.
func (p *paragraphs) String() string { return strings.Join(p.blocks, "\n\n") + "\n" }
