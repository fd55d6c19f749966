package observe_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

const limit = 30 * time.Second

// vantage is one node's observer on a real pair, judging by itself alone.
type vantage struct {
	*observe.Observer
	pair *demo.Pair
	node string
	up   time.Time
	// limits are those of the judgement, changed where a test cannot wait.
	limits view.Limits
}

func target(s *demo.Server) replication.Target {
	return replication.Target{Host: "127.0.0.1", Port: s.Port, User: "postgres", Database: "postgres", SSLMode: "disable", AppName: "observe_test"}
}

// running is an observer that runs until the test ends.
func running(t *testing.T, o observe.Options) *observe.Observer {
	t.Helper()
	ob, err := observe.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ob.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("observer: %v", err)
		}
	})
	return ob
}

func watchFrom(t *testing.T, p *demo.Pair, node string, change func(*observe.Options)) *vantage {
	t.Helper()
	noLeaks(t)
	o := observe.Options{Node: node, Boot: "boot"}
	for _, s := range p.Servers {
		if s == nil {
			continue
		}
		o.Servers = append(o.Servers, observe.Server{Node: s.Name, Watch: observe.PostgreSQL(target(s), replication.WatchOptions{
			Period: 100 * time.Millisecond, SQLPeriod: 200 * time.Millisecond})})
	}
	if change != nil {
		change(&o)
	}
	return &vantage{running(t, o), p, node, time.Now(), view.DefaultLimits()}
}

// board sends the report through its encoding, as a peer would get it.
func (v *vantage) board(t *testing.T, now time.Time) *view.Board {
	t.Helper()
	b, err := view.Encode(v.Report())
	if err != nil {
		t.Fatal(err)
	}
	r, err := view.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	nodes := []view.NodeInfo{{Name: v.node, Witness: true}}
	for i, s := range v.pair.Servers {
		if s != nil {
			nodes = append(nodes[:i], view.NodeInfo{Name: s.Name})
		}
	}
	board := view.NewBoard("pair", v.node, nodes, v.up)
	board.Put(r, now)
	return board
}

// conditions judges it.
func (v *vantage) conditions(t *testing.T) []alerts.Condition {
	t.Helper()
	now := time.Now()
	return view.Judge(v.board(t, now).View(now), v.limits, now)
}

func (v *vantage) judge(t *testing.T) []string {
	t.Helper()
	var codes []string
	for _, c := range v.conditions(t) {
		// Nobody plays the other service here, and the machine may be busy.
		if c.Code != view.PeerUnreachable && c.Code != view.WatchdogDegraded {
			codes = append(codes, c.Code+"/"+c.Subject)
		}
	}
	return codes
}

func (v *vantage) until(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	testenv.Wait(t, limit, "conditions "+strings.Join(want, " "), func() (bool, string) {
		got := v.judge(t)
		slices.Sort(got)
		var seen []string
		for _, s := range v.Report().Servers {
			seen = append(seen, fmt.Sprintf("%s %s %s %s", s.Node, s.Verdict, s.Cause, s.Role))
		}
		return slices.Equal(got, want) && v.settled(), fmt.Sprintf("%v; %v", got, seen)
	})
}

// settled says that every server has been probed, so that silence means health.
func (v *vantage) settled() bool {
	return !slices.ContainsFunc(v.Report().Servers, func(s view.ServerReport) bool { return s.Age < 0 })
}

func TestReal_KilledPrimary_IsKnownFromTheOtherNodeAlone(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	v := watchFrom(t, p, standby.Name, nil)
	v.until(t)
	for len(v.Changed()) > 0 {
		<-v.Changed()
	}
	testenv.KillServer(t, primary)
	select {
	case <-v.Changed():
	case <-time.After(limit):
		t.Fatal("no signal after the kill")
	}
	v.until(t, "NoPrimary/pair", "PostgresDown/"+primary.Name, "ReplicationDown/"+standby.Name)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := primary.Start(ctx); err != nil {
		t.Fatal(err)
	}
	v.until(t)
}

func TestReal_FrozenPrimary_IsNotCalledDown(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	v := watchFrom(t, p, standby.Name, nil)
	v.until(t)
	testenv.StopGroup(t, primary)
	testenv.Wait(t, limit, "no primary", func() (bool, string) {
		got := v.judge(t)
		return slices.Contains(got, "NoPrimary/pair"), fmt.Sprint(got)
	})
	for _, s := range v.Report().Servers {
		if s.Node == primary.Name && s.Verdict != replication.VerdictHung {
			t.Errorf("verdict %s (%s)", s.Verdict, s.Cause)
		}
	}
	testenv.Continue(t, primary)
	v.until(t)
}

func TestReal_PromotedByHand_TwoPrimaries(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	v := watchFrom(t, p, primary.Name, nil)
	v.until(t)
	if _, err := standby.Ask(t.Context(), "SELECT pg_promote()"); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, limit, "two primaries", func() (bool, string) {
		got := v.judge(t)
		return slices.Contains(got, "TwoPrimaries/pair"), fmt.Sprint(got)
	})
	if err := primary.Exec(t.Context(), "CREATE TABLE only_here AS SELECT generate_series(1, 1000)"); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, limit, "a divergence", func() (bool, string) {
		got := v.judge(t)
		return slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, view.TimelineDivergence) }), fmt.Sprint(got)
	})
}

func TestReal_SynchronousStandbyGone_CommitsStall(t *testing.T) {
	p := testenv.NewPair(t, testenv.Sync())
	primary, standby := p.Servers[0], p.Servers[1]
	probe, err := replication.NewCommitProbe(target(primary), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	v := watchFrom(t, p, primary.Name, func(o *observe.Options) {
		o.Commit, o.MayCommit = probe, func() bool { return true }
		o.CommitPeriod, o.Misses = 100*time.Millisecond, 2
	})
	v.until(t)
	testenv.KillServer(t, standby)
	v.until(t, "CommitsFailing/"+primary.Name, "SyncStandbyMissing/"+primary.Name, "SlotInactive/"+primary.Name+"/"+demo.SlotName(standby.Name),
		"PostgresDown/"+standby.Name, "ReplicationDown/"+standby.Name)
	for _, s := range v.Report().Servers {
		if s.Node == primary.Name && s.Verdict != replication.VerdictSyncStalled {
			t.Errorf("verdict %s (%s: %s)", s.Verdict, s.Cause, s.Detail)
		}
	}
	startServer(t, standby)
	v.until(t)
}
