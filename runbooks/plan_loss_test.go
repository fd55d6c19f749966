package runbooks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

func accept(n uint64) Request { return Request{AcceptLossBytes: &n} }

// Rule 8: three figures, each known or unknown, and what has to be typed.
func TestPlanPromoteRule8_Loss(t *testing.T) {
	behind := func(f *Facts) { f.Nodes[1].Status.Receive, f.Nodes[1].Status.Replay = 600, 600 }
	unread := func(f *Facts) { f.Unsealed = nil }
	silent := func(f *Facts) {
		f.Unsealed, f.Nodes[0].Answers, f.Nodes[0].Durable = nil, false, nil
		f.Devices["db1"] = []DeviceFact{{Name: "agent", Grade: fence.GradePower, Ready: true}}
	}
	both := func(a ...func(*Facts)) func(*Facts) {
		return func(f *Facts) {
			for _, c := range a {
				c(f)
			}
		}
	}
	sync := func(f *Facts) {
		f.Nodes[0].Status, f.Nodes[0].StatusAge = &replication.Status{SynchronousStandbyNames: "db2", SynchronousCommit: "on", ServerVersion: 170002,
			Standbys: []replication.StandbyRow{{ApplicationName: "db2", SyncState: "sync"}}}, 21*time.Second
	}
	for name, c := range map[string]struct {
		change  func(*Facts)
		req     Request
		refused bool
		atLeast uint64
		atMost  string
	}{
		"nothing missing on the unsealed disk":      {func(*Facts) {}, Request{}, false, 0, "unknown"},
		"400 bytes missing":                         {behind, Request{}, true, 400, "unknown"},
		"400 missing, 399 accepted":                 {behind, accept(399), true, 400, "unknown"},
		"400 missing, 400 accepted":                 {behind, accept(400), false, 400, "unknown"},
		"400 missing, 400 allowed":                  {both(behind, func(f *Facts) { f.Allowed = 400 }), Request{}, false, 400, "unknown"},
		"400 missing, unknown accepted":             {behind, Request{AcceptLossUnknown: true}, false, 400, "unknown"},
		"not read yet counts as above":              {unread, Request{}, true, 0, "unknown"},
		"not read yet, but will be: a size will do": {unread, accept(0), false, 0, "unknown"},
		"a size below the last sample will not":     {both(unread, behind), accept(399), true, 400, "unknown"},
		"nobody will ever read it":                  {silent, Request{}, true, 0, "unknown"},
		"nobody will ever read it: no size will do": {silent, accept(1 << 30), true, 0, "unknown"},
		"nobody will read it, unknown accepted":     {silent, Request{AcceptLossUnknown: true}, false, 0, "unknown"},
		"a synchronous standby proves it":           {both(silent, sync), Request{}, false, 0, "0"},
		"a synchronous standby, position unseen":    {both(silent, behind, sync), Request{}, false, 0, "0"},
	} {
		t.Run(name, func(t *testing.T) {
			p := PlanPromote(pairFacts(c.change), c.req, "X")
			if c.refused {
				wantRefusal(t, p, ExitRefused, "8", "loss")
				if !strings.Contains(p.Refusal.Hint, "--accept-data-loss") || !strings.Contains(p.Next, "--accept-data-loss") {
					t.Errorf("hint %q, next %q", p.Refusal.Hint, p.Next)
				}
			} else if p.Refusal != nil {
				t.Errorf("refused: %+v", p.Refusal)
			}
			atMost := "unknown"
			if p.Loss.AtMostBytes != nil {
				atMost = fmt.Sprint(*p.Loss.AtMostBytes)
			}
			if p.Loss.AtLeastBytes != c.atLeast || atMost != c.atMost {
				t.Errorf("at least %d, at most %s", p.Loss.AtLeastBytes, atMost)
			}
		})
	}
	rate := func(f *Facts) { f.RateBytes = 50 }
	if l := PlanPromote(pairFacts(behind, unread, rate), Request{}, "X").Loss; l.EstimateBytes == nil || *l.EstimateBytes != 400+50*20 || l.SampleAgeMS != 20_000 {
		t.Errorf("estimate %v, sample of %d ms", l.EstimateBytes, l.SampleAgeMS)
	}
	if l := PlanPromote(pairFacts(func(f *Facts) { f.Nodes[0].Seen[0].Role, f.Unsealed = replication.RoleUnknown, nil }), Request{}, "X").Loss; l.EstimateBytes != nil || l.SampleAgeMS != -1 {
		t.Errorf("a primary that was never seen has a sample: %+v", l)
	}
}

