package view

import (
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// edge gives the direct measurement of to by from, aged.
func (v View) edge(from, to string) (EdgeReport, bool) {
	h, ok := v.Reports[from]
	if !ok {
		return EdgeReport{}, false
	}
	for _, e := range h.Report.Edges {
		if e.Node == to {
			e.Age, e.Answered = older(e.Age, h.Heard), older(e.Answered, h.Heard)
			return e, true
		}
	}
	return EdgeReport{}, false
}

// reach is what the direct path to a node shows.
type reach uint8

const (
	reachUnknown reach = iota // not measured
	reachOK
	reachDead // tried, and silent for longer than PeerSilence
)

func (j *judgement) reachOf(from, to string) reach {
	e, ok := j.edge(from, to)
	switch {
	case !ok || e.Age < 0:
		return reachUnknown
	case e.Answered >= 0 && e.Answered <= j.limits.PeerSilence:
		return reachOK
	case e.Answered < 0 && j.Up < j.limits.Grace:
		return reachUnknown
	default:
		return reachDead
	}
}

// peers raises PeerUnreachable and PeerPathPartial for every other node. Gossip
// alone decides nothing: a third member hides a cut, and a dead gossip port is
// not a dead node.
func (j *judgement) peers() {
	for _, n := range j.Nodes {
		if n.Name == j.Self {
			continue
		}
		h, heard := j.Reports[n.Name]
		silent := heard && h.Heard > j.limits.PeerSilence || !heard && j.Up >= j.limits.Grace
		j.peer(n.Name, silent, heard && h.Report.PlannedStop)
	}
}

func (j *judgement) peer(node string, silent, planned bool) {
	reach := j.reachOf(j.Self, node)
	switch {
	case planned && reach != reachOK:
		j.plannedStop(node)
	case silent && reach != reachOK:
		j.raise(finding{
			code: PeerUnreachable, subject: node, evidence: j.peerEvidence(node),
			text: fmt.Sprintf("The watchdog on %s has been silent for %s and %s cannot reach it%s.%s", node, j.heardWords(node), j.Self, j.othersReach(node), j.alone()),
		})
	case silent:
		j.raise(finding{
			code: PeerPathPartial, subject: node, evidence: j.peerEvidence(node),
			text: fmt.Sprintf("%s reaches the watchdog on %s, but has had no gossip from it for %s: look at UDP and TCP of the gossip port.",
				j.Self, node, j.heardWords(node)),
		})
	case reach == reachDead && j.triedSince(node):
		first, second := min(j.Self, node), max(j.Self, node)
		j.raise(finding{
			code: PeerUnreachable, subject: first + "-" + second, evidence: j.peerEvidence(node),
			text: fmt.Sprintf("%s and %s cannot reach each other directly, while both are alive: %s still hears %s through another node%s.",
				first, second, j.Self, node, j.oneWay(node)),
		})
	}
}

// triedSince reports whether this node has tried the direct path since the other
// one is heard: one that has just come back was out of reach a moment before.
func (j *judgement) triedSince(node string) bool {
	e, ok := j.edge(j.Self, node)
	return ok && e.Age >= 0 && e.Age < j.Reports[node].Present
}

// plannedStop pages nobody; a service that stays stopped is told by mail.
func (j *judgement) plannedStop(node string) {
	j.raise(finding{
		code: PeerUnreachable, subject: node, severity: warning(), hold: ptr(j.limits.HoldPlannedStop),
		evidence: j.peerEvidence(node),
		text:     fmt.Sprintf("The watchdog on %s was stopped on purpose %s ago and has not come back.", node, j.heardWords(node)),
	})
}

// othersReach names the nodes that still reach the silent one: then the network
// is cut, not the node dead.
func (j *judgement) othersReach(node string) string {
	var who []string
	for _, n := range j.Nodes {
		h, ok := j.Reports[n.Name]
		if ok && n.Name != j.Self && n.Name != node && h.Heard <= j.limits.PeerSilence && j.reachOf(n.Name, node) == reachOK {
			who = append(who, n.Name)
		}
	}
	if len(who) > 0 {
		return fmt.Sprintf("; %s still does, so the network is cut and %s is alive", list(who), node)
	}
	for _, s := range j.Sightings(node) {
		if s.Self && s.speaks(j.limits) {
			return "; its PostgreSQL still answers"
		}
	}
	return ""
}

func (j *judgement) oneWay(node string) string {
	if j.reachOf(node, j.Self) == reachOK {
		return fmt.Sprintf(" (one way: %s does reach %s)", node, j.Self)
	}
	return ""
}

func (j *judgement) heardWords(node string) string {
	h, ok := j.Reports[node]
	if !ok {
		return fmt.Sprintf("%s (never heard since this service started)", Span(j.Up))
	}
	return Span(h.Heard)
}

func (j *judgement) peerEvidence(node string) []string {
	lines := []string{fmt.Sprintf("%s last heard %s %s ago", j.Self, node, j.heardWords(node))}
	if alive, ok := j.Alive[node]; ok {
		lines = append(lines, fmt.Sprintf("%s: gossip membership lists %s as alive: %t (a hint)", j.Self, node, alive))
	}
	for _, from := range j.observers() {
		for _, to := range []string{node, j.Self} {
			e, ok := j.edge(from, to)
			if !ok || from == to || to == j.Self && from != node {
				continue
			}
			lines = append(lines, edgeLine(from, e))
		}
	}
	return lines
}

func edgeLine(from string, e EdgeReport) string {
	switch {
	case e.Age < 0:
		return fmt.Sprintf("%s has not tried the control API of %s yet", from, e.Node)
	case e.OK:
		return fmt.Sprintf("%s reached the control API of %s %s ago in %s", from, e.Node, Span(e.Answered), e.RTT.Round(100*time.Microsecond))
	case e.Answered < 0:
		return fmt.Sprintf("%s never reached the control API of %s: %s", from, e.Node, e.Detail)
	default:
		return fmt.Sprintf("%s last reached the control API of %s %s ago: %s", from, e.Node, Span(e.Answered), e.Detail)
	}
}

// application raises AppHealthFailing when no vantage point gets a good answer.
func (j *judgement) application() {
	var lines, who []string
	var worst *AppReport
	for _, n := range j.observers() {
		h, ok := j.Reports[n]
		if !ok || h.Report.App == nil {
			continue
		}
		app := *h.Report.App
		app.Age = older(app.Age, h.Heard)
		if app.Age < 0 || app.Age > j.limits.StatusFresh {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s: %s answered %s, %d misses in a row, %s ago", n, app.URL, appWords(app), app.Misses, Span(app.Age)))
		if app.OK {
			return
		}
		if app.Misses >= j.limits.AppMisses {
			who, worst = append(who, n), &app
		}
	}
	if worst == nil {
		return
	}
	j.raise(finding{
		code: AppHealthFailing, subject: SubjectApp, evidence: lines,
		text: fmt.Sprintf("The application fails its health check %s (%s), seen by %s.", worst.URL, appWords(*worst), list(who)),
	})
}

func appWords(a AppReport) string {
	switch {
	case a.OK:
		return fmt.Sprintf("ok (%d)", a.Status)
	case a.Status == 0:
		return "nothing: " + orUnknown(a.Detail)
	case a.Detail == "":
		return fmt.Sprintf("status %d", a.Status)
	default:
		return fmt.Sprintf("status %d: %s", a.Status, a.Detail)
	}
}

// samples raises NoSample where a rule cannot judge.
func (j *judgement) samples() {
	if j.Up < j.limits.Grace {
		return
	}
	for _, a := range j.servers {
		text := ""
		switch {
		case a.Standing == StandingUnknown:
			text = fmt.Sprintf("Nobody has a sample of PostgreSQL of %s that is younger than %s: it is not watched.", a.Node, Span(j.limits.Fresh))
		case a.Standing == StandingAlive:
			text = fmt.Sprintf("PostgreSQL of %s is alive, but it %s: its role cannot be told.", a.Node, verdictWords(a.Best.Verdict))
		case !a.ByWAL && a.Standing != StandingBad && j.statusMissing(a.Node):
			text = fmt.Sprintf("PostgreSQL of %s answers, but nobody has read its SQL status for %s: replication is not watched there.", a.Node, Span(j.limits.StatusFresh))
		case j.historyMissing(a):
			text = fmt.Sprintf("The history of timeline %d cannot be read from PostgreSQL of %s: what it holds cannot be compared with anybody's.", a.Best.Timeline, a.Node)
		default:
			continue
		}
		c := finding{code: NoSample, subject: a.Node, text: text, evidence: j.evidence(a.Node)}
		if !j.anyPrimary() && a.Expected != replication.RoleStandby && a.Standing != StandingStandby {
			c.severity = page() // it may be that there is no primary, and nobody can tell
		}
		j.raise(c)
	}
}

func (j *judgement) statusMissing(node string) bool {
	s, ok := newestStatus(j.Sightings(node))
	return !ok || !s.statusFresh(j.limits)
}
