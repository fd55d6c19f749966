package observe_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// lag is what the status of this one vantage point says of a standby.
func (v *vantage) lag(t *testing.T, node string) *view.Lag {
	t.Helper()
	now := time.Now()
	for _, n := range view.BuildStatus(view.StatusInput{View: v.board(t, now).View(now), Limits: view.DefaultLimits(), At: now}).Nodes {
		if n.Node == node {
			return n.Lag
		}
	}
	t.Fatalf("%s is not listed", node)
	return nil
}

// lagText prints a lag with its figures, for what a wait last saw.
func lagText(g *view.Lag) string {
	if g == nil {
		return "no lag"
	}
	show := func(n *uint64) string {
		if n == nil {
			return "?"
		}
		return fmt.Sprint(*n)
	}
	late := "?"
	if g.Time != nil {
		late = g.Time.String()
	}
	return fmt.Sprintf("flush %s, replay %s, time %s (at least %t) %s", show(g.FlushBytes), show(g.ReplayBytes), late, g.AtLeast, g.Unknown)
}

// level waits until the standby has everything.
func (v *vantage) level(t *testing.T, node string) {
	t.Helper()
	testenv.Wait(t, limit, node+" level with its primary", func() (bool, string) {
		g := v.lag(t, node)
		ok := g != nil && g.FlushBytes != nil && *g.FlushBytes == 0 && g.ReplayBytes != nil && *g.ReplayBytes == 0 && g.Time != nil && *g.Time == 0 && !g.AtLeast
		return ok, lagText(g)
	})
}

// steadily commits a row with its time about fifty times a second, each so many
// bytes long, until the test ends it.
func steadily(t *testing.T, s *demo.Server, bytes int) (stop func()) {
	t.Helper()
	conn, err := s.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS truth (at timestamptz NOT NULL, filler text); CREATE INDEX IF NOT EXISTS truth_at ON truth (at)"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case <-tick.C:
			}
			if _, err := conn.Exec(ctx, "INSERT INTO truth SELECT clock_timestamp(), string_agg(md5(random()::text), '') FROM generate_series(1, $1)", bytes/32); err != nil && ctx.Err() == nil {
				done <- err
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("writer: %v", err)
		}
		_ = conn.Close(context.WithoutCancel(t.Context()))
	})
}

// comparison is what was measured beside what was true, at one moment.
type comparison struct{ measured, truth time.Duration }

// compare reads the lag and, right after it, the age of the newest row that the
// standby shows, for so long.
func (v *vantage) compare(t *testing.T, s *demo.Server, during time.Duration) []comparison {
	t.Helper()
	conn, err := s.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var all []comparison
	end := time.Now().Add(during)
	testenv.Wait(t, during+limit, "the end of the comparison", func() (bool, string) {
		g := v.lag(t, s.Name)
		var truth *float64 // no row at all has come through yet
		err := conn.QueryRow(t.Context(), "SELECT extract(epoch FROM clock_timestamp() - max(at)) FROM truth").Scan(&truth)
		if err == nil && truth != nil && g != nil && g.Time != nil && !g.AtLeast {
			all = append(all, comparison{*g.Time, time.Duration(*truth * float64(time.Second))})
		}
		return time.Now().After(end), lagText(g)
	})
	return all
}

// judgeError fails when the figures are far from the truth: the bounds are wide,
// because a laden machine delays every probe; benchmarks assert the rest.
func judgeError(t *testing.T, all []comparison, what string) (most time.Duration) {
	t.Helper()
	if len(all) < 20 {
		t.Fatalf("%s: only %d comparisons", what, len(all))
	}
	var errs []time.Duration
	for _, c := range all {
		errs = append(errs, (c.measured - c.truth).Abs())
		most = max(most, c.measured)
	}
	slices.Sort(errs)
	median, p95 := errs[len(errs)/2], errs[len(errs)*95/100]
	t.Logf("%s: %d comparisons, lag up to %s, error p50 %s, p95 %s, worst %s", what, len(errs), most, median, p95, errs[len(errs)-1])
	if median > 500*time.Millisecond || p95 > 2*time.Second {
		t.Errorf("%s: error p50 %s, p95 %s", what, median, p95)
	}
	return most
}

// thinLink relays to a server and lets so many bytes a second come back.
func thinLink(t *testing.T, to *demo.Server, perSecond int) (port int) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { relay(ctx, c, to.Port, perSecond) })
		}
	})
	_, text, _ := net.SplitHostPort(l.Addr().String())
	if _, err := fmt.Sscan(text, &port); err != nil {
		t.Fatal(err)
	}
	return port
}

func relay(ctx context.Context, c net.Conn, port, perSecond int) {
	up, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		_ = c.Close()
		return
	}
	over := context.AfterFunc(ctx, func() { _, _ = c.Close(), up.Close() })
	defer over()
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(up, c)
		_ = up.Close()
	})
	both.Go(func() {
		defer func() { _ = c.Close() }()
		const slices = 20 // a second
		tick := time.NewTicker(time.Second / slices)
		defer tick.Stop()
		for range tick.C {
			if _, err := io.CopyN(c, up, int64(perSecond/slices)); err != nil {
				return
			}
		}
	})
	both.Wait()
}