func TestSizeArg_IsNeverBelow(t *testing.T) {
	for _, n := range []uint64{0, 1, 1023, 10 << 10, 10<<10 + 1, 1<<20 - 1, 123456789} {
		arg, unit := sizeArg(n), uint64(1)
		var got uint64
		if s, kib := strings.CutSuffix(arg, "KiB"); kib {
			arg, unit = s, 1024
		}
		if _, err := fmt.Sscanf(arg, "%d", &got); err != nil || got*unit < n || strings.Contains(arg, " ") {
			t.Errorf("%d is typed as %q", n, sizeArg(n))
		}
	}
}

// Rule 11: evidence is re-read when the confirmation arrives; if it is worse, the
// operator is asked again.
func TestWorse_Rule11(t *testing.T) {
	was := PlanPromote(pairFacts(), Request{}, "X")
	for name, c := range map[string]struct {
		now   Plan
		worse bool
	}{
		"the same":                {PlanPromote(pairFacts(), Request{}, "Y"), false},
		"another epoch":           {PlanPromote(pairFacts(func(f *Facts) { f.Own.Epoch.ID = "other" }), Request{}, "X"), true},
		"another target":          {PlanFence(pairFacts(), Request{Node: "db1"}, "X"), true},
		"the primary is back":     {PlanPromote(pairFacts(primarySeen(replication.VerdictHealthy)), Request{}, "X"), true},
		"a weaker fence":          {PlanPromote(pairFacts(func(f *Facts) { f.Devices = nil }), Request{StatedOff: "db1"}, "X"), true},
		"a surer fence":           {PlanPromote(pairFacts(func(f *Facts) { f.Devices["db1"][0].Grade = fence.GradePower }), Request{}, "X"), false},
		"more is lost":            {PlanPromote(pairFacts(func(f *Facts) { f.Unsealed.LSN = 1001 }), accept(1), "X"), true},
		"the loss became unknown": {PlanPromote(pairFacts(func(f *Facts) { f.Unsealed = nil }), Request{AcceptLossUnknown: true}, "X"), true},
	} {
		if text := Worse(was, c.now); (text != "") != c.worse {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// A position that is not known is no position: nothing is counted from it, and no
// gate is green because of it.
func TestPlanPromote_StandbysPositionUnknown_NoFigureIsMadeUp(t *testing.T) {
	p := PlanPromote(pairFacts(func(f *Facts) {
		f.Nodes[1].Status.Receive, f.Nodes[1].Status.Replay = 0, 0
		f.Nodes[0].Seen[0].Position, f.Unsealed.LSN = 50<<20, 50<<20
	}), Request{}, "X")
	if p.Loss.AtLeastBytes != 0 || p.Loss.EstimateBytes != nil || p.Loss.AtMostBytes != nil || p.Loss.Unsealed != 0 || !strings.Contains(p.Loss.Basis, "is not known") {
		t.Errorf("loss %+v", p.Loss)
	}
	for _, g := range p.Gates {
		if (g.Name == "replay" || g.Name == "loss") && g.OK {
			t.Errorf("gate %+v is green", g)
		}
	}
	for _, w := range p.Why {
		if strings.Contains(w, "0/0") {
			t.Errorf("the plan says %q", w)
		}
	}
}
