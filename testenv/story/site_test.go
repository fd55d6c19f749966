package story

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// site is a whole installation under test.
type site struct {
	*demo.Site
	t *testing.T
}

type option func(*demo.SiteOptions)

func synchronous(o *demo.SiteOptions) { o.Pair.Sync = true }
func withWitness(o *demo.SiteOptions) { o.Witness = true }
func notAdopted(o *demo.SiteOptions)  { o.NoAdopt = true }

// extra adds lines to every node's configuration.
func extra(yaml string) option { return func(o *demo.SiteOptions) { o.Extra += yaml } }

// newSite starts a healthy, adopted pair with its services; it ends with the
// test, which fails when a service reported a data race.
func newSite(t *testing.T, options ...option) *site {
	t.Helper()
	testenv.NeedPostgres(t)
	o := demo.SiteOptions{Binary: testenv.Program(t), Hold: time.Second}
	for _, opt := range options {
		opt(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	s, err := demo.NewSite(ctx, o)
	if err != nil {
		t.Fatalf("make site: %v", err)
	}
	x := &site{Site: s, t: t}
	t.Cleanup(x.end)
	return x
}

func (s *site) end() {
	for _, n := range s.Nodes {
		log := n.Log(1 << 20)
		if strings.Contains(log, "DATA RACE") {
			s.t.Errorf("data race in the service of %s", n.Name)
		}
		if s.t.Failed() {
			s.t.Logf("end of the service log of %s:\n%s", n.Name, n.Log(12000))
		}
	}
	if s.t.Failed() {
		for _, p := range s.Pair.Servers {
			s.t.Logf("end of the PostgreSQL log of %s:\n%s", p.Name, p.LogTail(4000))
		}
	}
	if err := s.Close(); err != nil {
		s.t.Error(err)
	}
}

// answer is what one command line gave.
type answer struct {
	out, err string
	exit     int
}

func (a answer) String() string { return fmt.Sprintf("exit %d\n%s%s", a.exit, a.out, a.err) }

// watchdog types a command line at a node.
func (s *site) watchdog(node string, args ...string) answer {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	out, errs, exit := s.Run(ctx, s.Node(node), args...)
	return answer{out, errs, exit}
}

// wants types a command line and fails unless it ends with the exit code.
func (s *site) wants(exit int, node string, args ...string) answer {
	s.t.Helper()
	a := s.watchdog(node, args...)
	if a.exit != exit {
		s.t.Fatalf("watchdog %s on %s: want exit %d, got %s", strings.Join(args, " "), node, exit, a)
	}
	return a
}

// status gives the status document of a node's service.
func (s *site) status(node string) (view.Status, error) {
	// Over the socket as the command does it, without a process per look.
	c := control.NewLocalClient(s.Node(node).Socket)
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return control.Call(ctx, c, control.Status, "", control.None{})
}

// awaitCondition waits until a condition fires on a node.
func (s *site) awaitCondition(node, code string) view.OpenCondition {
	s.t.Helper()
	var found view.OpenCondition
	testenv.Wait(s.t, 30*time.Second, code+" on "+node, func() (bool, string) {
		st, err := s.status(node)
		if err != nil {
			return false, err.Error()
		}
		for _, c := range st.Open {
			if c.Code == code && c.Firing {
				found = c
				return true, ""
			}
		}
		return false, fmt.Sprintf("%s: %s, open %+v", st.State, st.Summary, st.Open)
	})
	return found
}

// awaitState waits for the overall state on a node.
func (s *site) awaitState(node, state string) {
	s.t.Helper()
	testenv.Wait(s.t, 40*time.Second, "state "+state+" on "+node, func() (bool, string) {
		st, err := s.status(node)
		if err != nil {
			return false, err.Error()
		}
		return st.State == state, fmt.Sprintf("%s: %s, open %+v", st.State, st.Summary, st.Open)
	})
}

// plan gives the plan that a command shows.
func (s *site) plan(node string, args ...string) runbooks.Plan {
	s.t.Helper()
	a := s.watchdog(node, append(args, "--json")...)
	var doc struct {
		Plan runbooks.Plan `json:"plan"`
	}
	if err := json.Unmarshal([]byte(a.out), &doc); err != nil {
		s.t.Fatalf("plan of watchdog %s: %v: %s", strings.Join(args, " "), err, a)
	}
	return doc.Plan
}

// kill ends a node's server as a power loss would.
func (s *site) kill(node string) {
	s.t.Helper()
	if err := s.Pair.Server(node).Kill(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// inRecovery asks a server itself.
func (s *site) inRecovery(node string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.Pair.Server(node).InRecovery(ctx)
}

// startThroughGate starts a node's server as its unit would.
func (s *site) startThroughGate(node string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return s.StartThroughGate(ctx, s.Node(node))
}

// ledger starts a client that writes through the whole incident.
func (s *site) ledger() *demo.Ledger {
	s.t.Helper()
	l, err := demo.NewLedger(demo.LedgerOptions{Servers: s.Pair.Servers[:], Pinned: true})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		<-done
	})
	testenv.Wait(s.t, 20*time.Second, "the ledger writes", func() (bool, string) {
		return l.Acked() > 50, fmt.Sprintf("%d rows acknowledged", l.Acked())
	})
	return l
}
