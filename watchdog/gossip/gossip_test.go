package gossip_test

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
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
	a, b := startPair(t)
	publish(t, b, "running")
	wantReport(t, a, "b:running")
	stillAlive := make(chan bool, 1)
	go func() {
		testenv.Wait(t, 20*time.Second, "the announcement", func() (bool, string) {
			for _, r := range a.heard() {
				if r == "b:going" {
					stillAlive <- true
					return true, ""
				}
				if !a.alive("b") {
					stillAlive <- false
					return true, ""
				}
			}
			return false, ""
		})
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.AnnounceStop(ctx, []byte("going")); err != nil {
		t.Fatal(err)
	}
	if !<-stillAlive {
		t.Error("the farewell came before the announcement")
	}
	wantAlive(t, a, "b", false)
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

const wrongKeyLine = "gossip peer not let in: its gossip key is not ours"

func TestGossip_WrongKey_NotLetInAndSaidOnceOnBothSides(t *testing.T) {
	aAddr, bAddr := newAddr(), newAddr()
	oa, ob := options("a", aAddr, map[string]string{"b": bAddr}), options("b", bAddr, map[string]string{"a": aAddr})
	ob.Key = otherKey
	a, b := start(t, oa), start(t, ob)
	publish(t, a, "secret")
	for _, n := range []*node{a, b} {
		testenv.Wait(t, 20*time.Second, "several tries to be refused by "+n.name, func() (bool, string) {
			return n.Stats().WrongKey >= 5, fmt.Sprintf("%+v", n.Stats())
		})
	}
	if a.alive("b") || b.alive("a") || len(b.heard()) != 0 {
		t.Errorf("let in: %+v %+v %v", a.Members(), b.Members(), b.heard())
	}
	a.stop()
	b.stop()
	for _, n := range []*node{a, b} {
		if c := n.said(wrongKeyLine); c != 1 {
			t.Errorf("%s said so %d times: %v", n.name, c, n.logs.All())
		}
	}
}

func TestGossip_KeyRotation_OldAndNewUnderstandEachOther(t *testing.T) {
	aAddr, bAddr := newAddr(), newAddr()
	oa, ob := options("a", aAddr, map[string]string{"b": bAddr}), options("b", bAddr, map[string]string{"a": aAddr})
	oa.OlderKeys = [][]byte{otherKey}
	ob.Key, ob.OlderKeys = otherKey, [][]byte{key}
	a, b := start(t, oa), start(t, ob)
	wantAlive(t, a, "b", true)
	publish(t, b, "with the new key")
	wantReport(t, a, "b:with the new key")
}

func TestGossip_WrongLabel_NotLetIn(t *testing.T) {
	aAddr, bAddr := newAddr(), newAddr()
	oa, ob := options("a", aAddr, map[string]string{"b": bAddr}), options("b", bAddr, map[string]string{"a": aAddr})
	ob.Label = "another/1"
	a, b := start(t, oa), start(t, ob)
	publish(t, b, "astray")
	wantStat(t, a, "wrong label", func(s gossip.Stats) uint64 { return s.WrongLabel })
	wantStat(t, b, "wrong label", func(s gossip.Stats) uint64 { return s.WrongLabel })
	if a.alive("b") || b.alive("a") || len(a.heard()) != 0 {
		t.Errorf("let in: %+v %+v", a.Members(), b.Members())
	}
}

func TestGossip_UnknownName_NotLetIn(t *testing.T) {
	a, b := startPair(t)
	m := start(t, options("mallory", newAddr(), map[string]string{"a": a.addr, "b": b.addr}))
	publish(t, m, "lies")
	wantStat(t, a, "unknown", func(s gossip.Stats) uint64 { return s.Unknown })
	wantStat(t, b, "unknown", func(s gossip.Stats) uint64 { return s.Unknown })
	if len(a.Members()) != 1 || a.Members()[0].Name != "b" || len(a.heard()) != 0 {
		t.Errorf("a has members %+v and heard %v", a.Members(), a.heard())
	}
	publish(t, b, "the pair is well")
	wantReport(t, a, "b:the pair is well")
}

// Two configurations that say the same node: the true one is not displaced, and
// both sides notice.
func TestGossip_SameNameTwice_TrueOneStays(t *testing.T) {
	a, b := startPair(t)
	clone := start(t, options("b", newAddr(), map[string]string{"a": a.addr}))
	publish(t, clone, "from the clone")
	wantStat(t, a, "conflict", func(s gossip.Stats) uint64 { return s.Conflict })
	wantStat(t, clone, "conflict", func(s gossip.Stats) uint64 { return s.Conflict })
	publish(t, b, "from the true one")
	wantReport(t, a, "b:from the true one")
	for _, r := range a.heard() {
		if strings.Contains(r, "clone") {
			t.Error("a report of the clone was taken for b's")
		}
	}
	if !a.alive("b") || a.Members()[0].Addr != b.addr {
		t.Errorf("members = %+v", a.Members())
	}
}

func TestGossip_ForeignNetwork_NotEvenDecrypted(t *testing.T) {
	aAddr, bAddr := newAddr(), newAddr()
	oa := options("a", aAddr, map[string]string{"b": bAddr})
	oa.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	a := start(t, oa)
	ob := options("b", bAddr, map[string]string{"a": aAddr})
	ob.Key = otherKey
	start(t, ob)
	wantStat(t, a, "outside", func(s gossip.Stats) uint64 { return s.Outside })
	if s := a.Stats(); s.WrongKey > s.Rejoins { // own tries to join may still be told of the other key
		t.Errorf("packets from outside were decrypted: %+v", s)
	}
}

func TestNew_BadOptions_Refused(t *testing.T) {
	good := options("a", newAddr(), map[string]string{"b": newAddr()})
	good.Log = zap.NewNop()
	for name, break_ := range map[string]func(*gossip.Options){
		"no key":            func(o *gossip.Options) { o.Key = nil },
		"short key":         func(o *gossip.Options) { o.Key = key[:16] },
		"short older key":   func(o *gossip.Options) { o.OlderKeys = [][]byte{key[:31]} },
		"no label":          func(o *gossip.Options) { o.Label = "" },
		"long label":        func(o *gossip.Options) { o.Label = strings.Repeat("x", 256) },
		"own peer":          func(o *gossip.Options) { o.Peers = map[string]string{"a": "127.0.0.1:1"} },
		"own address":       func(o *gossip.Options) { o.Peers = map[string]string{"b": o.Bind} },
		"host name":         func(o *gossip.Options) { o.Peers = map[string]string{"b": "db-b:7946"} },
		"no port":           func(o *gossip.Options) { o.Bind = "127.0.0.1:0" },
		"wildcard":          func(o *gossip.Options) { o.Bind = "0.0.0.0:7946" },
		"name with slash":   func(o *gossip.Options) { o.Node = "a/b" },
		"no name":           func(o *gossip.Options) { o.Node = "" },
		"no log":            func(o *gossip.Options) { o.Log = nil },
		"timeout too long":  func(o *gossip.Options) { o.ProbeTimeout = o.ProbeInterval },
		"address not local": func(o *gossip.Options) { o.Bind, o.Advertise = "192.0.2.1:7946", "192.0.2.1:7946" },
	} {
		o := good
		break_(&o)
		if g, err := gossip.New(o); err == nil {
			t.Errorf("%s: accepted", name)
			_ = g.AnnounceStop(t.Context(), nil)
		}
	}
}

func TestInbox_NewestOfEachSender(t *testing.T) {
	const addr = "127.0.0.1:2"
	in := gossip.NewInbox(map[string]string{"b": addr})
	put := func(boot, seq uint64, body string) { in.Put(gossip.Envelope("b", addr, boot, seq, []byte(body))) }
	want := func(what string, bodies ...string) {
		t.Helper()
		if got := in.Take(); fmt.Sprint(got) != fmt.Sprint(bodies) {
			t.Errorf("%s: took %v, want %v", what, got, bodies)
		}
	}
	put(1, 5, "five")
	put(1, 5, "five again")
	put(1, 4, "four")
	want("repeated and older", "b:five")
	put(1, 6, "six")
	put(1, 7, "seven")
	want("overtaken", "b:seven")
	put(2, 1, "restarted")
	want("new boot", "b:restarted")
	put(1, 8, "late, of the former boot")
	want("late report of a former run")
	put(2, 2, "")
	want("empty report", "b:")
	if s := in.Stats(); s.Received != 5 || s.Stale != 3 || s.Overtaken != 1 {
		t.Errorf("stats = %+v", s)
	}
	buf := gossip.Envelope("b", addr, 2, 3, []byte("kept"))
	in.Put(buf)
	clear(buf) // memberlist reuses its buffers
	want("copied", "b:kept")
}

func FuzzEnvelope(f *testing.F) {
	f.Add(gossip.Envelope("a", "127.0.0.1:7946", 1, 2, []byte("{}")))
	f.Add(gossip.Envelope("a", "[fe80::1%eth0]:1", 0, 0, nil))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		from, body, err := gossip.Decode(b)
		if err != nil {
			return
		}
		if len(from) == 0 || len(body) > gossip.MaxReportBytes {
			t.Fatalf("from %q, %d bytes", from, len(body))
		}
		again, err := gossip.Reencode(b)
		if err != nil {
			t.Fatal(err)
		}
		// The address may be written in another way; the rest is the same.
		if f2, b2, err := gossip.Decode(again); err != nil || f2 != from || !bytes.Equal(b2, body) {
			t.Fatalf("round trip: %q %q %v", f2, b2, err)
		}
	})
}
