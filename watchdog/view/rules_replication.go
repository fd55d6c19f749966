package view

import (
	"fmt"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// link is what one side says of the replication connection. The zero value
// knows nothing.
type link uint8

const (
	linkUnknown link = iota
	linkUp
	linkDown
)

// replication raises ReplicationDown for each server that should be a standby.
func (j *judgement) replication() {
	for _, a := range j.servers {
		if a.Expected != replication.RoleStandby || a.Standing == StandingPrimary {
			continue
		}
		down, why := j.linkBroken(a)
		if !down {
			continue
		}
		c := finding{
			code: ReplicationDown, subject: a.Node, evidence: append(j.linkEvidence(a.Node), j.evidence(a.Node)...),
			text: fmt.Sprintf("The standby %s receives no WAL: %s; what is written now exists on one server only.", a.Node, why),
		}
		if j.Held(a.Node) != "" {
			// After a confirmed fence the missing standby is known until it rejoins.
			c.severity = warning()
		}
		j.raise(c)
	}
}

// linkBroken weighs both ends. Down from the standby's end is decisive; the
// primary's end decides where the standby's is not known.
func (j *judgement) linkBroken(a Appraisal) (bool, string) {
	receiver, receiverWhy := j.receiverLink(a)
	sender, senderWhy := j.senderLink()
	switch {
	case receiver == linkDown:
		return true, receiverWhy
	case sender == linkDown:
		return true, senderWhy
	case a.Standing == StandingBad && sender != linkUp:
		return true, "its PostgreSQL " + verdictWords(a.Best.Verdict)
	default:
		return false, ""
	}
}

// receiverLink reads the standby's end: message ages, not the word "streaming".
func (j *judgement) receiverLink(a Appraisal) (link, string) {
	if a.Standing != StandingStandby {
		return linkUnknown, ""
	}
	s, ok := newestStatus(j.Sightings(a.Node))
	if !ok || !s.statusFresh(j.limits) || !s.Status.InRecovery {
		return linkUnknown, ""
	}
	r := s.Status.Receiver
	switch {
	case r == nil:
		return linkDown, "it has no connection to its primary"
	case r.Status != "streaming":
		return linkDown, fmt.Sprintf("its connection is in state %q", r.Status)
	}
	if age, _ := receivedAge(s, j.limits); age > j.limits.MessageStale {
		return linkDown, fmt.Sprintf("its connection says streaming, but nothing has come for %s", Span(age))
	}
	return linkUp, ""
}

// senderLink reads the primary's end. Rows carry no node names, so with more
// than one standby only the absence of every row is a finding.
func (j *judgement) senderLink() (link, string) {
	for _, p := range j.servers {
		if p.Standing != StandingPrimary || p.ByWAL {
			continue
		}
		s, ok := newestStatus(j.Sightings(p.Node))
		if !ok || !s.statusFresh(j.limits) || s.Status.InRecovery {
			return linkUnknown, ""
		}
		return senderRows(s, j.limits)
	}
	return linkUnknown, ""
}

func senderRows(s Sighting, l Limits) (link, string) {
	streaming := 0
	for _, row := range s.Status.Standbys {
		if row.State != "streaming" {
			continue
		}
		streaming++
		if row.ReplyAge+s.StatusAge <= l.MessageStale {
			return linkUp, ""
		}
	}
	if streaming > 0 {
		return linkDown, fmt.Sprintf("the primary %s has had no reply from it for more than %s", s.Node, Span(l.MessageStale))
	}
	return linkDown, fmt.Sprintf("the primary %s streams to nobody", s.Node)
}

// linkEvidence says what both ends told last.
func (j *judgement) linkEvidence(standby string) []string {
	var lines []string
	for _, a := range j.servers {
		s, ok := newestStatus(j.Sightings(a.Node))
		switch {
		case !ok:
			lines = append(lines, fmt.Sprintf("nobody has an SQL status of %s", a.Node))
		case a.Node == standby && s.Status.Receiver != nil:
			lines = append(lines, fmt.Sprintf("%s: WAL receiver of %s is %s, last message %s before, read %s ago", s.Observer, a.Node,
				s.Status.Receiver.Status, Span(max(0, s.Status.Receiver.MessageAge)), Span(s.StatusAge)))
		case a.Node == standby:
			lines = append(lines, fmt.Sprintf("%s: %s has no WAL receiver, read %s ago", s.Observer, a.Node, Span(s.StatusAge)))
		default:
			lines = append(lines, fmt.Sprintf("%s: %s lists %d standbys, read %s ago", s.Observer, a.Node, len(s.Status.Standbys), Span(s.StatusAge)))
		}
	}
	return lines
}
