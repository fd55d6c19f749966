package observe_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// exec runs statements on a server, each in a session of its own.
func exec(t *testing.T, s *demo.Server, all ...string) {
	t.Helper()
	for _, sql := range all {
		if err := s.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

const fill = "CREATE TABLE IF NOT EXISTS filler (f text); INSERT INTO filler SELECT repeat(md5(random()::text), 30) FROM generate_series(1, 3000)"

func TestReal_Lag_PausedReplayWithWALPending_GrowsOnAnIdlePrimaryAndIsGoneAfterResume(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	v := watchFrom(t, p, standby.Name, nil)
	v.limits.LagBytesWarning, v.limits.LagTimeWarning = 1<<20, 2*time.Second
	v.level(t, standby.Name)
	v.until(t)
	exec(t, standby, "SELECT pg_wal_replay_pause()")
	exec(t, primary, fill)
	began := time.Now()
	testenv.Wait(t, limit, "a lag of 3 s while the primary is idle", func() (bool, string) {
		g := v.lag(t, standby.Name)
		if g == nil || g.Time == nil {
			return false, lagText(g)
		}
		if *g.Time > time.Since(began)+2*time.Second {
			t.Fatalf("%s after %s", lagText(g), time.Since(began))
		}
		return *g.Time >= 3*time.Second && *g.FlushBytes == 0 && *g.ReplayBytes > 1<<20, lagText(g)
	})
	v.until(t, "ReplayPaused/"+standby.Name, "ReplicationLagBytes/"+standby.Name, "ReplicationLagTime/"+standby.Name)
	exec(t, standby, "SELECT pg_wal_replay_resume()")
	v.level(t, standby.Name)
	v.until(t)
}

func TestReal_Lag_ReplayHeldUpByAQuery_IsStuckAndGoesOnAfterIt(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	for _, s := range p.Servers { // on both: a difference is a finding of its own
		exec(t, s, "ALTER SYSTEM SET max_standby_streaming_delay = -1", "SELECT pg_reload_conf()")
	}
	v := watchFrom(t, p, primary.Name, nil)
	v.limits.ReplayStuck = time.Second
	exec(t, primary, fill)
	testenv.Wait(t, limit, "the table on the standby", func() (bool, string) {
		got, err := standby.Ask(t.Context(), "SELECT coalesce(to_regclass('filler')::text, '')")
		return got == "filler", fmt.Sprint(got, err)
	})
	reader, err := standby.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close(t.Context()) }()
	if _, err := reader.Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM filler"); err != nil {
		t.Fatal(err)
	}
	exec(t, primary, "DROP TABLE filler", "SELECT pg_switch_wal()") // its lock waits for the reader
	v.until(t, "ReplayPaused/"+standby.Name)
	if _, err := reader.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	v.until(t)
}

func TestReal_Lag_SteadyWriter_FiguresFollowTheTruth(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	stop := steadily(t, primary, 64)
	defer stop()
	v := watchFrom(t, p, standby.Name, nil)
	testenv.Wait(t, limit, "figures", func() (bool, string) {
		g := v.lag(t, standby.Name)
		return g != nil && g.Time != nil && !g.AtLeast, lagText(g)
	})
	judgeError(t, v.compare(t, standby, 3*time.Second), "steady")
	exec(t, standby, "SELECT pg_wal_replay_pause()")
	if most := judgeError(t, v.compare(t, standby, 3*time.Second), "paused"); most < 2*time.Second {
		t.Errorf("lag up to %s while replay was paused for 3 s", most)
	}
	exec(t, standby, "SELECT pg_wal_replay_resume()")
	stop()
	v.level(t, standby.Name)
}

func TestReal_Lag_RecoveryMinApplyDelay_ShowsTheDelayAndIsNoFinding(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	exec(t, standby, "ALTER SYSTEM SET recovery_min_apply_delay = '3s'", "SELECT pg_reload_conf()")
	stop := steadily(t, primary, 64)
	defer stop()
	v := watchFrom(t, p, primary.Name, nil)
	v.limits.LagTimeWarning = 2500 * time.Millisecond // below the delay: only what lies beyond it counts
	testenv.Wait(t, limit, "a measured lag of about 3 s", func() (bool, string) {
		g := v.lag(t, standby.Name)
		return g != nil && g.Time != nil && !g.AtLeast && g.ApplyDelay == 3*time.Second && *g.Time > 2500*time.Millisecond, lagText(g)
	})
	if most := judgeError(t, v.compare(t, standby, 3*time.Second), "delayed"); most < 2500*time.Millisecond || most > 6*time.Second {
		t.Errorf("lag up to %s with a delay of 3 s", most)
	}
	testenv.Wait(t, limit, "no finding", func() (bool, string) { // one slow probe may show more for a moment
		got := v.judge(t)
		return len(got) == 0, fmt.Sprint(got)
	})
}

