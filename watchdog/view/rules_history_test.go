package view_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// onTimeline puts a server on a timeline whose parents are given.
func onTimeline(tl replication.Timeline, pos replication.LSN, parents ...view.HistoryLine) func(*view.ServerReport) {
	return func(r *view.ServerReport) {
		r.Timeline, r.Position, r.History = tl, pos, parents
		if r.Role == replication.RoleStandby {
			r.Status.Receive, r.Status.Replay = pos, pos
		}
	}
}

func line(tl replication.Timeline, at replication.LSN) view.HistoryLine {
	return view.HistoryLine{Timeline: tl, SwitchPoint: at}
}

func TestJudge_TimelineDivergence(t *testing.T) {
	p5, p6 := line(5, 0x4000000000), line(6, 0x4900000000)
	cases := map[string]struct {
		primary, standby func(*view.ServerReport)
		want             bool
	}{
		"same timeline, same history": {onTimeline(7, 0x4A00000000, p5, p6), onTimeline(7, 0x49FFFFFF00, p5, p6), false},
		"standby before the switch point": {
			onTimeline(7, 0x4A00000000, p5, p6), onTimeline(6, 0x4900000000, p5), false},
		"standby past the switch point": {
			onTimeline(7, 0x4A00000000, p5, p6), onTimeline(6, 0x4900000060, p5), true},
		"standby on a timeline that the primary never had": {
			onTimeline(7, 0x4A00000000, p5, p6), onTimeline(4, 0x3900000000), true},
		"standby on a later timeline": {
			onTimeline(7, 0x4A00000000, p5, p6), onTimeline(8, 0x4A00000100, p5, p6, line(7, 0x4A00000000)), true},
		"same number, different histories": {
			onTimeline(7, 0x4A00000000, p5, p6), onTimeline(7, 0x4A00000000, p5, line(6, 0x4900000060)), true},
		"history not read yet": {onTimeline(7, 0x4A00000000), onTimeline(6, 0x4900000060), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			all := pair(t).all("db1", c.primary).all("db2", c.standby).judge()
			got := false
			for _, cond := range all {
				got = got || cond.Code == view.TimelineDivergence
			}
			if got != c.want {
				t.Errorf("conditions are %v, want a divergence: %t", keys(all), c.want)
			}
		})
	}
}

// without takes every epoch away: a pair that was never adopted.
func (s *scene) without() *scene {
	for _, n := range s.v.Nodes {
		s.report(n.Name, func(r *view.Report) { r.Durable.Epoch = fence.Epoch{} })
		s.all(n.Name, func(r *view.ServerReport) {
			if r.Status != nil {
				r.Status.Epoch = nil
			}
		})
	}
	return s
}

func TestJudge_BothPromotedToOneTimelineNumber_ThePartingIsToldInBytes(t *testing.T) {
	p5 := line(5, 0x4000000000)
	s := pair(t).all("db2", primaryNow(time.Minute)).
		all("db1", onTimeline(7, 0x4A00000400, p5, line(6, 0x4900000100))).
		all("db2", onTimeline(7, 0x4900000900, p5, line(6, 0x4900000300)))
	const want = "they part at 49/100: db1 holds 4294968064 bytes after it that db2 lacks, db2 holds 2048 bytes that db1 lacks"
	all := s.judge()
	if c := pick(t, all, view.TimelineDivergence); c.Subject != "db2" || !strings.Contains(c.Text, want) {
		t.Errorf("%s: %s", c.Subject, c.Text)
	}
	if c := pick(t, all, view.TwoPrimaries); !slices.Contains(c.Evidence, want) {
		t.Errorf("evidence %q", c.Evidence)
	}
	s.report("db1", func(r *view.Report) {
		r.Alone = &view.AloneReport{Timeline: 7, SwitchPoint: 0x4900000100, End: 0x4A00000400, Commits: 12, Age: sec}
	})
	s.report("db2", func(r *view.Report) { // of another parting
		r.Alone = &view.AloneReport{Timeline: 7, SwitchPoint: 0x4900000200, End: 0x4A00000400, Commits: 13}
	})
	for _, code := range []string{view.TimelineDivergence, view.TwoPrimaries} {
		evidence := strings.Join(pick(t, s.judge(), code).Evidence, "\n")
		if !strings.Contains(evidence, "at least 12 transactions were committed there alone, from 49/100 to 4A/400") || strings.Contains(evidence, " 13 ") {
			t.Errorf("%s: evidence\n%s", code, evidence)
		}
	}
	if on, at, bytes, ok := view.Parting(s.v, view.DefaultLimits(), "db2"); on != 7 || at != 0x4900000100 || bytes != 2048 || !ok {
		t.Errorf("db2 parted on %d at %s with %d bytes (%t)", on, at, bytes, ok)
	}
	if _, _, _, ok := view.Parting(pair(t).v, view.DefaultLimits(), "db2"); ok {
		t.Error("a healthy standby has parted")
	}
	same := pair(t).all("db2", primaryNow(time.Minute)).judge()
	if slices.Contains(keys(same), "TimelineDivergence/db2") {
		t.Error("a parting where both histories are equal")
	}
}

