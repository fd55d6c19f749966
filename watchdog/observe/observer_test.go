package observe_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

const ms = time.Millisecond

// fake is a watcher that the test plays.
type fake struct {
	hooks observe.Hooks
	end   chan error
}

func (f *fake) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-f.end:
		return err
	}
}

func (f *fake) server(node string) observe.Server {
	f.end = make(chan error, 1)
	return observe.Server{Node: node, Watch: func(h observe.Hooks) (observe.Watcher, error) {
		f.hooks = h
		return f, nil
	}}
}

func (f *fake) healthy(role replication.Role, at replication.LSN) {
	f.hooks.OnSample(replication.Sample{At: time.Now(), Verdict: replication.VerdictHealthy, SystemID: 7, Role: role, Timeline: 2, Position: at})
}

func (f *fake) miss(v replication.Verdict) {
	f.hooks.OnSample(replication.Sample{At: time.Now(), Verdict: v, Cause: "ECONNREFUSED"})
}

// run starts an observer inside a bubble and gives the way to end it.
func run(t *testing.T, o observe.Options) (*observe.Observer, func()) {
	t.Helper()
	o.Node, o.Boot = "db1", "boot"
	ob, err := observe.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ob.Run(ctx) }()
	synctest.Wait()
	return ob, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run ended with %v", err)
		}
	}
}

func signalled(ob *observe.Observer) bool {
	select {
	case <-ob.Changed():
		return true
	default:
		return false
	}
}

func TestReport_AgesCountFromTheSampleOnTheMonotonicClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		ob, stop := run(t, observe.Options{Servers: []observe.Server{f.server("db2")}})
		defer stop()
		if s := ob.Report().Servers[0]; s.Verdict != replication.VerdictUnknown || s.Age != view.Never || s.Answered != view.Never ||
			s.StatusAge != view.Never || s.Processes != -1 {
			t.Fatalf("before the first sample: %+v", s)
		}
		f.healthy(replication.RoleStandby, 100)
		pass(500 * ms)
		f.healthy(replication.RoleStandby, 200)
		f.hooks.OnStatus(replication.Status{At: time.Now(), InRecovery: true})
		pass(500 * ms)
		f.healthy(replication.RoleStandby, 200)
		pass(100 * ms)
		s := ob.Report().Servers[0]
		if s.Age != 100*ms || s.Since != 1100*ms || s.Answered != 100*ms || s.RoleSince != 1100*ms || s.StatusAge != 600*ms {
			t.Errorf("ages %+v", s)
		}
		if s.Advanced != 1100*ms {
			t.Errorf("advanced %s ago; it was last known to be lower 1.1s ago", s.Advanced)
		}
	})
}

func TestReport_AfterAMiss_KeepsTheLastAnswerAndForgetsTheRoleSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		ob, stop := run(t, observe.Options{Servers: []observe.Server{f.server("db2")}})
		defer stop()
		f.healthy(replication.RolePrimary, 100)
		pass(time.Second)
		f.miss(replication.VerdictDown)
		pass(2 * time.Second)
		f.miss(replication.VerdictDown)
		s := ob.Report().Servers[0]
		if s.Verdict != replication.VerdictDown || s.Cause != "ECONNREFUSED" || s.Since != 2*time.Second || s.Age != 0 {
			t.Errorf("miss %+v", s)
		}
		if s.Role != replication.RolePrimary || s.Position != 100 || s.Answered != 3*time.Second || s.RoleSince != view.Never {
			t.Errorf("last answer %+v", s)
		}
		f.healthy(replication.RolePrimary, 100)
		pass(300 * ms)
		if s = ob.Report().Servers[0]; s.RoleSince != 300*ms {
			t.Errorf("role seen for %s across a miss", s.RoleSince)
		}
	})
}

