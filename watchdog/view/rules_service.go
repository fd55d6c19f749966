package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// services raises what is wrong with the watchdogs themselves.
func (j *judgement) services() {
	for _, n := range j.Nodes {
		h, ok := j.heardLately(n.Name)
		if !ok {
			continue
		}
		j.degraded(n, h)
		if n.Name == j.Self {
			continue
		}
		own := j.Reports[j.Self].Report
		if theirs := h.Report.Program; theirs != "" && own.Program != "" && theirs != own.Program {
			j.raise(finding{
				code: WatchdogVersionMismatch, subject: pairOf(j.Self, n.Name),
				text: fmt.Sprintf("The watchdogs differ in version: %s on %s, %s on %s.", own.Program, j.Self, theirs, n.Name),
				evidence: []string{fmt.Sprintf("%s runs %s", j.Self, own.Program),
					fmt.Sprintf("%s runs %s, heard %s ago", n.Name, theirs, Span(h.Heard))},
			})
		}
		if theirs := h.Report.ConfigHash; theirs != "" && own.ConfigHash != "" && theirs != own.ConfigHash {
			j.raise(finding{
				code: WatchdogConfigDrift, subject: pairOf(j.Self, n.Name),
				text: fmt.Sprintf("The configurations of %s and %s differ in settings that all nodes share.", j.Self, n.Name),
				evidence: []string{fmt.Sprintf("%s has configuration %s", j.Self, own.ConfigHash),
					fmt.Sprintf("%s has configuration %s, heard %s ago", n.Name, theirs, Span(h.Heard))},
			})
		}
	}
}

// pairOf names two nodes in one order from either side.
func pairOf(a, b string) string { return min(a, b) + "-" + max(a, b) }

// degraded says what a service cannot do of its own business.
func (j *judgement) degraded(n NodeInfo, h Heard) {
	faults := append([]string{}, h.Report.Host.Faults...)
	if gap := h.Report.Host.LoopGap; gap > j.limits.LoopLate {
		faults = append(faults, fmt.Sprintf("its loops woke up %s late in the last minute", Span(gap)))
	}
	for _, v := range h.Report.Host.Volumes {
		if old := v.Age + h.Heard; old > j.limits.VolumeFresh {
			faults = append(faults, fmt.Sprintf("the file system of %s has not been measured for %s", usesWords(v.Uses), Span(old)))
		}
	}
	if h.Report.Host.DataFreeBytes < 0 && !n.Witness && len(faults) == 0 && j.Up >= j.limits.Grace {
		faults = append(faults, "the free space of the data directory is not known")
	}
	if len(faults) == 0 {
		return
	}
	evidence := make([]string, len(faults))
	for i, f := range faults {
		evidence[i] = fmt.Sprintf("%s: %s, heard %s ago", n.Name, f, Span(h.Heard))
	}
	j.raise(finding{code: WatchdogDegraded, subject: n.Name, evidence: evidence,
		text: fmt.Sprintf("The watchdog on %s does not work as it should: %s.", n.Name, strings.Join(faults, "; "))})
}

// clocks raises ClockSkew from direct measurements, whose error is half the
// round trip at most.
func (j *judgement) clocks() {
	for _, from := range j.observers() {
		for _, n := range j.Nodes {
			e, ok := j.edge(from, n.Name)
			if !ok || n.Name == from || e.Answered < 0 || e.Answered > j.limits.StatusFresh {
				continue
			}
			apart := e.Skew.Abs() - e.RTT/2
			if apart <= j.limits.ClockSkew {
				continue
			}
			f := finding{code: ClockSkew, subject: pairOf(from, n.Name),
				text: fmt.Sprintf("The clocks of %s and %s are %s apart.", from, n.Name, Span(e.Skew.Abs())),
				evidence: []string{fmt.Sprintf("%s: the clock of %s is %s %s, give or take %s, measured %s ago", from, n.Name,
					Span(e.Skew.Abs()), ahead(e.Skew), (e.RTT / 2).Round(100*time.Microsecond), Span(e.Answered))}}
			if apart > j.limits.ClockSkewPage {
				f.severity = page()
			}
			j.raise(f)
		}
	}
}

func ahead(skew time.Duration) string {
	if skew > 0 {
		return "ahead"
	}
	return "behind"
}

// logins raises AuthBroken: a server that refuses the watching role, and
// passwords that end.
func (j *judgement) logins() {
	for _, a := range j.servers {
		var who []string
		for _, s := range a.Seen {
			if s.Verdict == replication.VerdictAuthRefused {
				who = append(who, s.Observer)
			}
		}
		if len(who) > 0 {
			j.raise(finding{code: AuthBroken, subject: a.Node, evidence: j.evidence(a.Node),
				text: fmt.Sprintf("PostgreSQL of %s refuses the login of the watchdog on %s: what happens there is not seen from there.", a.Node, list(who))})
		}
	}
	for _, s := range j.healths {
		for _, l := range s.Status.Health.Expiring {
			j.passwordEnds(s, l)
		}
	}
}

// passwordEnds goes by the primary's roles; a standby has the same ones.
func (j *judgement) passwordEnds(s Sighting, l replication.LoginRow) {
	if s.Status.InRecovery || !l.Expired && l.Left > j.limits.PasswordEnds {
		return
	}
	f := finding{code: AuthBroken, subject: s.Node + "/" + l.Role, severity: warning(),
		text:     fmt.Sprintf("The password of the role %s ends in %s.", l.Role, days(l.Left)),
		evidence: []string{s.read("password of %s is valid for %s more", l.Role, days(l.Left))}}
	if l.Expired {
		f.text = fmt.Sprintf("The password of the role %s has ended: no new connection of it is let in.", l.Role)
		f.evidence = []string{s.read("password of %s has ended", l.Role)}
		if l.Replication {
			f.severity = page()
		}
	}
	j.raise(f)
}
