package runbooks

// The operations whose readiness is known beforehand.
const (
	ReadyToPromote = string(KindPromote)
	ReadyToSwitch  = "switchover"
)

// Readiness is the whole preflight of one operation, run while nobody wants it:
// what would stand in its way if it were typed now.
type Readiness struct {
	Operation string // ReadyToPromote or ReadyToSwitch
	Target    string // node that would become primary
	Gates     []Gate // every check, in order
}

// Failing gives the gates that are not ok; none means ready.
func (r Readiness) Failing() []Gate {
	var out []Gate
	for _, g := range r.Gates {
		if !g.OK {
			out = append(out, g)
		}
	}
	return out
}

// Ready runs the preflights of every operation whose owner is f.Self: on the
// pair's standby a promotion (as if its primary were dead this moment) and a
// switchover to it; on the primary the switchover that would bring the roles
// back. It is pure. A node that neither is gives nothing.
func Ready(f Facts) []Readiness {
	self, known := f.Node(f.Self)
	if !known || self.Witness {
		return nil
	}
	if f.Own.Epoch.Zero() || len(f.Faults) > 0 {
		return unready(f, self)
	}
	primary, found := f.Node(f.Own.Epoch.Primary)
	if !found || primary.Witness {
		return unready(f, self)
	}
	standby, found := f.Other(primary.Node)
	switch {
	case !found:
		return nil
	case f.Self == primary.Node:
		return []Readiness{gates(ReadyToSwitch, self.Node, append(switchGates(f, standby, primary), readyFence(f, standby.Node)))}
	case f.Self != standby.Node:
		return nil // a further standby, whose promotion nothing plans
	}
	return []Readiness{
		gates(ReadyToPromote, self.Node, promoteGates(f, primary, standby)),
		gates(ReadyToSwitch, self.Node, append(switchGates(f, primary, standby), followGates(f, primary, standby)...)),
	}
}

// unready is the readiness of a node that no operation could even be planned on.
func unready(f Facts, self NodeFacts) []Readiness {
	checks := []check{checkState(f), checkAdopted(f)}
	if _, found := f.Node(f.Own.Epoch.Primary); !found && !f.Own.Epoch.Zero() {
		checks = append(checks, no("primary", ExitRefused, "1", "watchdog config show",
			"%q, the primary of epoch %d, is not a node of this configuration", f.Own.Epoch.Primary, f.Own.Epoch.Number))
	}
	out := []Readiness{gates(ReadyToSwitch, self.Node, checks)}
	if self.Status == nil || self.Status.InRecovery {
		out = append([]Readiness{gates(ReadyToPromote, self.Node, checks)}, out...)
	}
	return out
}

func gates(operation, target string, checks []check) Readiness {
	r := Readiness{Operation: operation, Target: target}
	for _, c := range checks {
		r.Gates = append(r.Gates, c.gate)
	}
	return r
}

// promoteGates are those of PlanPromote, without the one that asks whether the
// primary is dead, and with what can be mended beforehand. The loss is judged
// by what the standby lacks now: what it would be is known at the time. Once the
// primary is dead, what only it could tell is taken from its last answer, and
// what it would have to do for a calm exchange is not asked: the fence is.
func promoteGates(f Facts, primary, standby NodeFacts) []check {
	asked := []NodeFacts{standby}
	if v, _ := primary.Verdict(); !lifeless(v) || peerAnswers(primary) {
		asked = append(asked, primary)
	}
	if primary.Status != nil {
		primary.StatusAge = 0 // settings do not change by themselves
	}
	checks := []check{
		checkState(f), checkAdopted(f), checkEpoch(f), checkOperation(f), checkTarget(standby), checkHeld(f, standby.Node),
		checkOtherPrimaries(f, primary.Node), checkIdentity(f, primary, standby), checkTimeline(primary, standby), readyFence(f, primary.Node),
		readySettings(primary, standby), readyDisk(standby), readyGate(f, asked...), readyCopies(f),
	}
	return append(checks, followGates(f, primary, standby)...)
}

// followGates ask whether the standby is as near to its primary as a change of
// roles wants it.
func followGates(f Facts, primary, standby NodeFacts) []check {
	return []check{readyStream(primary, standby), readyLag(f, primary, standby), readyReplay(standby), checkFurther(f, primary, standby, readyLagBytes)}
}

// switchGates ask what a planned exchange needs in which `to` takes over from
// `from`, whichever of the two is primary now.
func switchGates(f Facts, from, to NodeFacts) []check {
	return []check{
		checkState(f), checkAdopted(f), checkEpoch(f), checkOperation(f), readyServices(f, from, to), readyServers(from, to),
		readyUnheld(f, from, to), checkOtherPrimaries(f, from.Node, to.Node), checkIdentity(f, from, to), readyLine(from, to),
		readySenders(to), readySlots(from, to), readyLogin(from, to), readySettings(to, from), readyRewind(from), readyArchive(from),
		readyBackup(from, to), readyDelay(to), readyDisk(to), readyGate(f, from, to), readyCopies(f), readyClocks(f, from, to),
	}
}

// inRecovery is false of what is not known.
func inRecovery(n NodeFacts) bool { return n.Status != nil && n.Status.InRecovery }
