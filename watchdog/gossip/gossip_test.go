package gossip_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/gossip"
)

func publish(t *testing.T, n *node, body string) {
	t.Helper()
	if err := n.Publish([]byte(body)); err != nil {
		t.Fatal(err)
	}
}

func TestGossip_TwoNodesExchangeReports(t *testing.T) {
	a, b := startPair(t)
	big := strings.Repeat("x", gossip.MaxReportBytes)
	publish(t, a, "hello from a")
	publish(t, b, big)
	wantReport(t, b, "a:hello from a")
	wantReport(t, a, "b:"+big)
	for i := range 20 {
		publish(t, a, fmt.Sprint(i))
	}
	wantReport(t, b, "a:19")
	last := -1
	for _, r := range b.heard()[1:] {
		var n int
		if _, err := fmt.Sscanf(r, "a:%d", &n); err != nil || n <= last {
			t.Fatalf("reports out of order: %v", b.heard())
		}
		last = n
	}
}

// A report reaches a member that gossip believes dead, and one that joins later
// gets the newest by push/pull.
func TestGossip_LateMemberGetsTheNewestReport(t *testing.T) {
	aAddr, bAddr := newAddr(), newAddr()
	a := start(t, options("a", aAddr, map[string]string{"b": bAddr}))
	publish(t, a, "old")
	publish(t, a, "newest")
	testenv.Wait(t, 20*time.Second, "sends to the absent member to fail", func() (bool, string) {
		s := a.Stats()
		return s.SendFailed+s.Replaced >= 2, fmt.Sprintf("%+v", s)
	})
	b := start(t, options("b", bAddr, map[string]string{"a": aAddr}))
	wantReport(t, b, "a:newest")
	for _, r := range b.heard() {
		if r == "a:old" {
			t.Error("an outdated report was handed over")
		}
	}
}

func TestGossip_OversizeOwnReport_Refused(t *testing.T) {
	a, _ := startPair(t)
	if err := a.Publish(make([]byte, gossip.MaxReportBytes+1)); err == nil {
		t.Error("published a report over the limit")
	}
}

func TestGossip_BadReports_RejectedAndCounted(t *testing.T) {
	a, b := startPair(t)
	raw := func(m []byte) {
		t.Helper()
		if err := a.SendRaw("b", m); err != nil {
			t.Fatal(err)
		}
	}
	raw(gossip.Envelope("a", a.addr, 1, 1, make([]byte, gossip.MaxReportBytes+1)))
	wantStat(t, b, "oversize", func(s gossip.Stats) uint64 { return s.Oversize })
	raw([]byte("\x01garbage"))
	wantStat(t, b, "malformed", func(s gossip.Stats) uint64 { return s.Malformed })
	raw([]byte("\x02a report of a newer version"))
	wantStat(t, b, "foreign", func(s gossip.Stats) uint64 { return s.Foreign })
	raw(gossip.Envelope("mallory", a.addr, 1, 1, []byte("lies")))
	wantStat(t, b, "unknown", func(s gossip.Stats) uint64 { return s.Unknown })
	raw(gossip.Envelope("a", "127.0.0.1:9", 1, 1, []byte("lies")))
	wantStat(t, b, "conflict", func(s gossip.Stats) uint64 { return s.Conflict })
	before := b.Stats().Conflict
	raw(gossip.Envelope("b", b.addr, 1, 1, []byte("lies")))
	testenv.Wait(t, 20*time.Second, "b to refuse a report under its own name", func() (bool, string) {
		return b.Stats().Conflict > before, fmt.Sprintf("%+v", b.Stats())
	})
	// Larger than a stream may be at all: cut off before it is buffered.
	before = b.Stats().Oversize
	_ = a.SendRaw("b", make([]byte, 4<<20)) // the write may or may not see the cut
	testenv.Wait(t, 20*time.Second, "b to cut the stream", func() (bool, string) {
		return b.Stats().Oversize > before, fmt.Sprintf("%+v", b.Stats())
	})
	if got := b.heard(); len(got) != 0 {
		t.Errorf("handed over: %q", got)
	}
	publish(t, a, "still well")
	wantReport(t, b, "a:still well")
}

// A two-node memberlist does not heal by itself once the dead entry was
// gossiped out; the re-join does it.
func TestGossip_LongCut_HealsByRejoin(t *testing.T) {
	a, b := startPair(t)
	a.link.cut.Store(true)
	b.link.cut.Store(true)
	wantAlive(t, a, "b", false)
	wantAlive(t, b, "a", false)
	// Let the four retransmissions of the death be used up: eight gossip ticks.
	since := time.Now()
	testenv.Wait(t, 20*time.Second, "the cut to last", func() (bool, string) {
		return time.Since(since) > 2*time.Second, time.Since(since).String()
	})
	publish(t, a, "said during the cut")
	a.link.cut.Store(false)
	b.link.cut.Store(false)
	wantAlive(t, a, "b", true)
	wantAlive(t, b, "a", true)
	wantReport(t, b, "a:said during the cut")
	if a.Stats().Rejoins+b.Stats().Rejoins < 3 {
		t.Errorf("healed without re-joining: %+v", a.Stats())
	}
}

func TestGossip_PeerKilled_ThenBack(t *testing.T) {
	a, b := startPair(t)
	publish(t, b, "first life")
	wantReport(t, a, "b:first life")
	b.stop() // without farewell
	wantAlive(t, a, "b", false)
	again := start(t, options("b", b.addr, map[string]string{"a": a.addr}))
	wantAlive(t, a, "b", true)
	publish(t, again, "second life")
	wantReport(t, a, "b:second life")
}

func TestGossip_PlannedStop_HeardBeforeTheLeave(t *testing.T) {
	aAddr, bAddr := newAddr(), newAddr()
	self := make(chan *node, 1)
	heardAtLeave := make(chan []string, 8)
	oa := options("a", aAddr, map[string]string{"b": bAddr})
	// A death would be told without an announcement.
	oa.ProbeInterval, oa.ProbeTimeout = time.Minute, 30*time.Second
	oa.OnMember = func(m gossip.Member) {
		if !m.Alive {
			a := <-self
			heardAtLeave <- a.heard()
		}
	}
	a := start(t, oa)
	self <- a
	b := start(t, options("b", bAddr, map[string]string{"a": aAddr}))
	wantAlive(t, a, "b", true)
	wantAlive(t, b, "a", true)
	publish(t, b, "running")
	wantReport(t, a, "b:running")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.AnnounceStop(ctx, []byte("going")); err != nil {
		t.Fatal(err)
	}
	wantAlive(t, a, "b", false)
	if got := <-heardAtLeave; len(got) == 0 || got[len(got)-1] != "b:going" {
		t.Errorf("the farewell came before the announcement: heard %v", got)
	}
	if err := b.Publish([]byte("too late")); err != nil {
		t.Error(err)
	}
	if err := b.AnnounceStop(ctx, []byte("again")); err == nil {
		t.Error("announced its stop twice")
	}
	if got := a.heard(); got[len(got)-1] != "b:going" {
		t.Errorf("last heard: %v", got)
	}
}

func TestGossip_AnnounceStopWithoutRun_Ends(t *testing.T) {
	o := options("a", newAddr(), map[string]string{"b": newAddr()})
	o.Log = zap.NewNop()
	g, err := gossip.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.AnnounceStop(t.Context(), []byte("x")); err == nil {
		t.Error("claims to have told an absent member")
	}
	if err := g.Run(t.Context()); err == nil {
		t.Error("ran after its stop")
	}
}

// Two configurations that say the same node: the true one is not displaced, and
// both sides notice.
