package view

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

// Judge says what is wrong, combining all vantage points. It is pure: the same
// View, Limits and now give the same conditions in the same order. now is only
// printed, never subtracted from another machine's time: durations come from
// the ages in the View.
//
// Unknown counts neither as bad nor as good; where a rule lacks what it needs,
// NoSample says so. Holds are left to the caller: a condition is given from the
// first moment on, with its hold beside it.
func Judge(v View, l Limits, now time.Time) []alerts.Condition {
	j := judgement{View: v, limits: l, now: now}
	for _, n := range v.Servers() {
		j.servers = append(j.servers, Appraise(v, l, n))
	}
	j.survey()
	j.primaries()
	j.silence()
	j.systemIDs()
	j.timelines()
	j.wentBack()
	j.epochs()
	j.supersededLines()
	j.roles()
	j.commits()
	j.replication()
	j.lag()
	j.slots()
	j.disks()
	j.archivers()
	j.walArchive()
	j.upkeep()
	j.settings()
	j.peers()
	j.clocks()
	j.logins()
	j.services()
	j.application()
	j.operations()
	j.states()
	j.samples()
	j.ready()
	return j.conditions()
}

// judgement gathers findings while the rules run.
type judgement struct {
	View
	limits  Limits
	now     time.Time
	servers []Appraisal
	// told and healths are the fresh SQL answers; see survey.
	told, healths []Sighting
	found         []alerts.Condition
}

// finding is what a rule adds to the catalogue's entry.
type finding struct {
	code, subject, text string
	evidence            []string
	hint                string           // replaces the catalogue's
	severity            *alerts.Severity // replaces the catalogue's
	hold                *time.Duration   // replaces the catalogue's
	rise                *alerts.Rise     // what it becomes if its figure lasts
}

func (j *judgement) raise(c finding) {
	e, ok := Lookup(c.code)
	if !ok || j.raised(c.code, c.subject) { // a report may list one thing twice
		return
	}
	cond := alerts.Condition{
		Code: e.Code, Subject: c.subject, Severity: e.Severity, Hold: e.Hold(j.limits),
		Text: c.text, Evidence: c.evidence, Hint: strings.ReplaceAll(e.Hint, "NODE", c.subject),
		Runbook: e.Runbook, InhibitedBy: slices.Clone(e.InhibitedBy), NeverSilenced: e.NeverSilenced,
		Rise: c.rise,
	}
	if c.hint != "" {
		cond.Hint = c.hint
	}
	if c.severity != nil {
		cond.Severity = *c.severity
	}
	if c.hold != nil {
		cond.Hold = *c.hold
	}
	j.found = append(j.found, cond)
}

func (j *judgement) raised(code, subject string) bool {
	return slices.ContainsFunc(j.found, func(c alerts.Condition) bool { return c.Code == code && c.Subject == subject })
}

// conditions orders the findings and settles which of them explain others.
func (j *judgement) conditions() []alerts.Condition {
	slices.SortStableFunc(j.found, func(a, b alerts.Condition) int {
		return cmp.Or(cmp.Compare(rank(a.Code), rank(b.Code)), strings.Compare(a.Subject, b.Subject))
	})
	for i, c := range j.found {
		j.found[i].InhibitedBy = slices.DeleteFunc(c.InhibitedBy, func(code Code) bool { return !j.explains(code, c) })
	}
	return j.found
}

// explains reports whether an open incident of code would say all that c says.
// Inhibition goes by code alone, so that one wrong subject must not mute: an
// unreachable witness explains nothing about a standby.
func (j *judgement) explains(code Code, c alerts.Condition) bool {
	if c.Code == FailoverNotReady {
		return j.explainsReady(code, c.Subject)
	}
	if code == NoPrimary {
		return c.Code == ReplicationDown || c.Code == AppHealthFailing || c.Code == CommitsFailing ||
			c.Code == ReplicationLagBytes || c.Code == ReplicationLagTime || j.isPrimary(subjectNode(c.Subject))
	}
	some := false
	for _, other := range j.found {
		if other.Code != code {
			continue
		}
		if other.Subject != c.Subject && other.Subject != j.reader(c) {
			return false
		}
		some = true
	}
	return some
}

// reader is the standby that a slot of its partner is kept for; empty for a
// condition that is about no slot.
func (j *judgement) reader(c alerts.Condition) string {
	if c.Code != SlotInactive {
		return ""
	}
	return j.partner(subjectNode(c.Subject))
}

// isPrimary reports whether node is the one that should be primary.
func (j *judgement) isPrimary(node string) bool {
	return slices.ContainsFunc(j.servers, func(a Appraisal) bool { return a.Node == node && a.expectsPrimary() })
}

func (j *judgement) evidence(nodes ...string) []string {
	var lines []string
	for _, n := range nodes {
		lines = append(lines, evidenceOf(j.View, j.limits, n)...)
	}
	return lines
}

func (j *judgement) anyPrimary() bool {
	return slices.ContainsFunc(j.servers, func(a Appraisal) bool { return a.Standing == StandingPrimary })
}

func page() *alerts.Severity {
	s := alerts.SeverityPage
	return &s
}

func warning() *alerts.Severity {
	s := alerts.SeverityWarning
	return &s
}

func ptr(d time.Duration) *time.Duration { return &d }
