package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

const (
	kib = uint64(1) << 10
	mib = uint64(1) << 20
)

// lagOf gives what status says of the standby db2.
func (s *scene) lagOf() *view.Lag {
	s.t.Helper()
	for _, n := range s.status(true).Nodes {
		if n.Node == "db2" {
			return n.Lag
		}
	}
	s.t.Fatal("db2 is not listed")
	return nil
}

// late makes the standby so many bytes late in receiving and in replaying, and
// so long in time.
func late(receive, replay uint64, by time.Duration) func(*view.ServerReport) {
	return func(r *view.ServerReport) {
		at := r.Position
		r.Position, r.Replay = at-replication.LSN(receive), at-replication.LSN(replay)
		r.Status.Receive, r.Status.Replay = r.Position, r.Replay
		r.Behind = &view.Behind{Primary: "db1", Time: by}
	}
}

func delayed(by time.Duration) func(*view.ServerReport) {
	return func(r *view.ServerReport) { r.Status.ApplyDelay = by }
}

func num(n *uint64) any {
	if n == nil {
		return nil
	}
	return *n
}

func span(d *time.Duration) any {
	if d == nil {
		return nil
	}
	return *d
}

func TestLag_Figures(t *testing.T) {
	type want struct{ receive, flush, replay, time any }
	for name, c := range map[string]struct {
		s       *scene
		want    want
		atLeast bool
	}{
		"level": {pair(t).all("db2", late(0, 0, 0)), want{uint64(0), uint64(0), uint64(0), time.Duration(0)}, false},
		"all replayed, whatever the ring says": {pair(t).all("db2", late(0, 0, 9*sec)),
			want{uint64(0), uint64(0), uint64(0), time.Duration(0)}, false},
		"behind":                          {pair(t).all("db2", late(100, 300, 4*sec)), want{uint64(100), uint64(100), uint64(300), 4 * sec}, false},
		"ahead by the order of two reads": {pair(t).all("db2", func(r *view.ServerReport) { r.Position += 112; r.Replay = r.Position }), want{uint64(0), uint64(0), uint64(0), time.Duration(0)}, false},
		"received and not yet durable": {pair(t).all("db2", late(100, 300, 0)).all("db2", func(r *view.ServerReport) { r.Status.Receiver.Written = r.Position + 60 }),
			want{uint64(40), uint64(100), uint64(300), time.Duration(0)}, false},
		"an old service tells no replayed position": {pair(t).all("db2", late(100, 300, 0)).all("db2", func(r *view.ServerReport) { r.Replay, r.Behind = 0, nil }),
			want{uint64(100), uint64(100), uint64(300), nil}, false},
		"no SQL at all": {pair(t).all("db2", late(100, 300, 0)).all("db2", func(r *view.ServerReport) { r.Replay, r.Behind, r.Status = 0, nil, nil }),
			want{uint64(100), uint64(100), nil, nil}, false},
		"restarted, own WAL not read yet": {pair(t).all("db2", late(5000, 5000, 3*sec)).all("db2", func(r *view.ServerReport) { r.Reached, r.Status.Receiver = r.Position+4000, nil }),
			want{nil, nil, uint64(5000), 3 * sec}, false},
		"restarted, the SQL answer is from before": {pair(t).all("db2", late(5000, 5000, 3*sec)).all("db2", func(r *view.ServerReport) { r.Reached = r.Position + 4000 }),
			want{nil, nil, uint64(5000), 3 * sec}, false},
		"streams, so that it says what it holds": {pair(t).all("db2", late(5000, 5000, 3*sec)).all("db2", func(r *view.ServerReport) { r.Reached = r.Position }),
			want{uint64(5000), uint64(5000), uint64(5000), 3 * sec}, false},
		"primary not seen":  {pair(t).all("db1", down(9*sec)).all("db2", late(100, 300, 4*sec)), want{nil, nil, nil, nil}, false},
		"histories parted":  {pair(t).all("db2", onTimeline(6, 0x4900000060, line(5, 0x4000000000))), want{nil, nil, nil, nil}, false},
		"measured by other": {pair(t).all("db2", late(1, 1, sec)).sees("db1", "db2", func(r *view.ServerReport) { r.Behind.Primary = "db9" }).sees("db2", "db2", func(r *view.ServerReport) { r.Behind = nil }), want{uint64(1), uint64(1), uint64(1), nil}, false},
		"own ring is young, the other's is not": {pair(t).all("db2", late(1, 1, 400*sec)).sees("db2", "db2", func(r *view.ServerReport) {
			r.Behind.Time, r.Behind.AtLeast = 3*sec, true
		}), want{uint64(1), uint64(1), uint64(1), 400 * sec}, false},
		"both rings are young": {pair(t).all("db2", late(1, 1, 9*sec)).all("db2", func(r *view.ServerReport) { r.Behind.AtLeast = true }).sees("db2", "db2", func(r *view.ServerReport) {
			r.Behind = &view.Behind{Primary: "db1", Time: 3 * sec, AtLeast: true}
		}), want{uint64(1), uint64(1), uint64(1), 9 * sec}, true},
	} {
		g := c.s.lagOf()
		if g == nil {
			t.Errorf("%s: nothing", name)
			continue
		}
		got := want{num(g.ReceiveBytes), num(g.FlushBytes), num(g.ReplayBytes), span(g.Time)}
		if got != c.want || g.AtLeast != c.atLeast {
			t.Errorf("%s: %v, at least %t; want %v, %t", name, got, g.AtLeast, c.want, c.atLeast)
		}
		if missing := g.FlushBytes == nil || g.ReplayBytes == nil || g.Time == nil; missing && g.Unknown == "" {
			t.Errorf("%s: a figure is missing without a reason", name)
		}
	}
}

