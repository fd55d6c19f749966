package view

import (
	"fmt"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// CutOff reports whether the asking node's server is primary and nothing of any
// other node is seen: no report, no answer of its service, none of its server,
// and no reply of a standby. It may be this node that is cut off, and whoever is
// on the other side may be about to promote.
func (v View) CutOff(l Limits) bool {
	if v.Up < l.Grace || len(v.Nodes) < 2 || !v.ownPrimary(l) {
		return false
	}
	for _, n := range v.Nodes {
		if n.Name != v.Self && !v.gone(l, n.Name) {
			return false
		}
	}
	return true
}

// ownPrimary says that the own server answers this node as primary, and that no
// standby has replied to it lately.
func (v View) ownPrimary(l Limits) bool {
	for _, s := range v.Sightings(v.Self) {
		if !s.Self || !s.speaks(l) || s.Role != replication.RolePrimary {
			continue
		}
		if !s.statusFresh(l) {
			return false // who follows it is not known
		}
		for _, row := range s.Status.Standbys {
			if row.ReplyAge+s.StatusAge <= l.StatusFresh {
				return false
			}
		}
		return true
	}
	return false
}

// gone says that neither service nor server of a node shows any life here.
func (v View) gone(l Limits, node string) bool {
	if h, heard := v.Reports[node]; heard && h.Heard <= l.PeerSilence {
		return false
	}
	if e, measured := v.edge(v.Self, node); measured && e.Answered >= 0 && e.Answered <= l.PeerSilence {
		return false
	}
	for _, s := range v.Sightings(node) {
		if s.Self && (answers(s.Verdict) || s.Verdict == replication.VerdictAuthRefused || s.Verdict == replication.VerdictStarting) && s.fresh(l) {
			return false
		}
	}
	return true
}

// alone is what somebody must read who is told that a node is unreachable by the
// one node that may be the unreachable one.
func (j *judgement) alone() string {
	if !j.CutOff(j.limits) {
		return ""
	}
	who := fmt.Sprintf("it may be %s that is cut off", j.Self)
	for _, a := range j.servers {
		// A refusal is an answer of the other machine: the way to it is open.
		if _, refused := refusedFor(a.Seen, j.limits); refused && a.Node != j.Self {
			who = fmt.Sprintf("the machine of %s refuses connections, so that the way to it is open", a.Node)
		}
	}
	return fmt.Sprintf(" %s sees no other node at all: %s. It goes on as primary. "+
		"Promote nothing while it runs, and do not restart or fence it because of this alone: look at the network and at the other machine first.", j.Self, who)
}
