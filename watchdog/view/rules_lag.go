package view

import (
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

// lag raises what is wrong with how far standbys are behind. A server that is
// held by a fence is meant to stand still.
func (j *judgement) lag() {
	for _, a := range j.servers {
		if a.Standing != StandingStandby || j.Held(a.Node) != "" {
			continue
		}
		if lag := lagOf(j.View, j.servers, a, j.limits); lag != nil && lag.Primary != "" {
			j.lagBytes(a, lag)
			j.lagTime(a, lag)
		}
		j.replayPaused(a)
	}
}

// lagBytes judges what is not durable on the standby, and what is not replayed
// where no delay is wanted: with one, the time says whether it is too much.
func (j *judgement) lagBytes(a Appraisal, g *Lag) {
	worst, what := uint64(0), ""
	if g.FlushBytes != nil {
		worst, what = *g.FlushBytes, "received"
	}
	if g.ReplayBytes != nil && g.ApplyDelay == 0 && *g.ReplayBytes > worst {
		worst, what = *g.ReplayBytes, "replayed"
	}
	if worst < j.limits.LagBytesWarning {
		return
	}
	j.raise(finding{
		code: ReplicationLagBytes, subject: a.Node, evidence: j.lagEvidence(a, g),
		text: fmt.Sprintf("The standby %s has not yet %s %s of what its primary %s wrote.", a.Node, what, lagSize(worst), g.Primary),
		rise: rises(worst >= j.limits.LagBytesPage, j.limits.HoldLagBytesPage),
	})
}

func (j *judgement) lagTime(a Appraisal, g *Lag) {
	if g.Time == nil {
		return
	}
	late := *g.Time - g.ApplyDelay
	if late < j.limits.LagTimeWarning {
		return
	}
	more, wanted := "", ""
	if g.AtLeast {
		more = "at least "
	}
	if g.ApplyDelay > 0 {
		wanted = fmt.Sprintf(", of which %s are wanted (recovery_min_apply_delay)", Span(g.ApplyDelay))
	}
	j.raise(finding{
		code: ReplicationLagTime, subject: a.Node, evidence: j.lagEvidence(a, g),
		text: fmt.Sprintf("The standby %s is %s%s behind its primary %s in replaying%s.", a.Node, more, Span(*g.Time), g.Primary, wanted),
		rise: rises(late >= j.limits.LagTimePage, j.limits.HoldLagTimePage),
	})
}

func rises(past bool, hold time.Duration) *alerts.Rise {
	if !past {
		return nil
	}
	return &alerts.Rise{Severity: alerts.SeverityPage, Hold: hold}
}

// replayPaused is about a pause, whether or not WAL waits already, and about
// replay that stands still by itself.
func (j *judgement) replayPaused(a Appraisal) {
	s, ok := newestStatus(j.Sightings(a.Node))
	if ok && s.statusFresh(j.limits) && s.Status.InRecovery && s.Status.ReplayPaused {
		j.raise(finding{
			code: ReplayPaused, subject: a.Node, evidence: append(waiting(a), j.evidence(a.Node)...),
			text: fmt.Sprintf("Replay on the standby %s is paused: what it receives is not applied, until somebody runs pg_wal_replay_resume() there.", a.Node),
		})
		return
	}
	if !ok || !s.statusFresh(j.limits) {
		return // neither a pause nor a wanted delay is known; NoSample says so
	}
	if a.Best.Stuck < j.limits.ReplayStuck+s.Status.ApplyDelay {
		return
	}
	j.raise(finding{
		code: ReplayPaused, subject: a.Node, evidence: append(waiting(a), j.evidence(a.Node)...),
		text: fmt.Sprintf("Replay on the standby %s stands still at %s for %s, although it has received more and is not paused: a query on it, or its disk, may hold it up.",
			a.Node, a.Best.Replay, Span(a.Best.Stuck)),
	})
}

func waiting(a Appraisal) []string {
	if a.Best.Replay == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s has replayed up to %s and received up to %s: %s wait", a.Best.Observer, a.Node, a.Best.Replay,
		a.Best.Position, lagSize(a.Best.Position.Since(a.Best.Replay)))}
}

// lagEvidence says what each figure rests on, and whether the heartbeat row
// agrees.
func (j *judgement) lagEvidence(a Appraisal, g *Lag) []string {
	lines := []string{fmt.Sprintf("%s: %s behind %s: not received %s, not durable %s, not replayed %s", g.Observer, a.Node, g.Primary,
		sizeOrUnknown(g.ReceiveBytes), sizeOrUnknown(g.FlushBytes), sizeOrUnknown(g.ReplayBytes))}
	switch {
	case g.Time == nil:
		lines = append(lines, "lag in time is not known: "+orUnknown(g.Unknown))
	case g.AtLeast:
		lines = append(lines, fmt.Sprintf("%s: %s passed its replayed position at least %s before; it was not watched then", g.TimeObserver, g.Primary, Span(*g.Time)))
	default:
		lines = append(lines, fmt.Sprintf("%s: %s passed its replayed position %s before", g.TimeObserver, g.Primary, Span(*g.Time)))
	}
	if b := g.Heartbeat; b != nil {
		lines = append(lines, b.line(g))
	}
	return append(lines, j.evidence(a.Node)...)
}

// line tells what the heartbeat row says beside what was measured.
func (b HeartbeatBounds) line(g *Lag) string {
	says := fmt.Sprintf("the heartbeat row says at least %s", Span(b.AtLeast))
	if b.AtMost != nil {
		says += fmt.Sprintf(" and at most %s", Span(*b.AtMost))
	}
	says += fmt.Sprintf(" (read %s ago)", Span(b.Age))
	if g.Time != nil && b.contradicts(*g.Time, g.AtLeast) {
		return says + ", which contradicts that"
	}
	return says
}

func sizeOrUnknown(n *uint64) string {
	if n == nil {
		return "?"
	}
	return lagSize(*n)
}

// lagSize prints bytes for people, rounded up: a lag is not made smaller.
func lagSize(n uint64) string {
	for _, u := range []struct {
		name string
		size uint64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= 10*u.size {
			return fmt.Sprintf("%d %s", (n+u.size-1)/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