func TestLag_PrimaryGone_LastKnownIsToldWithItsAgeAndIsNoFigure(t *testing.T) {
	g := pair(t).all("db2", late(100, 300, 4*sec)).all("db1", down(9*sec)).lagOf()
	const want = "nobody is known to be primary; at the last answer of db1, 9.1 s ago, its WAL went 100 bytes beyond what db2 has received"
	if g.FlushBytes != nil || g.Time != nil || g.Unknown != want {
		t.Errorf("%+v", g)
	}
	parted := pair(t).all("db2", onTimeline(6, 0x4900000060, line(5, 0x4000000000))).all("db1", down(9*sec)).lagOf()
	if parted.Unknown != "nobody is known to be primary" {
		t.Errorf("%s", parted.Unknown)
	}
}

func TestLag_PrimaryAndUnknownServers_HaveNone(t *testing.T) {
	for _, n := range pair(t).all("db2", unknown).status(true).Nodes {
		if n.Lag != nil {
			t.Errorf("%s: %+v", n.Node, n.Lag)
		}
	}
}

// beat puts the primary's heartbeat row on both servers: on the standby the one
// that was written so long before the primary's.
func (s *scene) beat(age, missing time.Duration) *scene {
	at := time.Date(2026, 11, 23, 3, 14, 0, 0, time.UTC)
	s.all("db1", func(r *view.ServerReport) {
		r.Status.Heartbeats = []replication.HeartbeatRow{{Node: "db1", At: at, Age: age}, {Node: "db2", At: at.Add(time.Hour)}}
	})
	return s.all("db2", func(r *view.ServerReport) {
		r.Status.Heartbeats = []replication.HeartbeatRow{{Node: "db1", At: at.Add(-missing)}}
	})
}

