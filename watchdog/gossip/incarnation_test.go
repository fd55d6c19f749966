package gossip_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/gestionale-fullstack/watchdog/watchdog/gossip"
)

// changes records what a node is told of its members.
type changes struct {
	mu  sync.Mutex
	all []string
}

func (c *changes) note(m gossip.Member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, fmt.Sprintf("%s=%t", m.Name, m.Alive))
}

func (c *changes) sorted() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(slices.Sorted(slices.Values(c.all)), " ")
}

// Two of three nodes stop on purpose and are back within a second. What the
// third remembers of them must neither keep them out nor take them out again.
func TestGossip_PlannedRestart_InAgainOnceAndForGood(t *testing.T) {
	addr := map[string]string{"a": newAddr(), "b": newAddr(), "w": newAddr()}
	begin := func(name string) (*node, *changes) {
		peers := map[string]string{}
		for n, at := range addr {
			if n != name {
				peers[n] = at
			}
		}
		o, c := options(name, addr[name], peers), &changes{}
		// Nobody is suspected, however slow this machine is.
		o.ProbeInterval, o.ProbeTimeout = time.Minute, 30*time.Second
		o.OnMember = c.note
		return start(t, o), c
	}
	a, _ := begin("a")
	b, _ := begin("b")
	w, atW := begin("w")
	meet := func() {
		t.Helper()
		for _, n := range []*node{a, b, w} {
			for peer := range addr {
				if peer != n.name {
					wantAlive(t, n, peer, true)
				}
			}
		}
	}
	meet()
	want := "a=true b=true"
	for range 2 {
		var stops sync.WaitGroup
		for _, n := range []*node{a, b} {
			stops.Go(func() { _ = n.AnnounceStop(t.Context(), []byte("going")) }) // the other goes too, and may not hear it
		}
		stops.Wait()
		wantAlive(t, w, "a", false)
		wantAlive(t, w, "b", false)
		var atA, atB *changes
		a, atA = begin("a")
		b, atB = begin("b")
		meet()
		for i, n := range []*node{a, b, w} { // two rounds, so that late news has come
			for _, m := range []*node{a, b, w} {
				if m != n {
					publish(t, n, fmt.Sprint("round ", i))
					wantReport(t, m, fmt.Sprint(n.name, ":round ", i))
				}
			}
			if s := n.Stats(); s.Refuted != 0 {
				t.Errorf("%s had to refute its former run %d times", n.name, s.Refuted)
			}
			for _, e := range n.logs.All() {
				if e.Level > zapcore.InfoLevel || strings.Contains(fmt.Sprint(e.ContextMap()), "configured") {
					t.Errorf("%s logged: %s %s %v", n.name, e.Level, e.Message, e.ContextMap())
				}
			}
		}
		if got := atA.sorted(); got != "b=true w=true" {
			t.Errorf("a was told %s", got)
		}
		if got := atB.sorted(); got != "a=true w=true" {
			t.Errorf("b was told %s", got)
		}
		want += " a=false a=true b=false b=true"
	}
	fields := strings.Fields(want)
	slices.Sort(fields)
	if got := atW.sorted(); got != strings.Join(fields, " ") {
		t.Errorf("w was told %s", got)
	}
}

func TestNew_LongestNames_MemberlistTakesTheAccusation(t *testing.T) {
	name, peer := strings.Repeat("n", 127), strings.Repeat("p", 127)
	aAddr, bAddr := newAddr(), newAddr()
	oa, ob := options(name, aAddr, map[string]string{peer: bAddr}), options(peer, bAddr, map[string]string{name: aAddr})
	oa.Label, ob.Label = strings.Repeat("l", 255), strings.Repeat("l", 255)
	oa.OlderKeys = [][]byte{otherKey}
	a := start(t, oa)
	b := start(t, ob)
	wantAlive(t, b, name, true)
	for _, n := range []*node{a, b} {
		if s := n.Stats(); !n.Risen() || s.WrongKey+s.WrongLabel+s.Refuted != 0 {
			t.Errorf("%.1s: risen %t, %+v", n.name, n.Risen(), s)
		}
	}
}

func TestIncarnationAt_LaterRun_HigherUntilItWraps(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	if a, b := gossip.IncarnationAt(now), gossip.IncarnationAt(now.Add(250*time.Millisecond)); b != a+1 {
		t.Errorf("%d, a quarter of a second later %d", a, b)
	}
	if n := gossip.IncarnationAt(time.Unix(0, 0)); n != 0 {
		t.Errorf("a clock at its very beginning gives %d", n)
	}
	if n := gossip.IncarnationAt(time.Date(2058, 1, 1, 0, 0, 0, 0, time.UTC)); n < gossip.IncarnationAt(now) {
		t.Errorf("2058 gives %d", n)
	}
}

// A port that is taken ends New, and leaves nothing behind (goleak).
func TestNew_AddressInUse_Refused(t *testing.T) {
	a := start(t, options("a", newAddr(), map[string]string{"b": newAddr()}))
	o := options("c", a.addr, map[string]string{"b": newAddr()})
	o.Log = zap.NewNop()
	if _, err := gossip.New(o); err == nil || !strings.Contains(err.Error(), a.addr) {
		t.Errorf("err = %v", err)
	}
}
