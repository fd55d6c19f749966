package gossip_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/gossip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var lastAddr atomic.Uint32

// newAddr gives a loopback address of this process alone: the port is fixed, as
// in production.
func newAddr() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.%d.%d.%d:7946", 100+pid>>8&63, pid&255, lastAddr.Add(1))
}

var (
	key      = bytes.Repeat([]byte{7}, 32)
	otherKey = bytes.Repeat([]byte{8}, 32)
)

// node is one Gossip under test.
type node struct {
	*gossip.Gossip
	name, addr string
	logs       *observer.ObservedLogs
	link       *link
	stop       func()

	mu      sync.Mutex
	reports []string // "from:body" in order
}

// options makes the options of a node whose peers are given; probes are short so
// that a death is seen within about a second.
func options(name, addr string, peers map[string]string) gossip.Options {
	return gossip.Options{
		Node: name, Label: "test/1", Key: key, Bind: addr, Peers: peers,
		ProbeInterval: 100 * time.Millisecond, ProbeTimeout: 50 * time.Millisecond,
		RejoinEvery: 200 * time.Millisecond,
	}
}

func start(t *testing.T, o gossip.Options) *node {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	n := &node{name: o.Node, addr: o.Bind, logs: logs, link: &link{}}
	o.Log = zap.New(core)
	o.OnReport = func(from string, b []byte) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.reports = append(n.reports, from+":"+string(b))
	}
	o.Wrap(func(tr memberlist.NodeAwareTransport) memberlist.NodeAwareTransport {
		n.link.NodeAwareTransport = tr
		return n.link
	})
	g, err := gossip.New(o)
	if err != nil {
		t.Fatal(err)
	}
	n.Gossip = g
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	var once sync.Once
	n.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("run of %s ended with: %v", n.name, err)
			}
		})
	}
	t.Cleanup(n.stop)
	return n
}

// startPair starts a and b, and waits until each sees the other.
func startPair(t *testing.T) (a, b *node) {
	t.Helper()
	aAddr, bAddr := newAddr(), newAddr()
	a = start(t, options("a", aAddr, map[string]string{"b": bAddr}))
	b = start(t, options("b", bAddr, map[string]string{"a": aAddr}))
	wantAlive(t, a, "b", true)
	wantAlive(t, b, "a", true)
	return a, b
}

func (n *node) alive(peer string) bool {
	for _, m := range n.Members() {
		if m.Name == peer {
			return m.Alive
		}
	}
	return false
}

func wantAlive(t *testing.T, n *node, peer string, want bool) {
	t.Helper()
	testenv.Wait(t, 20*time.Second, fmt.Sprintf("%s to see %s alive=%v", n.name, peer, want), func() (bool, string) {
		return n.alive(peer) == want, fmt.Sprintf("%+v %+v", n.Members(), n.Stats())
	})
}

func (n *node) heard() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.reports...)
}

func wantReport(t *testing.T, n *node, want string) {
	t.Helper()
	testenv.Wait(t, 20*time.Second, n.name+" to hear "+want, func() (bool, string) {
		all := n.heard()
		for _, r := range all {
			if r == want {
				return true, ""
			}
		}
		return false, fmt.Sprintf("heard %d reports, stats %+v", len(all), n.Stats())
	})
}

func wantStat(t *testing.T, n *node, what string, get func(gossip.Stats) uint64) {
	t.Helper()
	testenv.Wait(t, 20*time.Second, n.name+" to count "+what, func() (bool, string) {
		return get(n.Stats()) > 0, fmt.Sprintf("%+v", n.Stats())
	})
}

func (n *node) said(message string) int { return n.logs.FilterMessage(message).Len() }

// link is a network cable that can be cut, in the outward direction.
type link struct {
	memberlist.NodeAwareTransport
	cut atomic.Bool
}

var errCut = errors.New("cable is cut")

func (l *link) WriteTo(b []byte, addr string) (time.Time, error) {
	if l.cut.Load() {
		return time.Now(), nil // packets vanish
	}
	return l.NodeAwareTransport.WriteTo(b, addr)
}

func (l *link) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	if l.cut.Load() {
		return time.Now(), nil
	}
	return l.NodeAwareTransport.WriteToAddress(b, a)
}

func (l *link) DialTimeout(addr string, d time.Duration) (net.Conn, error) {
	if l.cut.Load() {
		return nil, errCut
	}
	return l.NodeAwareTransport.DialTimeout(addr, d)
}

func (l *link) DialAddressTimeout(a memberlist.Address, d time.Duration) (net.Conn, error) {
	if l.cut.Load() {
		return nil, errCut
	}
	return l.NodeAwareTransport.DialAddressTimeout(a, d)
}
