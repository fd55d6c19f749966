package runbooks

import (
	"fmt"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// check is one preflight check: its gate line, and the refusal that stands
// behind it when it is not ok.
type check struct {
	gate Gate
	exit int
	rule string
}

func ok(name, format string, a ...any) check {
	return check{gate: Gate{Name: name, OK: true, Reason: fmt.Sprintf(format, a...)}}
}

func no(name string, exit int, rule, hint, format string, a ...any) check {
	return check{gate: Gate{Name: name, Reason: fmt.Sprintf(format, a...), Hint: hint}, exit: exit, rule: rule}
}

// settle writes the checks into the plan; the first that fails is its refusal.
func (p *Plan) settle(checks []check) {
	for _, c := range checks {
		p.Gates = append(p.Gates, c.gate)
		if !c.gate.OK && p.Refusal == nil {
			p.Refusal = &Refusal{Exit: c.exit, Rule: c.rule, Gate: c.gate.Name, Reason: c.gate.Reason, Hint: c.gate.Hint}
		}
	}
}

func checkState(f Facts) check {
	if len(f.Faults) > 0 {
		return no("state", ExitRefused, "11", "look at the file, move it aside only when you know what it said",
			"this node cannot trust its own records: %s", strings.Join(f.Faults, "; "))
	}
	return ok("state", "records are readable")
}

func checkAdopted(f Facts) check {
	if f.Own.Epoch.Zero() {
		return no("adopted", ExitRefused, "5", "watchdog adopt NODE", "this cluster was never adopted: no epoch is recorded")
	}
	return ok("adopted", "epoch %d, primary %s", f.Own.Epoch.Number, f.Own.Epoch.Primary)
}

// checkOwner wants the plan to be made by the service that would carry it out:
// that of the standby. The two services differ about who that is while one has
// not heard of the newest epoch, and the wrong one would fence itself.
func checkOwner(f Facts, standby NodeFacts) check {
	if f.Self != standby.Node {
		return no("owner", ExitUnavailable, "5", "the same command again: the nodes tell each other of epochs every few seconds",
			"this runs in the service of %s, and %s was asked: one of them does not know the newest epoch yet", standby.Node, f.Self)
	}
	return ok("owner", "%s carries it out", f.Self)
}

// checkEpoch refuses to command from behind: a node that answers knows a later
// epoch, and a lower one never commands it (DESIGN rule 5).
func checkEpoch(f Facts) check {
	for _, n := range f.Nodes {
		if n.Answers && n.Durable != nil && n.Durable.Epoch.Number > f.Own.Epoch.Number {
			return no("epoch", ExitRefused, "5", "the same command again, when this node has heard of it",
				"%s knows epoch %d, this node has epoch %d", n.Node, n.Durable.Epoch.Number, f.Own.Epoch.Number)
		}
	}
	return ok("epoch", "no node that answers knows a later epoch")
}

// checkOperation refuses a second operation anywhere in the cluster.
func checkOperation(f Facts) check {
	if c, open := openOn(f.Self, f.Own); open {
		return c
	}
	for _, n := range f.Nodes {
		if n.Node == f.Self || n.Durable == nil {
			continue
		}
		if c, open := openOn(n.Node, *n.Durable); open {
			return c
		}
	}
	return ok("operation", "no other operation is open")
}

func openOn(node string, d fence.Durable) (check, bool) {
	if l := d.Lock; l != nil {
		return no("operation", ExitLocked, "10", "watchdog ops show "+l.Operation,
			"%s %s of %s is open since %s (%s)", l.Kind, l.Operation, l.Owner, l.Since.Format(time.TimeOnly), l.By), true
	}
	if len(d.Intents) > 0 {
		i := d.Intents[0]
		return no("operation", ExitLocked, "3", "watchdog ops show "+i.Operation,
			"%s holds the open intent of %s %s (owner %s)", node, i.Kind, i.Operation, i.Owner), true
	}
	return check{}, false
}

// checkHeld refuses to promote a node that is itself fenced or ordered to be.
func checkHeld(f Facts, target string) check {
	n, _ := f.Node(target)
	d := n.Durable
	if target == f.Self {
		d = &f.Own
	}
	switch {
	case d == nil:
		return no("target-held", ExitUnavailable, "2", "watchdog status", "%s does not say whether it is fenced", target)
	case d.Marker != nil:
		return no("target-held", ExitRefused, "2", "watchdog release "+target,
			"%s is fenced itself by operation %s (%s)", target, d.Marker.Operation, d.Marker.Reason)
	}
	if o, stands := d.StandingOrder(target); stands {
		return no("target-held", ExitRefused, "6", "watchdog status", "a fence order of operation %s stands against %s", o.Operation, target)
	}
	return ok("target-held", "%s is not fenced", target)
}

// checkTarget wants the standby to be a standby that answers now.
func checkTarget(target NodeFacts) check {
	v, seen := target.Verdict()
	switch {
	case target.Status == nil || v == replication.VerdictUnknown:
		return no("target", ExitUnavailable, "1", "watchdog status", "nothing is known yet of %s's PostgreSQL", target.Node)
	case v != replication.VerdictHealthy:
		return no("target", ExitRefused, "1", "watchdog status", "%s's PostgreSQL is %s", target.Node, v)
	case seen.Role == replication.RolePrimary || !target.Status.InRecovery:
		return no("target", ExitRefused, "1", "watchdog status", "%s is out of recovery: it is a primary already", target.Node)
	}
	return ok("target", "%s is in recovery, timeline %d, received %s", target.Node, target.Status.Timeline, received(target))
}

// checkPrimary holds DESIGN rule 1: what the verdict on the old primary allows.
func checkPrimary(f Facts, primary, standby NodeFacts, r Request) check {
	const name = "primary"
	v, seen := primary.Verdict()
	if lifeless(v) && standby.Advanced >= 0 && standby.Advanced < 3*time.Second {
		return no(name, ExitRefused, "1", "watchdog why",
			"%s is %s, but %s received new WAL from it %s ago: a primary whose standby keeps receiving is alive",
			primary.Node, v, standby.Node, standby.Advanced.Round(100*time.Millisecond))
	}
	said := fmt.Sprintf("%s is %s, seen by %s %s ago", primary.Node, v, seen.Observer, seen.Age.Round(100*time.Millisecond))
	switch {
	case lifeless(v):
		return ok(name, "%s", said)
	case v == replication.VerdictHealthy:
		if seen.Role == replication.RoleStandby {
			return ok(name, "%s, but in recovery: it is held and no primary now", said)
		}
		return no(name, ExitRefused, "1", "a planned exchange of a healthy pair is a switchover, not a promotion",
			"%s: the primary answers", said)
	case v == replication.VerdictUnknown:
		return no(name, ExitUnavailable, "1", "watchdog status", "no probe has spoken about %s yet", primary.Node)
	}
	if r.Reason == "" {
		return no(name, ExitRefused, "1", `--reason "TEXT" when it must be replaced all the same`, "%s", said)
	}
	return ok(name, "%s; replaced all the same, reason %q", said, r.Reason)
}

// lifeless lists the verdicts that allow a promotion without a reason.
func lifeless(v replication.Verdict) bool {
	switch v {
	case replication.VerdictDown, replication.VerdictUnreachable, replication.VerdictHung, replication.VerdictStorageStalled:
		return true
	}
	return false
}

// checkFurther refuses, by name, while a further standby is ahead of the one
// that would be promoted by more than slack bytes: a cluster is a pair, and what
// it holds would be lost.
func checkFurther(f Facts, primary, standby NodeFacts, slack uint64) check {
	if c := checkUnwatched(primary, standby, slack); !c.gate.OK {
		return c
	}
	for _, n := range f.Nodes {
		if n.Witness || n.Node == primary.Node || n.Node == standby.Node {
			continue
		}
		at := received(n)
		if last, seen := n.Last(); seen {
			at = max(at, last.Position)
		}
		if at.Since(received(standby)) > slack {
			return no("further", ExitRefused, "1", "watchdog status", "%s is ahead of %s: it holds WAL up to %s, %s up to %s",
				n.Node, standby.Node, at, standby.Node, received(standby))
		}
	}
	return ok("further", "no further standby is ahead")
}

// checkOtherPrimaries refuses while a node other than the one that this plan
// fences runs as primary of this system identifier.
func checkOtherPrimaries(f Facts, except ...string) check {
	for _, n := range f.Nodes {
		if contains(except, n.Node) || recoversNow(f, n) {
			continue
		}
		last, seen := n.Last()
		if (n.RunningKnown && n.RunningAsPrimary) || (seen && last.Role == replication.RolePrimary && last.Answered < freshness) {
			return no("other-primary", ExitRefused, "1", "watchdog status", "%s runs as primary", n.Node)
		}
	}
	return ok("other-primary", "no other primary answers")
}

// recoversNow says that the own server was asked just now and is in recovery:
// then what others saw of it seconds ago, before it was started anew, is past.
func recoversNow(f Facts, n NodeFacts) bool {
	return n.Node == f.Self && !n.RunningAsPrimary && n.Status != nil && n.Status.InRecovery && n.StatusAge == 0
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// checkIdentity holds DESIGN rule 13: same system identifier, same major
// version.
func checkIdentity(f Facts, nodes ...NodeFacts) check {
	major := 0
	for _, n := range nodes {
		for _, s := range n.Seen {
			if s.SystemID != 0 && f.Own.SystemID != 0 && s.SystemID != f.Own.SystemID {
				return no("system-id", ExitRefused, "13", "watchdog status",
					"%s has system identifier %s, this cluster is %s", n.Node, s.SystemID, f.Own.SystemID)
			}
		}
		if n.Status == nil || n.Status.ServerVersion == 0 {
			continue
		}
		m := n.Status.ServerVersion / 10000
		if major != 0 && m != major {
			return no("version", ExitRefused, "13", "watchdog status", "major versions differ: %d and %d", major, m)
		}
		major = m
	}
	return ok("system-id", "system identifier %s, PostgreSQL %d", f.Own.SystemID, major)
}

// checkTimeline wants the standby on the timeline that the primary was last
// seen on: any other branch has to be proven by hand.
func checkTimeline(primary, standby NodeFacts) check {
	last, seen := primary.Last()
	if !seen || standby.Status == nil || standby.Status.Timeline == 0 {
		return ok("timeline", "%s was never seen by this service: timelines are compared after the fence", primary.Node)
	}
	if last.Timeline != standby.Status.Timeline && !descends(standby, last) {
		return no("timeline", ExitRefused, "13", "watchdog status", "%s was on timeline %d, %s is on %d: the branch is not proven",
			primary.Node, last.Timeline, standby.Node, standby.Status.Timeline)
	}
	if last.Timeline != standby.Status.Timeline {
		return ok("timeline", "%s is on timeline %d, which holds all that %s was seen to write on %d",
			standby.Node, standby.Status.Timeline, primary.Node, last.Timeline)
	}
	return ok("timeline", "both on timeline %d", last.Timeline)
}

// descends says whether the standby's timeline left the one that the primary was
// last seen on after everything that the primary was seen to write there: it was
// promoted or released a moment before it fell silent.
func descends(standby NodeFacts, last Seen) bool {
	for _, h := range standby.History {
		if h.Timeline == last.Timeline && h.SwitchPoint >= last.Position {
			return true
		}
	}
	return false
}

// checkReplay refuses a standby that holds WAL back: promotion would apply it
// all at once, or wait for it.
func checkReplay(standby NodeFacts) check {
	s := standby.Status
	if s == nil || received(standby) == 0 {
		return no("replay", ExitUnavailable, "13", "watchdog status", "replay on %s is not known", standby.Node)
	}
	pending := s.Receive.Since(s.Replay)
	switch {
	case s.ReplayPaused && pending > 0:
		return no("replay", ExitRefused, "13", "SELECT pg_wal_replay_resume() on "+standby.Node,
			"replay on %s is paused with %s pending", standby.Node, sizeText(pending))
	case s.ApplyDelay > 0 && pending > 0:
		return no("replay", ExitRefused, "13", "set recovery_min_apply_delay to 0 on "+standby.Node,
			"replay on %s is delayed by %s with %s pending", standby.Node, s.ApplyDelay, sizeText(pending))
	}
	return ok("replay", "replayed %s, %s pending", s.Replay, sizeText(pending))
}

// planFence chooses what the fence of node would be and whether it suffices.
func planFence(f Facts, node string, r Request) (FencePlan, check) {
	p := FencePlan{Node: node}
	for _, d := range f.Devices[node] {
		p.Devices = append(p.Devices, d.Name)
		// They stand in the order in which they are tried: the first that is
		// ready says what the fence will be, not the strongest. A peer that
		// answers seals, and the power switch behind it is not asked.
		if d.Ready && p.Grade == fence.GradeNone {
			p.Grade = d.Grade
		}
		p.Evidence = append(p.Evidence, fence.Evidence{Observer: f.Self, Text: d.Name + ": " + d.Text, At: f.At})
	}
	if r.StatedOff != "" && r.StatedOff != node {
		// A slip: it must neither go on record nor stand in the command that the
		// plan prints.
		return p, no("fence", ExitRefused, "2", "if that one is off: --i-have-powered-off "+node,
			"--i-have-powered-off names %q, but this fences %q", r.StatedOff, node)
	}
	if r.StatedOff == node {
		p.Devices = append(p.Devices, "stated")
		p.Grade = max(p.Grade, fence.GradeStated)
	}
	if p.Grade < fence.GradeStated {
		return p, no("fence", ExitRefused, "2", "switch "+node+" off by hand, then add --i-have-powered-off "+node,
			"no device can fence %s now: unreachable is not fenced", node)
	}
	return p, ok("fence", "%s can be fenced, grade %s", node, p.Grade)
}

// phrase is what the operator types besides the node's name: the weaker the
// fence, the more words.
func phrase(node string, g fence.Grade) string {
	switch g {
	case fence.GradePower, fence.GradeSealed:
		return ""
	case fence.GradeIsolated:
		return node + " is cut off"
	}
	return "I have powered off " + node
}
