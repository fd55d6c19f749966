package runbooks

import (
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// PlanPromote plans to make the pair's only standby the primary. It is pure:
// the plan says what is true at f.At, which gate stands in the way, and what the
// steps would be. id names the plan and the operation.
func PlanPromote(f Facts, r Request, id string) Plan {
	p := newPlan(f, KindPromote, id)
	early := []check{checkState(f), checkAdopted(f)}
	if !early[0].gate.OK || !early[1].gate.OK {
		p.settle(early)
		return p
	}
	primary, known := f.Node(f.Own.Epoch.Primary)
	if !known || primary.Witness {
		p.settle(append(early, no("primary", ExitRefused, "1", "watchdog config show", "%q, the primary of epoch %d, is not a node of this configuration",
			f.Own.Epoch.Primary, f.Own.Epoch.Number)))
		return p
	}
	standby, found := f.Other(f.Own.Epoch.Primary)
	if !found {
		p.settle(append(early, no("target", ExitRefused, "1", "watchdog config show", "no standby of %s is configured", primary.Node)))
		return p
	}
	p.Target = standby.Node
	if c, done := promoteNode(f, r, primary, standby); done {
		p.Already = c.gate.OK
		p.Target = r.Node
		p.settle([]check{c})
		return p
	}
	p.Loss = assessLoss(f, primary, standby)
	var fenceable check
	p.Fence, fenceable = planFence(f, primary.Node, r)
	checks := append(early, checkOwner(f, standby), checkOperation(f), checkTarget(standby), checkHeld(f, standby.Node),
		checkPrimary(f, primary, standby, r), checkOtherPrimaries(f, primary.Node), checkFurther(f, primary, standby, 0),
		checkIdentity(f, primary, standby), checkTimeline(primary, standby), checkReplay(standby), fenceable)
	loss := judgeLoss(p.Loss, r, p.Fence.Grade == fence.GradeSealed || peerAnswers(primary))
	checks = append(checks, check{gate: loss, exit: ExitRefused, rule: "8"})
	p.Why = promoteWhy(primary, standby)
	p.Phrase = phrase(primary.Node, p.Fence.Grade)
	p.Steps = promoteSteps(f.App, primary, standby, p.Fence)
	p.settle(checks)
	if p.Refusal == nil || p.Refusal.Gate == "loss" {
		p.Next = promoteNext(p, r)
	}
	return p
}

func newPlan(f Facts, k Kind, id string) Plan {
	return Plan{ID: id, Kind: k, Cluster: f.Cluster, Owner: f.Self, Epoch: f.Own.Epoch, MadeAt: f.At,
		ValidFor: Seconds(f.ValidFor / time.Second)}
}

func peerAnswers(n NodeFacts) bool { return n.Answers && n.Durable != nil }

// promoteNode judges the node that the operator named, if any.
func promoteNode(f Facts, r Request, primary, standby NodeFacts) (check, bool) {
	switch r.Node {
	case "", standby.Node:
		return check{}, false
	case primary.Node:
		v, _ := primary.Verdict()
		return ok("already", "%s is the primary of epoch %d already (its PostgreSQL is %s); nothing is done",
			primary.Node, f.Own.Epoch.Number, v), true
	}
	return no("target", ExitUsage, "1", "watchdog promote --confirm="+standby.Node,
		"%q is not the standby; the pair's only standby is %s", r.Node, standby.Node), true
}

func promoteWhy(primary, standby NodeFacts) []string {
	var why []string
	for _, s := range primary.Seen {
		line := fmt.Sprintf("%s sees %s %s for %s", s.Observer, primary.Node, s.Verdict, s.Since.Round(time.Second))
		if s.Cause != "" {
			line += " (" + s.Cause + ")"
		}
		why = append(why, line)
	}
	if primary.Answers {
		why = append(why, primary.Node+"'s service answers: it can be sealed, and its disk can be read")
	} else if primary.Silence != "" {
		why = append(why, primary.Node+"'s service does not answer: "+primary.Silence)
	}
	if standby.Status != nil && received(standby) != 0 {
		why = append(why, fmt.Sprintf("%s holds WAL up to %s", standby.Node, received(standby)))
	}
	return why
}

func promoteNext(p Plan, r Request) string {
	cmd := "watchdog promote --confirm"
	if r.Reason != "" {
		cmd += fmt.Sprintf(" --reason %q", r.Reason)
	}
	if r.StatedOff != "" {
		cmd += " --i-have-powered-off " + r.StatedOff
	}
	n, known := p.Loss.needed()
	switch {
	case known && n <= p.Loss.AllowedBytes:
	case known:
		cmd += " --accept-data-loss " + sizeArg(n)
	default:
		cmd += " --accept-data-loss unknown"
	}
	return cmd
}

// The step names of promote: stable, in the order of DESIGN section 5.
const (
	StepLock        = "lock"
	StepIntent      = "intent"
	StepStopApp     = "stop-app"
	StepFence       = "fence"
	StepLoss        = "end-of-wal"
	StepReplay      = "replay"
	StepFreeze      = "freeze"
	StepSlot        = "slot"
	StepEpoch       = "epoch"
	StepPromote     = "promote"
	StepVerify      = "verify"
	StepReleaseSync = "release-sync"
	StepCommit      = "commit"
	StepStartApp    = "start-app"
	StepCheckpoint  = "checkpoint"
	StepClose       = "close"
)

func promoteSteps(app AppFact, primary, standby NodeFacts, fp FencePlan) []StepLine {
	a, b := primary.Node, standby.Node
	lines := []StepLine{
		{Name: StepLock, Node: "all", Text: "take the operation lock on every node that answers", Limit: 5, IfFails: "released, nothing changed"},
		{Name: StepIntent, Node: "all", Text: "record the intent durably: no node that holds it starts as primary", Limit: 10, IfFails: "withdrawn, nothing changed"},
	}
	lines = append(lines, stopAppLine(app, a)...)
	lines = append(lines, []StepLine{
		{Name: StepFence, Node: a, Text: fenceText(a, fp), Limit: 120, IfFails: "no promotion (exit 5; 8 when the outcome is unknown)"},
		{Name: StepLoss, Node: a, Text: "compare the end of WAL on " + a + " with the accepted loss", Limit: 10, IfFails: "stop (exit 7)"},
		{Name: StepReplay, Node: b, Text: "replay everything that was received", Limit: 600, IfFails: "stop (exit 7)"},
		{Name: StepFreeze, Node: b, Text: "switch the WAL receiver off and compare the position with the plan", Limit: 30, IfFails: "stop (exit 7)"},
		{Name: StepSlot, Node: b, Text: "make the replication slot for " + a, Limit: 30, IfFails: "stop (exit 7)"},
		{Name: StepEpoch, Node: b, Text: "record the new epoch durably, on every node that answers", Limit: 10, IfFails: "stop (exit 7)"},
		{Name: StepPromote, Node: b, Text: "pg_promote", Limit: 60, IfFails: "stop (exit 7)", Final: true},
		{Name: StepVerify, Node: b, Text: "verify: out of recovery, new timeline, epoch row written", Limit: 30, IfFails: "stop (exit 7)"},
	}...)
	if standby.Status != nil && standby.Status.SynchronousStandbyNames != "" {
		lines = append(lines, StepLine{Name: StepReleaseSync, Node: b,
			Text: "release synchronous waiting: no standby is left to wait for", Limit: 30, IfFails: "stop (exit 7)"})
	}
	lines = append(lines, StepLine{Name: StepCommit, Node: b, Text: "prove a normal commit", Limit: 30, IfFails: "stop (exit 7)"})
	lines = append(lines, startAppLine(app, b)...)
	lines = append(lines,
		StepLine{Name: StepCheckpoint, Node: b, Text: "checkpoint, so that the old primary can be rewound later", Limit: 300, IfFails: "stop (exit 7)"},
		StepLine{Name: StepClose, Node: "all", Text: "close the intent everywhere and report", Limit: 10, IfFails: "stop (exit 7)"})
	return number(lines)
}

func number(lines []StepLine) []StepLine {
	for i := range lines {
		lines[i].N = i + 1
	}
	return lines
}

func fenceText(node string, fp FencePlan) string {
	if len(fp.Devices) == 0 {
		return "FENCE " + node + ": no device is configured"
	}
	return fmt.Sprintf("FENCE %s and prove it: %s, grade %s", node, join(fp.Devices), fp.Grade)
}

func join(list []string) string {
	s := ""
	for i, l := range list {
		if i > 0 {
			s += ", then "
		}
		s += l
	}
	return s
}

// Worse says why the fresh plan must not run under a confirmation that was
// given for the old one; empty when it may (DESIGN rule 11: evidence is re-read
// when the confirmation arrives).
func Worse(was, now Plan) string {
	switch {
	case !was.Epoch.Same(now.Epoch):
		return fmt.Sprintf("the epoch changed from %d to %d", was.Epoch.Number, now.Epoch.Number)
	case was.Kind != now.Kind || was.Target != now.Target || was.Fence.Node != now.Fence.Node:
		return "the plan is about other nodes now"
	case now.Refusal != nil && (was.Refusal == nil || was.Refusal.Gate != now.Refusal.Gate):
		return now.Refusal.Reason
	case now.Fence.Grade < was.Fence.Grade:
		return fmt.Sprintf("the fence would be %s, not %s", now.Fence.Grade, was.Fence.Grade)
	case lossGrew(was.Loss, now.Loss):
		return fmt.Sprintf("the loss grew: at least %s, was %s", sizeText(now.Loss.AtLeastBytes), sizeText(was.Loss.AtLeastBytes))
	}
	return ""
}

func lossGrew(was, now Loss) bool {
	if now.AtLeastBytes > was.AtLeastBytes {
		return true
	}
	wasN, wasKnown := was.needed()
	nowN, nowKnown := now.needed()
	return (wasKnown && !nowKnown) || (wasKnown && nowKnown && nowN > wasN)
}

// newEpoch is the epoch that promoting node will make.
func newEpoch(now fence.Epoch, node, random string) fence.Epoch {
	return fence.Epoch{Number: now.Number + 1, ID: random, Primary: node}
}