func TestReal_Lag_ThinLink_ReceiveLagGrowsAndTimeFollowsTheTruth(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	port := thinLink(t, primary, 100<<10)
	exec(t, standby, fmt.Sprintf("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=%d user=postgres application_name=%s'", port, standby.Name), "SELECT pg_reload_conf()")
	stop := steadily(t, primary, 16<<10)
	defer stop()
	v := watchFrom(t, p, standby.Name, nil)
	testenv.Wait(t, limit, "a receive lag", func() (bool, string) {
		g := v.lag(t, standby.Name)
		return g != nil && g.Time != nil && !g.AtLeast && g.FlushBytes != nil && *g.FlushBytes > 200<<10, lagText(g)
	})
	judgeError(t, v.compare(t, standby, 5*time.Second), "thin link")
}

// With a delay the server reads its own WAL again after a restart, and waits in
// the middle of it: until then its receiver does not start, and it says that it
// has received no more than it has replayed.
func TestReal_Lag_RestartedWithWALPending_ReceiveLagIsUnknownAndNotWrong(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	exec(t, standby, "ALTER SYSTEM SET recovery_min_apply_delay = '1h'", "SELECT pg_reload_conf()")
	v := watchFrom(t, p, primary.Name, nil)
	for range 3 {
		exec(t, primary, fill, "SELECT pg_switch_wal()")
	}
	received := func(what string, ok func(*view.Lag) bool) {
		t.Helper()
		testenv.Wait(t, limit, what, func() (bool, string) {
			g := v.lag(t, standby.Name)
			if g != nil && g.FlushBytes != nil && *g.FlushBytes > 64<<10 && g.Unknown == "" && what != "everything received, nothing replayed" {
				t.Fatalf("bogus: %s", lagText(g))
			}
			return g != nil && ok(g), lagText(g)
		})
	}
	received("everything received, nothing replayed", func(g *view.Lag) bool {
		return g.FlushBytes != nil && *g.FlushBytes == 0 && g.ReplayBytes != nil && *g.ReplayBytes > 4<<20
	})
	if err := standby.Stop(t.Context(), demo.StopFast); err != nil {
		t.Fatal(err)
	}
	if err := standby.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	received("receive lag unknown, replay lag known", func(g *view.Lag) bool {
		return g.FlushBytes == nil && g.ReplayBytes != nil && *g.ReplayBytes > 4<<20 && strings.Contains(g.Unknown, "restarted")
	})
	exec(t, standby, "ALTER SYSTEM SET recovery_min_apply_delay = 0", "SELECT pg_reload_conf()")
	v.level(t, standby.Name)
}

func TestReal_Lag_StandbyRestarted_PrimaryUpOrDown_NeverABogusFigure(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	v := watchFrom(t, p, standby.Name, nil)
	exec(t, primary, fill)
	v.level(t, standby.Name)
	restart := func() {
		t.Helper()
		if err := standby.Stop(t.Context(), demo.StopFast); err != nil {
			t.Fatal(err)
		}
		if err := standby.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	honest := func(what string, done func(*view.Lag) bool) {
		t.Helper()
		testenv.Wait(t, limit, what, func() (bool, string) {
			g := v.lag(t, standby.Name)
			if g != nil && g.FlushBytes != nil && *g.FlushBytes > 64<<10 {
				t.Fatalf("%s: bogus %s", what, lagText(g))
			}
			return done(g), lagText(g)
		})
	}
	zero := func(g *view.Lag) bool {
		return g != nil && g.FlushBytes != nil && *g.FlushBytes == 0 && g.ReplayBytes != nil && *g.ReplayBytes == 0 && *g.Time == 0
	}
	restart()
	honest("level after a restart", zero)
	if err := primary.Stop(t.Context(), demo.StopFast); err != nil {
		t.Fatal(err)
	}
	restart()
	honest("nothing known without a primary", func(g *view.Lag) bool { return g != nil && g.FlushBytes == nil && g.Time == nil && g.Unknown != "" })
	if err := primary.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	honest("level with the primary that is back", zero)
}