func TestReport_HistoryOfAnotherTimeline_IsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		ob, stop := run(t, observe.Options{Servers: []observe.Server{f.server("db2")}})
		defer stop()
		f.healthy(replication.RolePrimary, 100)
		f.hooks.OnHistory(replication.History{Timeline: 3, Parents: []replication.HistoryEntry{{Timeline: 2, SwitchPoint: 90}}})
		if h := ob.Report().Servers[0].History; len(h) != 0 {
			t.Errorf("history %v beside timeline 2", h)
		}
		f.hooks.OnHistory(replication.History{Timeline: 2, Parents: []replication.HistoryEntry{{Timeline: 1, SwitchPoint: 50}}})
		if h := ob.Report().Servers[0].History; len(h) != 1 || h[0].SwitchPoint != 50 {
			t.Errorf("history %v", h)
		}
	})
}

func TestReport_IsAlwaysEncodable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		ob, stop := run(t, observe.Options{Servers: []observe.Server{f.server("db1")}, Edges: []string{"db2"},
			Edge: func(context.Context, string) (observe.Edge, error) { return observe.Edge{}, errors.New("no\x1bway") },
			App:  func(context.Context) observe.AppAnswer { return observe.AppAnswer{Reason: "connection refused"} }})
		defer stop()
		encode := func() {
			t.Helper()
			if _, err := view.Encode(ob.Report()); err != nil {
				t.Error(err)
			}
		}
		encode()
		f.miss(replication.VerdictDown)
		encode()
		f.healthy(replication.RolePrimary, 100)
		f.hooks.OnStatus(replication.Status{At: time.Now()})
		f.hooks.OnHistory(replication.History{Timeline: 2, Parents: []replication.HistoryEntry{{Timeline: 1, SwitchPoint: 50}}})
		encode()
	})
}

func TestChanged_SignalsTransitionsAndNotTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{}
		ob, stop := run(t, observe.Options{Servers: []observe.Server{f.server("db2")}})
		defer stop()
		for _, c := range []struct {
			what string
			do   func()
			want bool
		}{
			{"first answer", func() { f.healthy(replication.RoleStandby, 1) }, true},
			{"same again", func() { f.healthy(replication.RoleStandby, 2) }, false},
			{"promoted", func() { f.healthy(replication.RolePrimary, 3) }, true},
			{"killed", func() { f.miss(replication.VerdictDown) }, true},
			{"still down", func() { f.miss(replication.VerdictDown) }, false},
			{"unreachable", func() { f.miss(replication.VerdictUnreachable) }, true},
			{"back", func() { f.healthy(replication.RolePrimary, 3) }, true},
		} {
			c.do()
			if got := signalled(ob); got != c.want {
				t.Errorf("%s: signalled %t, want %t", c.what, got, c.want)
			}
		}
	})
}

func TestReport_SequenceGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ob, stop := run(t, observe.Options{Witness: true, Program: "1.0"})
		defer stop()
		a, b := ob.Report(), ob.Report()
		if b.Seq != a.Seq+1 || a.Boot != "boot" || !a.Witness || a.App != nil || a.Format != view.ReportFormat {
			t.Errorf("%+v then %d", a, b.Seq)
		}
	})
}

func TestApp_CountsMisses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer box[observe.AppAnswer]
		answer.set(observe.AppAnswer{OK: true, Status: 200})
		ob, stop := run(t, observe.Options{AppURL: "http://app/", App: func(context.Context) observe.AppAnswer {
			time.Sleep(30 * ms)
			return answer.get()
		}})
		defer stop()
		pass(time.Second)
		if a := ob.Report().App; !a.OK || a.Latency != 30*ms || a.Age != 970*ms || a.URL != "http://app/" {
			t.Errorf("good answer %+v", a)
		}
		answer.set(observe.AppAnswer{Status: 502, Reason: "want status 200"})
		pass(10 * time.Second)
		if signalled(ob) {
			t.Error("signalled after two misses")
		}
		pass(5 * time.Second)
		if a := ob.Report().App; a.OK || a.Misses != 3 || a.Status != 502 || a.Detail != "want status 200" || !signalled(ob) {
			t.Errorf("after three misses %+v", a)
		}
		answer.set(observe.AppAnswer{OK: true, Status: 200})
		pass(5 * time.Second)
		if a := ob.Report().App; a.Misses != 0 || !signalled(ob) {
			t.Errorf("after recovery %+v", a)
		}
	})
}

