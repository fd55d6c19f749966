package view

import (
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Caps of a report. They lie far above what two servers and a witness need.
const (
	maxNodes    = 16
	maxHistory  = 1024
	maxRows     = 256
	maxNotified = 1024
	maxNameLen  = 63
	// maxAge is longer than any service runs; beyond it a number is garbage.
	maxAge = 10 * 365 * 24 * time.Hour
	// maxLSN is 1 EiB of WAL: decades at full speed.
	maxLSN      = replication.LSN(1) << 60
	maxTimeline = replication.Timeline(1) << 31
)

// check rejects a report with absurd values. It returns a *ReportError or nil.
func check(r Report) error {
	c := checker{}
	c.name("node", r.Node)
	c.name("boot", r.Boot)
	c.count("servers", len(r.Servers), maxNodes)
	c.count("edges", len(r.Edges), maxNodes)
	c.count("operations", len(r.Operations), maxNodes)
	c.count("notified", len(r.Notified), maxNotified)
	seen := map[string]bool{}
	for i, s := range r.Servers {
		at := fmt.Sprintf("servers[%d]", i)
		c.that(at+".node", !seen[s.Node], "listed twice")
		seen[s.Node] = true
		c.server(at, s)
	}
	for i, e := range r.Edges {
		c.edge(fmt.Sprintf("edges[%d]", i), e)
	}
	for i, o := range r.Operations {
		c.age(fmt.Sprintf("operations[%d].age", i), o.Age)
	}
	if a := r.App; a != nil {
		c.age("app.age", a.Age)
		c.span("app.latency", a.Latency)
		c.that("app.misses", a.Misses >= 0, "negative")
		c.that("app.status", a.Status >= 0 && a.Status <= 999, "no HTTP status")
	}
	c.host("host", r.Host)
	if a := r.Alone; a != nil {
		c.age("alone.age", a.Age)
		c.timeline("alone.timeline", a.Timeline)
		c.lsn("alone.switch_point", a.SwitchPoint)
		c.lsn("alone.end", a.End)
		c.that("alone.commits", a.Commits >= 0 && a.Commits <= 1<<40, "no number of commits")
	}
	c.durable(r)
	c.readiness(r)
	if c.err != nil {
		return c.err
	}
	return nil
}

// checker keeps the first problem.
type checker struct{ err *ReportError }

func (c *checker) that(field string, ok bool, reason string) {
	if !ok && c.err == nil {
		c.err = &ReportError{Field: field, Reason: reason}
	}
}

// name accepts what the configuration accepts as a node name, and boot ids.
func (c *checker) name(field, s string) {
	ok := len(s) > 0 && len(s) <= maxNameLen
	for _, b := range []byte(s) {
		ok = ok && (b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_' || b == '.')
	}
	c.that(field, ok, fmt.Sprintf("want 1 to %d letters, digits, dots, dashes or underscores", maxNameLen))
}

func (c *checker) count(field string, n, limit int) {
	c.that(field, n <= limit, fmt.Sprintf("%d entries, want at most %d", n, limit))
}

// age accepts Never and what a service can have lived through.
func (c *checker) age(field string, d time.Duration) {
	c.that(field, d == Never || d >= 0 && d <= maxAge, fmt.Sprintf("age %d ns is absurd", int64(d)))
}

// span is an age that cannot be missing.
func (c *checker) span(field string, d time.Duration) {
	c.that(field, d >= 0 && d <= maxAge, fmt.Sprintf("duration %d ns is absurd", int64(d)))
}

func (c *checker) lsn(field string, l replication.LSN) {
	c.that(field, l <= maxLSN, fmt.Sprintf("LSN %s is absurd", l))
}

func (c *checker) timeline(field string, t replication.Timeline) {
	c.that(field, t <= maxTimeline, fmt.Sprintf("timeline %d is absurd", t))
}

func (c *checker) server(at string, s ServerReport) {
	c.name(at+".node", s.Node)
	c.age(at+".age", s.Age)
	c.age(at+".since", s.Since)
	c.age(at+".answered", s.Answered)
	c.age(at+".status_age", s.StatusAge)
	c.age(at+".role_since", s.RoleSince)
	c.span(at+".took", s.Took)
	if s.Prior != nil {
		c.lsn(at+".prior.position", s.Prior.Position)
		c.age(at+".prior.answered", s.Prior.Answered)
	}
	c.age(at+".advanced", s.Advanced)
	c.timeline(at+".timeline", s.Timeline)
	c.lsn(at+".position", s.Position)
	c.lsn(at+".went_back_from", s.WentBackFrom)
	c.that(at+".timeline", s.Role == replication.RoleUnknown || s.Timeline > 0, "a known role without a timeline")
	c.that(at+".answered", s.Verdict != replication.VerdictHealthy || s.Answered >= 0, "healthy without an answer")
	c.that(at+".processes", s.Processes >= -1 && s.Processes <= 1<<22, "no number of processes")
	c.lsn(at+".replay", s.Replay)
	c.lsn(at+".reached", s.Reached)
	c.span(at+".stuck", s.Stuck)
	if b := s.Behind; b != nil {
		c.name(at+".behind", b.Primary)
		c.span(at+".behind", b.Time)
	}
	c.span(at+".archiver_failing", s.ArchiverFailing)
	c.history(at+".history", s.Timeline, s.History)
	if s.Status != nil {
		c.status(at+".status", *s.Status)
	}
}

// history must be that of the server's timeline: parents in rising order, each
// left at or after the one before.
func (c *checker) history(field string, of replication.Timeline, lines []HistoryLine) {
	c.count(field, len(lines), maxHistory)
	var last HistoryLine
	for _, h := range lines {
		c.lsn(field, h.SwitchPoint)
		c.that(field, h.Timeline > last.Timeline && h.SwitchPoint >= last.SwitchPoint && h.Timeline < of,
			fmt.Sprintf("timeline %d left at %s is out of order", h.Timeline, h.SwitchPoint))
		last = h
	}
}

func (c *checker) status(at string, s replication.Status) {
	c.count(at+".standbys", len(s.Standbys), maxRows)
	c.count(at+".slots", len(s.Slots), maxRows)
	c.count(at+".settings", len(s.Settings), maxRows)
	c.span(at+".took", s.Took)
	c.span(at+".apply_delay", s.ApplyDelay)
	c.timeline(at+".timeline", s.Timeline)
	for _, l := range []replication.LSN{s.Flush, s.Receive, s.Replay} {
		c.lsn(at, l)
	}
	for _, n := range []int{s.ServerVersion, s.MaxConnections, s.Connections, s.MaxWalSenders, s.WalSenders, s.SyncWaiters, s.CommitExceptions} {
		c.that(at, n >= 0 && n <= 1<<30, "a count is absurd")
	}
	c.that(at+".xid_age", s.XIDAge >= -1<<31 && s.XIDAge < 1<<31, "no age of a transaction") // a damaged catalogue gives negative ones
	if a := s.Archiver; a != nil {
		c.gap(at+".archiver", a.LastAge)
		c.gap(at+".archiver", a.FailedAge)
	}
	for _, b := range s.Standbys {
		for _, l := range []replication.LSN{b.Sent, b.Write, b.Flush, b.Replay} {
			c.lsn(at+".standbys", l)
		}
		c.gap(at+".standbys", b.ReplyAge)
	}
	if r := s.Receiver; r != nil {
		c.lsn(at+".receiver", r.Flushed)
		c.lsn(at+".receiver", r.Written)
		c.timeline(at+".receiver", r.Timeline)
		c.gap(at+".receiver", r.MessageAge)
		c.that(at+".receiver", r.SenderPort >= 0 && r.SenderPort <= 65535, "no port")
	}
	c.count(at+".heartbeats", len(s.Heartbeats), maxNodes)
	for _, h := range s.Heartbeats {
		c.gap(at+".heartbeats", h.Age)
		c.that(at+".heartbeats", h.At.Year() >= 1990 && h.At.Year() < 9999, "a time is absurd")
	}
	c.health(at+".health", s.Health)
	for _, slot := range s.Slots {
		c.lsn(at+".slots", slot.RestartLSN)
		c.that(at+".slots", slot.RetainedBytes <= uint64(maxLSN), "retained bytes are absurd")
	}
}

// gap is a difference of two times of one server, which its clock may turn negative.
func (c *checker) gap(field string, d time.Duration) {
	c.that(field, d >= -maxAge && d <= maxAge, fmt.Sprintf("age %d ns is absurd", int64(d)))
}

func (c *checker) edge(at string, e EdgeReport) {
	c.name(at+".node", e.Node)
	c.age(at+".age", e.Age)
	c.age(at+".answered", e.Answered)
	c.span(at+".rtt", e.RTT)
	c.gap(at+".skew", e.Skew)
}

func (c *checker) durable(r Report) {
	d := r.Durable
	if d == nil {
		return
	}
	c.that("durable.node", d.Node == "" || d.Node == r.Node, "state of another node")
	c.count("durable.orders", len(d.Orders), maxRows)
	c.count("durable.intents", len(d.Intents), maxRows)
	c.count("durable.closed", len(d.Closed), maxRows)
	c.that("durable.epoch", d.Epoch.Number < 1<<32, "epoch number is absurd")
}
