package netlab

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// site is a pair with a witness, each in a namespace of its own.
type site struct {
	*demo.Site
	net *Network
	t   *testing.T
	ctx context.Context
}

// newSite starts one that is healthy and adopted, with holds of a second; it
// ends with the test.
func newSite(t *testing.T) *site {
	t.Helper()
	Need(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	n, err := New(ctx, "db1", "db2", "wit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	s, err := demo.NewSite(ctx, demo.SiteOptions{Pair: demo.Options{Network: n.Site()}, Binary: testenv.Program(t), Hold: time.Second, Witness: true})
	if err != nil {
		t.Fatalf("make site: %v", err)
	}
	x := &site{Site: s, net: n, t: t, ctx: ctx}
	t.Cleanup(x.end)
	return x
}

func (s *site) end() {
	for _, n := range s.Nodes {
		if strings.Contains(n.Log(1<<20), "DATA RACE") {
			s.t.Errorf("data race in the service of %s", n.Name)
		}
		if s.t.Failed() {
			s.t.Logf("end of the service log of %s:\n%s", n.Name, n.Log(12000))
		}
	}
	if err := s.Close(); err != nil {
		s.t.Error(err)
	}
}

// at gives the same site for a subtest.
func (s *site) at(t *testing.T) *site { return &site{Site: s.Site, net: s.net, t: t, ctx: s.ctx} }

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) status(node string) (view.Status, error) {
	c := control.NewLocalClient(s.Node(node).Socket)
	defer c.Close()
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
	defer cancel()
	return control.Call(ctx, c, control.Status, "", control.None{})
}

// await waits until a node's status is as wanted.
func (s *site) await(node, what string, wanted func(view.Status) bool) view.Status {
	s.t.Helper()
	var st view.Status
	testenv.Wait(s.t, 45*time.Second, what+" on "+node, func() (bool, string) {
		var err error
		if st, err = s.status(node); err != nil {
			return false, err.Error()
		}
		return wanted(st), fmt.Sprintf("%s: %s, open %+v", st.State, st.Summary, st.Open)
	})
	return st
}

// awaitFiring waits until a condition is past its hold on a node.
func (s *site) awaitFiring(node, code string) view.OpenCondition {
	s.t.Helper()
	st := s.await(node, code, func(st view.Status) bool { return firing(st, code) != nil })
	return *firing(st, code)
}

func firing(st view.Status, code string) *view.OpenCondition {
	for _, c := range st.Open {
		if c.Code == code && c.Firing {
			return &c
		}
	}
	return nil
}

// awaitHealthy waits until every service finds nothing wrong.
func (s *site) awaitHealthy() {
	s.t.Helper()
	for _, n := range s.Nodes {
		s.await(n.Name, "HEALTHY", func(st view.Status) bool { return st.State == view.StateHealthy && len(st.Open) == 0 })
	}
}

// watchdog types a command line at a node.
func (s *site) watchdog(node string, args ...string) (out string, exit int) {
	s.t.Helper()
	o, e, exit := s.Run(s.ctx, s.Node(node), args...)
	return o + e, exit
}

// acks waits until clients outside have n more rows acknowledged.
func (s *site) acks(l *demo.Ledger) {
	s.t.Helper()
	testenv.AwaitAcks(s.t, l, 50)
}