func TestEdge_DeadlineBoundsAMeasurement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang box[bool]
		ob, stop := run(t, observe.Options{Edges: []string{"db2"}, Edge: func(ctx context.Context, node string) (observe.Edge, error) {
			if hang.get() {
				<-ctx.Done()
				return observe.Edge{}, ctx.Err()
			}
			return observe.Edge{RTT: 2 * ms, Skew: -time.Second}, nil
		}})
		defer stop()
		if e := ob.Report().Edges[0]; !e.OK || e.RTT != 2*ms || e.Skew != -time.Second || e.Answered != 0 || !signalled(ob) {
			t.Errorf("edge %+v", e)
		}
		hang.set(true)
		pass(observe.DefaultEdgePeriod + observe.DefaultEdgeDeadline + 500*ms)
		e := ob.Report().Edges[0]
		if e.OK || e.Answered != 3500*ms || !strings.Contains(e.Detail, "deadline") || !signalled(ob) {
			t.Errorf("dead edge %+v", e)
		}
	})
}

func TestRun_WatcherThatStops_EndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, cause := range map[string]error{"by itself": nil, "with an error": errors.New("broken")} {
			f := &fake{}
			ob, err := observe.New(observe.Options{Node: "db1", Boot: "b", Servers: []observe.Server{f.server("db2")}})
			if err != nil {
				t.Fatal(err)
			}
			f.end <- cause
			if err := ob.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "db2") || cause != nil && !errors.Is(err, cause) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestHost_WorstGapIsKeptForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A clock that stands beside the bubble's: a stopped process sees it jump.
		var away box[time.Duration]
		now := func() time.Time { return time.Now().Add(away.get()) }
		ob, stop := run(t, observe.Options{Now: now, DataDir: t.TempDir()})
		defer stop()
		pass(1500 * ms)
		away.set(30 * time.Second)
		pass(time.Second)
		if h := ob.Report().Host; h.LoopGap != 30*time.Second || h.DataFreeBytes <= 0 || h.DataTotalBytes < h.DataFreeBytes {
			t.Errorf("host %+v", h)
		}
		pass(55 * time.Second)
		if h := ob.Report().Host; h.LoopGap != 30*time.Second {
			t.Errorf("forgot the gap after 55 s: %+v", h)
		}
		pass(10 * time.Second)
		if h := ob.Report().Host; h.LoopGap != 0 {
			t.Errorf("still keeps the gap: %+v", h)
		}
	})
}

func TestProcesses_AreCountedAtOnceWhenTheServerIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n, asked box[int]
		n.set(6)
		f := &fake{}
		ob, stop := run(t, observe.Options{Servers: []observe.Server{f.server("db1")}, Processes: func() (int, error) {
			asked.set(asked.get() + 1)
			if n.get() < 0 {
				return 3, errors.New("permission denied")
			}
			return n.get(), nil
		}})
		defer stop()
		f.healthy(replication.RolePrimary, 1)
		pass(20500 * ms)
		if got := asked.get(); got > 4 {
			t.Errorf("asked %d times in 20 s of health", got)
		}
		f.miss(replication.VerdictDown)
		n.set(0)
		pass(time.Second)
		if got := ob.Report().Servers[0].Processes; got != 0 {
			t.Errorf("%d processes", got)
		}
		n.set(-1)
		pass(time.Second)
		if got := ob.Report().Servers[0].Processes; got != -1 {
			t.Errorf("%d processes although some could not be read", got)
		}
	})
}

func TestNew_MissingParts_AreNamed(t *testing.T) {
	for want, o := range map[string]observe.Options{
		"boot id":            {Node: "db1"},
		"application period": {Node: "db1", Boot: "b", AppPeriod: -1},
		"cannot be measured": {Node: "db1", Boot: "b", Edges: []string{"db2"}},
		"watcher":            {Node: "db1", Boot: "b", Servers: []observe.Server{{Node: "db2"}}},
	} {
		if _, err := observe.New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want it to name %q", err, want)
		}
	}
}
