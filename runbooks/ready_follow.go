package runbooks

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Thresholds of readiness. They are no settings: a pair beyond them is not one
// that somebody should have to promote at night.
const (
	// readyLagBytes is how far the standby may be behind: what pg_auto_failover
	// takes as its limit for a promotion (its WAL thresholds, 16 MiB).
	readyLagBytes = 16 << 20
	// readySilence is how old the last message of the stream may be: an idle
	// primary is silent for up to half of wal_receiver_timeout, 30 s.
	readySilence = 45 * time.Second
	// statusStale is how old an SQL answer may be: three misses of 5 s and a
	// deadline.
	statusStale = 20 * time.Second
	// readyDiskShare is the part of the file system that must be free: below it
	// a new primary pages within its first hour (research/alerts.md, rule 30).
	readyDiskShare = 20 // one in twenty: 5 %
)

// known says whether the server's SQL status is young enough to judge by.
func known(n NodeFacts) bool { return n.Status != nil && n.StatusAge <= statusStale }

// notKnown is a check that cannot be judged: never ok, because unknown is not.
func notKnown(name, format string, a ...any) check {
	return no(name, ExitUnavailable, "", "watchdog status", format, a...)
}

// readyStream wants WAL to flow now, seen from both ends: the word "streaming"
// proves nothing without the age of the last message.
func readyStream(primary, standby NodeFacts) check {
	const name = "stream"
	if v, _ := primary.Verdict(); lifeless(v) {
		return ok(name, "%s is %s: nothing comes from it any more", primary.Node, v)
	}
	if !known(standby) || !standby.Status.StatsVisible {
		return notKnown(name, "whether %s receives WAL is not known", standby.Node)
	}
	r := standby.Status.Receiver
	switch {
	case r == nil:
		return no(name, ExitRefused, "", "look for primary_conninfo and the end of PostgreSQL's log on "+standby.Node, "%s has no connection to its primary", standby.Node)
	case r.Status != "streaming":
		return no(name, ExitRefused, "", "watchdog status", "the connection of %s is in state %q", standby.Node, r.Status)
	case r.MessageAge+standby.StatusAge > readySilence:
		return no(name, ExitRefused, "", "watchdog status", "%s has heard nothing from its primary for %s", standby.Node, (r.MessageAge + standby.StatusAge).Round(time.Second))
	}
	if known(primary) && primary.Status.StatsVisible && !primary.Status.InRecovery && !feeds(primary) {
		return no(name, ExitRefused, "", "watchdog status", "%s receives WAL, but %s lists no standby: it receives from somebody else", standby.Node, primary.Node)
	}
	return ok(name, "%s receives from %s", standby.Node, senderText(*r))
}

func feeds(n NodeFacts) bool {
	for _, row := range n.Status.Standbys {
		if row.State == "streaming" {
			return true
		}
	}
	return false
}

func senderText(r replication.ReceiverRow) string {
	if r.SenderHost == "" {
		return "its primary"
	}
	return replication.Target{Host: r.SenderHost, Port: r.SenderPort}.Address()
}

// readyLag wants the standby near its primary: the loss of a promotion that came
// now, and the outage of a switchover. The limit grows with loss.allowed.
func readyLag(f Facts, primary, standby NodeFacts) check {
	const name = "lag"
	last, seen := primary.Last()
	at := received(standby)
	if !seen || last.Role != replication.RolePrimary || at == 0 {
		return notKnown(name, "how far %s is behind %s is not known", standby.Node, primary.Node)
	}
	limit := max(readyLagBytes, f.Allowed)
	behind, unreplayed := last.Position.Since(at), standby.Status.Receive.Since(standby.Status.Replay)
	switch {
	case behind > limit:
		return no(name, ExitRefused, "8", "watchdog status --watch", "%s is %s behind %s, more than %s: a promotion now would lose them",
			standby.Node, sizeText(behind), primary.Node, sizeText(limit))
	case unreplayed > 4*limit:
		return no(name, ExitRefused, "13", "watchdog status --watch", "%s has %s received and not replayed: a promotion would wait for them",
			standby.Node, sizeText(unreplayed))
	}
	if why, zero := synchronous(primary, standby); zero {
		return ok(name, "%s", why)
	}
	return ok(name, "%s behind, seen %s ago; asynchronous, so that what is lost is known when it comes to it", sizeText(behind), last.Answered.Round(100*time.Millisecond))
}

// readyReplay is checkReplay before anything is pending: a paused or delayed
// standby lacks nothing only until the next commit.
func readyReplay(standby NodeFacts) check {
	if c := checkReplay(standby); !c.gate.OK {
		return c
	}
	switch s := standby.Status; {
	case s.ReplayPaused:
		return no("replay", ExitRefused, "13", "SELECT pg_wal_replay_resume() on "+standby.Node, "replay on %s is paused", standby.Node)
	case s.ApplyDelay > 0:
		return no("replay", ExitRefused, "13", "set recovery_min_apply_delay to 0 on "+standby.Node, "replay on %s is delayed by %s", standby.Node, s.ApplyDelay)
	}
	return ok("replay", "%s replays what it receives", standby.Node)
}