func TestJudge_StandbyPastTheSwitchPoint_TheTextSaysWhereAndHowMuch(t *testing.T) {
	s := pair(t).all("db1", onTimeline(7, 0x4900000500, line(6, 0x4900000000))).all("db2", onTimeline(6, 0x4900000060))
	c := pick(t, s.judge(), view.TimelineDivergence)
	if want := "they part at 49/0: db1 holds 1280 bytes after it that db2 lacks, db2 holds 96 bytes that db1 lacks"; !strings.Contains(c.Text, want) {
		t.Errorf("%s", c.Text)
	}
}

func TestJudge_NoEpoch_TheOlderTimelinesPrimaryIsSuperseded(t *testing.T) {
	for name, c := range map[string]struct {
		old  replication.LSN
		text string
	}{
		"nothing written since": {0x4900000000, "db1 still runs as primary on timeline 6, which db2 left for timeline 7 at 49/0: db1 holds nothing that db2 lacks."},
		"wrote on":              {0x4900000020, "db1 still runs as primary on timeline 6, which db2 left for timeline 7 at 49/0: db1 holds 32 bytes that db2 lacks."},
	} {
		s := pair(t).all("db2", primaryNow(time.Minute)).without().
			all("db1", onTimeline(6, c.old)).all("db2", onTimeline(7, 0x4900000500, line(6, 0x4900000000)))
		if got := pick(t, s.judge(), view.SupersededPrimary); got.Subject != "db1" || got.Text != c.text {
			t.Errorf("%s: %s: %s", name, got.Subject, got.Text)
		}
	}
	s := pair(t).all("db2", primaryNow(time.Minute)).all("db1", onTimeline(6, 0x4900000000)).
		all("db2", onTimeline(7, 0x4900000500, line(6, 0x4900000000)))
	if slices.Contains(keys(s.judge()), "SupersededPrimary/db1") {
		t.Error("the epoch's own primary is called superseded by a promotion that nobody recorded")
	}
	if slices.Contains(keys(pair(t).without().judge()), "SupersededPrimary/db1") {
		t.Error("superseded by a standby")
	}
}

func TestJudge_StandbyAheadInAnOlderAnswer_HasParted(t *testing.T) {
	ahead := func(r *view.ServerReport) { r.Position += 4096 }
	older := func(r *view.ServerReport) { ahead(r); r.Answered, r.Age = 400*ms, 400*ms }
	younger := func(r *view.ServerReport) { ahead(r); r.Answered, r.Age = 0, 0 }
	pair(t).sees("db2", "db2", younger).want() // the bytes may have come after the primary's answer
	c := pick(t, pair(t).sees("db2", "db2", older).judge(), view.TimelineDivergence)
	if !strings.Contains(c.Text, "4096 bytes") || c.Severity != alerts.SeverityPage || !c.NeverSilenced {
		t.Errorf("%s: %s (never silenced: %t)", c.Severity, c.Text, c.NeverSilenced)
	}
}

// Both servers are asked at one beat: the standby's answer may be there first and
// still have been read last. Only what was there before the question counts.
func TestJudge_StandbyAheadInAnAnswerOfTheSameBeat_ProvesNothing(t *testing.T) {
	slow := func(r *view.ServerReport) { r.Took = 20 * ms } // answered 100 ms ago, asked 120 ms ago
	crossing := func(r *view.ServerReport) { r.Position += 4096; r.Answered, r.Age = 110*ms, 110*ms }
	pair(t).sees("db2", "db1", slow).sees("db2", "db2", crossing).want()
	unknown := func(r *view.ServerReport) { r.Took = 0 } // a service of before
	old := func(r *view.ServerReport) { r.Position += 4096; r.Answered, r.Age = 400*ms, 400*ms }
	pair(t).sees("db2", "db1", unknown).sees("db2", "db2", old).want()
	// The answer of the beat before was there for sure.
	prior := func(r *view.ServerReport) {
		crossing(r)
		r.Prior = &view.PriorAnswer{Position: r.Position - 96, Answered: 600 * ms}
	}
	c := pick(t, pair(t).sees("db2", "db1", slow).sees("db2", "db2", prior).judge(), view.TimelineDivergence)
	if !strings.Contains(c.Text, "4000 bytes") {
		t.Error(c.Text)
	}
}

func TestJudge_FencedFormerPrimaryHasParted_IsNoPage(t *testing.T) {
	s := pair(t).all("db1", onTimeline(7, 0x4900000060, line(6, 0x4900000000))).
		all("db2", onTimeline(6, 0x4900000060)).
		report("db2", func(r *view.Report) { r.Durable.Marker = &fence.Marker{Operation: "K7", Kind: "promote"} })
	if c := pick(t, s.judge(), view.TimelineDivergence); c.Severity != alerts.SeverityWarning {
		t.Errorf("severity %s", c.Severity)
	}
}

func TestJudge_OneEpochNumberMadeTwice_IsADivergence(t *testing.T) {
	s := pair(t).report("db2", func(r *view.Report) { r.Durable.Epoch.ID = "other" })
	c := pick(t, s.judge(), view.TimelineDivergence)
	if c.Subject != view.SubjectPair || len(c.Evidence) != 2 {
		t.Errorf("%s %v", c.Subject, c.Evidence)
	}
}
