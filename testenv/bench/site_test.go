package bench

import (
	"context"
	"errors"
	"os"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// hold is every hold time of the sites; it is taken off where a target says so.
const hold = 2 * time.Second

// newSite makes a healthy, adopted pair with its services; the caller closes it.
func newSite(b *testing.B, options ...func(*demo.SiteOptions)) *demo.Site {
	b.Helper()
	testenv.NeedPostgres(b)
	ctx, cancel := context.WithTimeout(b.Context(), 3*time.Minute)
	defer cancel()
	o := demo.SiteOptions{Binary: testenv.Program(b), Hold: hold}
	for _, opt := range options {
		opt(&o)
	}
	s, err := demo.NewSite(ctx, o)
	if err != nil {
		b.Fatalf("make site: %v", err)
	}
	b.Cleanup(func() {
		if b.Failed() {
			for _, n := range s.Nodes {
				b.Logf("end of the service log of %s:\n%s", n.Name, n.Log(6000))
			}
		}
	})
	return s
}

func closeSite(b *testing.B, s *demo.Site) {
	b.Helper()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// The settings in which the demo differs from what a file without them gives.
var (
	demoApp  = regexp.MustCompile(`period: 1s, timeout: 1s, `)
	demoHold = regexp.MustCompile(`(?m)^hold(_down)?: .*\n`)
)

// useDefaults takes the demo's shorter periods and holds out of every node's
// configuration and restarts the services.
func useDefaults(b *testing.B, s *demo.Site) {
	b.Helper()
	for _, n := range s.Nodes {
		text, err := os.ReadFile(n.Config)
		if err != nil {
			b.Fatal(err)
		}
		if !demoApp.Match(text) || !demoHold.Match(text) {
			b.Fatal("the demo's configuration has changed: say here what its defaults would be")
		}
		text = demoHold.ReplaceAll(demoApp.ReplaceAll(text, nil), nil)
		if err := os.WriteFile(n.Config, text, 0o600); err != nil {
			b.Fatal(err)
		}
		if err := s.StopService(n); err != nil {
			b.Fatal(err)
		}
		if err := s.StartService(b.Context(), n); err != nil {
			b.Fatal(err)
		}
	}
}

// kill ends every process of a server at once and says when it began. The
// processes are listed beforehand, so that the clock starts with the first
// signal; all are stopped before the first is killed, as in a power cut.
func kill(b *testing.B, s *demo.Server) time.Time {
	b.Helper()
	pids, err := s.Processes()
	if err != nil || len(pids) == 0 {
		b.Fatalf("list processes of %s: %v, %v", s.Name, pids, err)
	}
	began := time.Now()
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
		for _, pid := range pids {
			if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				b.Fatalf("signal %d: %v", pid, err)
			}
		}
	}
	return began
}

// reap waits until nothing of a killed server is left, a backend that was being
// forked at that moment included.
func reap(b *testing.B, s *demo.Server) {
	b.Helper()
	if err := s.Kill(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// awaitHealthy waits until a node's service finds nothing wrong.
func awaitHealthy(b *testing.B, n *demo.SiteNode) {
	b.Helper()
	c := control.NewLocalClient(n.Socket)
	defer c.Close()
	testenv.Wait(b, time.Minute, "state HEALTHY on "+n.Name, func() (bool, string) {
		st, err := status(b.Context(), c)
		if err != nil {
			return false, err.Error()
		}
		return st.State == "HEALTHY" && len(st.Open) == 0, st.State + ": " + st.Summary
	})
}

func status(ctx context.Context, c *control.Client) (view.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return control.Call(ctx, c, control.Status, "", control.None{})
}
