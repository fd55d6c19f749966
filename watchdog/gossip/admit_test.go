package gossip_test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/gossip"
)

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

func TestGossip_WildcardBind_AdvertisesTheConfiguredAddress(t *testing.T) {
	port := 20000 + os.Getpid()%20000
	aAddr, bAddr := fmt.Sprintf("127.0.0.1:%d", port), newAddr()
	oa := options("a", fmt.Sprintf("0.0.0.0:%d", port), map[string]string{"b": bAddr})
	oa.Advertise = aAddr
	a := start(t, oa)
	b := start(t, options("b", bAddr, map[string]string{"a": aAddr}))
	wantAlive(t, b, "a", true)
	publish(t, a, "from a wildcard")
	wantReport(t, b, "a:from a wildcard")
}

func TestNew_BadOptions_Refused(t *testing.T) {
	good := options("a", newAddr(), map[string]string{"b": newAddr()})
	good.Log = zap.NewNop()
	for name, spoil := range map[string]func(*gossip.Options){
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
		spoil(&o)
		if g, err := gossip.New(o); err == nil {
			t.Errorf("%s: accepted", name)
			_ = g.AnnounceStop(t.Context(), nil)
		}
	}
}
