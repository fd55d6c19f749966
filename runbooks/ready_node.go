package runbooks

import (
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// names joins the nodes of a check for its sentence.
func names(nodes []NodeFacts) string {
	list := make([]string, 0, len(nodes))
	for _, n := range nodes {
		list = append(list, n.Node)
	}
	return strings.Join(list, " and ")
}

// readyServices wants the services of both nodes: a switchover seals one by its
// own service and runs in the other's.
func readyServices(f Facts, nodes ...NodeFacts) check {
	for _, n := range nodes {
		if n.Node != f.Self && !peerAnswers(n) {
			return no("service", ExitUnavailable, "", "systemctl status pg-watchdog on "+n.Node, "the service of %s does not answer: %s", n.Node, silence(n))
		}
	}
	return ok("service", "the services of %s answer", names(nodes))
}

func silence(n NodeFacts) string {
	if n.Silence == "" {
		return "it does not say what it is"
	}
	return n.Silence
}

// readyServers wants both servers to answer now.
func readyServers(nodes ...NodeFacts) check {
	for _, n := range nodes {
		v, _ := n.Verdict()
		switch {
		case v == replication.VerdictUnknown || !known(n):
			return notKnown("server", "nothing is known at this moment of %s's PostgreSQL", n.Node)
		case v != replication.VerdictHealthy:
			return no("server", ExitRefused, "1", "watchdog status", "%s's PostgreSQL is %s", n.Node, v)
		}
	}
	return ok("server", "PostgreSQL of %s answers", names(nodes))
}

// readyUnheld is checkHeld for both sides of an exchange.
func readyUnheld(f Facts, nodes ...NodeFacts) check {
	for _, n := range nodes {
		c := checkHeld(f, n.Node)
		if o, stands := f.Own.StandingOrder(n.Node); stands && c.gate.OK {
			c = no("", ExitRefused, "6", "watchdog status", "a fence order of operation %s stands against %s", o.Operation, n.Node)
		}
		if c.gate.Name = "held"; !c.gate.OK {
			return c
		}
	}
	return ok("held", "neither of %s is fenced", names(nodes))
}

// readyFence wants every way to fence the primary to answer its harmless verb:
// of two the one that is broken is the one that will be needed.
func readyFence(f Facts, primary string) check {
	devices := f.Devices[primary]
	if len(devices) == 0 {
		return no("fence", ExitRefused, "2", "configure nodes."+primary+".fence", "nothing is configured that could fence %s", primary)
	}
	var broken, sure []string
	for _, d := range devices {
		if !d.Ready {
			broken = append(broken, d.Name+" ("+d.Text+")")
			continue
		}
		sure = append(sure, d.Name+" to grade "+d.Grade.String())
	}
	if len(broken) > 0 {
		return no("fence", ExitRefused, "2", "watchdog fence "+primary+", which shows what each device answers", "could not fence %s now: %s", primary, strings.Join(broken, ", "))
	}
	return ok("fence", "%s can be fenced by %s", primary, strings.Join(sure, ", "))
}

// readyLine wants both servers on one line of history, the primary's: it is
// known from their timelines, whoever of the two is primary now.
func readyLine(a, b NodeFacts) check {
	if inRecovery(a) && !inRecovery(b) {
		a, b = b, a
	}
	last, seen := a.Last()
	if !seen || b.Status == nil || b.Status.Timeline == 0 {
		return notKnown("timeline", "the timelines of %s and %s are not both known", a.Node, b.Node)
	}
	if last.Timeline != b.Status.Timeline {
		return no("timeline", ExitRefused, "13", "watchdog status", "%s is on timeline %d, %s on %d", a.Node, last.Timeline, b.Node, b.Status.Timeline)
	}
	return ok("timeline", "both on timeline %d", last.Timeline)
}

// readyDelay refuses a server that would hold WAL back as soon as it is a
// standby: the setting stands there while it is primary.
func readyDelay(n NodeFacts) check {
	switch {
	case !known(n):
		return notKnown("delay", "the settings of %s are not known", n.Node)
	case n.Status.ApplyDelay > 0:
		return no("delay", ExitRefused, "13", "set recovery_min_apply_delay to 0 on "+n.Node, "recovery_min_apply_delay is %s on %s", n.Status.ApplyDelay, n.Node)
	}
	return ok("delay", "no delay is set on %s", n.Node)
}

// readyDisk wants room on the server that would take the writes and keep WAL
// for the other.
func readyDisk(n NodeFacts) check {
	d := n.Disk
	switch {
	case d == nil || d.Total <= 0 || d.Free < 0:
		return notKnown("disk", "the free space of %s is not known: its service does not tell", n.Node)
	case d.Free < d.Total/readyDiskShare:
		return no("disk", ExitRefused, "", "df -h on "+n.Node, "%s of %s are free on the data directory's file system of %s",
			sizeText(uint64(d.Free)), sizeText(uint64(d.Total)), n.Node)
	}
	return ok("disk", "%s are free on %s", sizeText(uint64(d.Free)), n.Node)
}

// readyGate wants the boot gate active on every node that answers: it stands
// between a reboot in the night and two primaries. Without an answer the gate
// of a node is what its silence leaves open, which the fence then judges.
func readyGate(f Facts, nodes ...NodeFacts) check {
	for _, n := range nodes {
		d := n.Durable
		if n.Node == f.Self {
			d = &f.Own
		}
		switch {
		case d == nil:
			return notKnown("gate", "%s does not say whether its boot gate is active", n.Node)
		case d.Epoch.Zero() || d.DataDirectory == "":
			return no("gate", ExitRefused, "4", "watchdog adopt "+f.Own.Epoch.Primary, "the boot gate of %s is inactive: it was never adopted", n.Node)
		case !d.Epoch.Same(f.Own.Epoch) && d.Epoch.Number == f.Own.Epoch.Number:
			return no("gate", ExitRefused, "5", "watchdog history", "%s holds another epoch %d than %s", n.Node, d.Epoch.Number, f.Self)
		case d.Epoch.Number < f.Own.Epoch.Number:
			return no("gate", ExitRefused, "5", "watchdog status", "%s has not heard of epoch %d yet: it holds %d", n.Node, f.Own.Epoch.Number, d.Epoch.Number)
		}
	}
	return ok("gate", "the boot gate of %s is active", names(nodes))
}

// readyCopies wants every witness to hold the present epoch: a copy that is old
// or out of reach forbids nothing when a node boots alone.
func readyCopies(f Facts) check {
	witnesses := 0
	for _, n := range f.Nodes {
		if !n.Witness {
			continue
		}
		witnesses++
		switch {
		case !peerAnswers(n):
			return no("witness", ExitUnavailable, "4", "systemctl status pg-watchdog on "+n.Node, "the witness %s does not answer: %s", n.Node, silence(n))
		case !n.Durable.Epoch.Same(f.Own.Epoch):
			return no("witness", ExitRefused, "5", "watchdog status", "the witness %s holds epoch %d, not %d", n.Node, n.Durable.Epoch.Number, f.Own.Epoch.Number)
		}
	}
	if witnesses == 0 {
		return ok("witness", "there is none")
	}
	return ok("witness", "it holds epoch %d", f.Own.Epoch.Number)
}

// readyClocks wants the nodes to agree about the time: certificates, logs and
// the order of what happened are read by people who must not reckon.
func readyClocks(f Facts, nodes ...NodeFacts) check {
	for _, n := range nodes {
		switch {
		case n.Node == f.Self || f.MaxSkew == 0:
		case n.Skew == nil:
			return notKnown("clock", "the clock of %s was not measured", n.Node)
		case n.Skew.Abs() > f.MaxSkew:
			return no("clock", ExitRefused, "", "timedatectl on "+n.Node, "the clock of %s differs by %s from the one of %s", n.Node, n.Skew.Round(time.Millisecond), f.Self)
		}
	}
	return ok("clock", "the clocks of %s agree", names(nodes))
}