func TestLag_HeartbeatRow_BoundsTheTimeByOneClock(t *testing.T) {
	bounds := func(least, most time.Duration) *view.HeartbeatBounds {
		return &view.HeartbeatBounds{AtLeast: least, AtMost: &most, Age: 2 * sec}
	}
	for name, c := range map[string]struct {
		s     *scene
		want  *view.HeartbeatBounds
		agree bool
	}{
		"newest row replayed":          {pair(t).all("db2", late(1, 1, 5*sec)).beat(20*sec, 0), bounds(0, 20*sec), true},
		"newest row replayed, no way":  {pair(t).all("db2", late(1, 1, 90*sec)).beat(20*sec, 0), bounds(0, 20*sec), false},
		"newest row missing":           {pair(t).all("db2", late(1, 1, 45*sec)).beat(20*sec, time.Minute), bounds(20*sec, 80*sec), true},
		"newest row missing, no way":   {pair(t).all("db2", late(1, 1, sec)).beat(20*sec, time.Minute), bounds(20*sec, 80*sec), false},
		"written after the other read": {pair(t).all("db2", late(1, 1, sec)).beat(0, -10*sec), bounds(0, 0), true},
		"no row on the standby": {pair(t).all("db2", late(1, 1, sec)).beat(20*sec, 0).all("db2", func(r *view.ServerReport) { r.Status.Heartbeats = nil }),
			nil, true},
		"no table": {pair(t).all("db2", late(1, 1, sec)), nil, true},
	} {
		g := c.s.lagOf()
		if d := cmp.Diff(c.want, g.Heartbeat); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		all := c.s.all("db2", late(100*mib, 100*mib, *g.Time)).judge()
		evidence := strings.Join(pick(t, all, view.ReplicationLagBytes).Evidence, "\n")
		if strings.Contains(evidence, "heartbeat row says") != (c.want != nil) || strings.Contains(evidence, "contradicts") == c.agree {
			t.Errorf("%s: evidence\n%s", name, evidence)
		}
	}
}

func TestJudge_Lag_ProvokedAndResolved(t *testing.T) {
	for name, c := range map[string]struct {
		s    *scene
		want []string
		page bool
	}{
		"below both":                 {pair(t).all("db2", late(63*mib, 63*mib, 29*sec)), nil, false},
		"64 MiB not received":        {pair(t).all("db2", late(64*mib, 64*mib, sec)), []string{"ReplicationLagBytes/db2"}, false},
		"64 MiB not replayed":        {pair(t).all("db2", late(0, 64*mib, sec)), []string{"ReplicationLagBytes/db2"}, false},
		"512 MiB":                    {pair(t).all("db2", late(512*mib, 512*mib, sec)), []string{"ReplicationLagBytes/db2"}, true},
		"30 s":                       {pair(t).all("db2", late(0, kib, 30*sec)), []string{"ReplicationLagTime/db2"}, false},
		"at least 30 s":              {pair(t).all("db2", late(0, kib, 30*sec)).all("db2", func(r *view.ServerReport) { r.Behind.AtLeast = true }), []string{"ReplicationLagTime/db2"}, false},
		"300 s":                      {pair(t).all("db2", late(0, kib, 300*sec)), []string{"ReplicationLagTime/db2"}, true},
		"wanted delay of an hour":    {pair(t).all("db2", late(0, 90*mib, time.Hour)).all("db2", delayed(time.Hour)), nil, false},
		"a minute beyond it":         {pair(t).all("db2", late(0, 90*mib, 61*time.Minute)).all("db2", delayed(time.Hour)), []string{"ReplicationLagTime/db2"}, false},
		"not received, delay or not": {pair(t).all("db2", late(90*mib, 90*mib, sec)).all("db2", delayed(time.Hour)), []string{"ReplicationLagBytes/db2"}, false},
		"nothing known is no 0 and no lag": {pair(t).all("db2", late(90*mib, 90*mib, time.Hour)).all("db1", unknown).all("db2", noUpstream),
			[]string{"NoSample/db1", "ReplicationDown/db2"}, false},
	} {
		all := c.s.want(c.want...)
		for _, got := range all {
			if !strings.HasPrefix(got.Code, "ReplicationLag") {
				continue
			}
			if got.Severity != alerts.SeverityWarning || (got.Rise != nil) != c.page || got.Hold != 2*time.Minute {
				t.Errorf("%s: severity %s, rise %v, hold %s", name, got.Severity, got.Rise, got.Hold)
			}
			if got.Rise != nil && got.Rise.Severity != alerts.SeverityPage {
				t.Errorf("%s: rises to %s", name, got.Rise.Severity)
			}
		}
	}
}

func TestJudge_Lag_ExplainedByWhatIsWorse(t *testing.T) {
	s := pair(t).all("db2", late(90*mib, 90*mib, sec)).all("db2", noUpstream)
	c := pick(t, s.judge(), view.ReplicationLagBytes)
	if len(c.InhibitedBy) != 2 { // NoPrimary and its own broken link
		t.Errorf("inhibited by %v", c.InhibitedBy)
	}
	if c = pick(t, pair(t).all("db2", late(90*mib, 90*mib, sec)).judge(), view.ReplicationLagBytes); len(c.InhibitedBy) != 1 {
		t.Errorf("inhibited by %v although it streams", c.InhibitedBy)
	}
	s = pair(t).all("db2", late(90*mib, 90*mib, time.Hour)).report("db2", func(r *view.Report) { r.Durable.Marker = &fence.Marker{Operation: "K7", Kind: "promote"} })
	for _, c := range s.judge() {
		if strings.HasPrefix(c.Code, "ReplicationLag") || c.Code == view.ReplayPaused {
			t.Errorf("%s of a fenced node", c.Code)
		}
	}
}

func TestJudge_ReplayPaused_ProvokedAndResolved(t *testing.T) {
	paused := func(r *view.ServerReport) { r.Status.ReplayPaused = true }
	stuck := func(d time.Duration) func(*view.ServerReport) {
		return func(r *view.ServerReport) { late(0, kib, sec)(r); r.Stuck = d }
	}
	for name, c := range map[string]struct {
		s    *scene
		want []string
	}{
		"replays":                 {pair(t).all("db2", late(0, 0, 0)), nil},
		"paused, nothing waits":   {pair(t).all("db2", paused), []string{"ReplayPaused/db2"}},
		"stuck for a moment":      {pair(t).all("db2", stuck(9*sec)), nil},
		"stuck":                   {pair(t).all("db2", stuck(11*sec)), []string{"ReplayPaused/db2"}},
		"waits as it should":      {pair(t).all("db2", stuck(69*sec)).all("db2", delayed(time.Minute)), nil},
		"waits longer than that":  {pair(t).all("db2", stuck(71*sec)).all("db2", delayed(time.Minute)), []string{"ReplayPaused/db2"}},
		"a delay may be set":      {pair(t).all("db2", stuck(time.Hour)).all("db2", func(r *view.ServerReport) { r.StatusAge = time.Hour }), []string{"NoSample/db2"}},
		"paused in an old answer": {pair(t).all("db2", paused).all("db2", func(r *view.ServerReport) { r.StatusAge = time.Hour }), []string{"NoSample/db2"}},
	} {
		for _, got := range c.s.want(c.want...) {
			if got.Code == view.ReplayPaused && (got.Severity != alerts.SeverityWarning || got.Hold != 5*time.Minute) {
				t.Errorf("%s: severity %s, hold %s", name, got.Severity, got.Hold)
			}
		}
	}
}

func TestProperty_Lag_UnknownIsNeverZeroAndNothingIsNegative(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := anyView(rt)
		for _, n := range view.BuildStatus(view.StatusInput{View: v, Limits: view.DefaultLimits()}).Nodes {
			g := n.Lag
			if g == nil {
				continue
			}
			if n.Role != replication.RoleStandby || g.Time != nil && *g.Time < 0 {
				rt.Fatalf("%s %s: %+v", n.Node, n.Role, g)
			}
			if known := g.FlushBytes != nil || g.ReplayBytes != nil || g.Time != nil; known != (g.Primary != "") && g.Unknown == "" {
				rt.Fatalf("%s: %+v", n.Node, g)
			}
			if b := g.Heartbeat; b != nil && (b.AtLeast < 0 || b.AtMost != nil && *b.AtMost < b.AtLeast) {
				rt.Fatalf("%s: bounds %+v", n.Node, b)
			}
		}
	})
}

func TestLagLimits_PageBelowWarning_IsRefused(t *testing.T) {
	for name, change := range map[string]func(*view.Limits){
		"bytes": func(l *view.Limits) { l.LagBytesPage = l.LagBytesWarning },
		"zero":  func(l *view.Limits) { l.LagBytesWarning = 0 },
		"time":  func(l *view.Limits) { l.LagTimeWarning = l.LagTimePage },
		"stuck": func(l *view.Limits) { l.ReplayStuck = 0 },
		"hold":  func(l *view.Limits) { l.HoldLagTimePage = -1 },
	} {
		l := view.DefaultLimits()
		change(&l)
		if l.Check() == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if err := view.DefaultLimits().Check(); err != nil {
		t.Error(err)
	}
}
