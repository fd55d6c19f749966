package gossip

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"
)

// delegateVersion is what two nodes must agree on to merge; see Options of
// memberlist. It changes when frameVersion becomes unreadable for the old.
const delegateVersion = 1

// Gossip is one node's part in the gossip. Its methods are safe for concurrent
// use.
type Gossip struct {
	r      resolved
	count  counters
	boot   uint64
	bridge *bridge
	in     *inbox
	book   *book
	net    *transport
	list   *memberlist.Memberlist
	out    map[string]*outbox
	own    atomic.Pointer[[]byte]

	mu      sync.Mutex
	seq     uint64
	closing bool               // no more reports
	cancel  context.CancelFunc // of Run; nil before
	done    chan struct{}      // closed when Run has returned

	// life keeps Leave and Shutdown apart: memberlist panics when it is to
	// leave after it was shut down.
	life sync.Mutex
	down bool
}

// New binds the addresses and listens; it takes milliseconds. Reports are handed
// over and members joined once Run runs.
func New(o Options) (*Gossip, error) {
	r, err := o.resolve()
	if err != nil {
		return nil, err
	}
	g := &Gossip{r: r, book: newBook(r.peers, time.Now()), out: map[string]*outbox{}, done: make(chan struct{})}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	g.boot = binary.BigEndian.Uint64(id[:])
	g.bridge = newBridge(r.Node, &g.count)
	g.in = newInbox(r, &g.count, g.bridge.once)
	for name, addr := range r.peers {
		g.out[name] = newOutbox(name, addr)
	}
	if g.list, err = g.create(); err != nil {
		return nil, err
	}
	return g, nil
}

func (g *Gossip) create() (*memberlist.Memberlist, error) {
	logger := log.New(g.bridge, "", 0)
	t, err := newTransport(g.r, &g.count, logger)
	if err != nil {
		return nil, err
	}
	g.net = t
	conf, err := g.config(logger)
	if err != nil {
		_ = t.Shutdown()
		return nil, err
	}
	conf.Transport = t
	if g.r.wrap != nil {
		conf.Transport = g.r.wrap(t)
	}
	list, err := memberlist.Create(conf)
	if err != nil {
		_ = t.Shutdown()
		return nil, fmt.Errorf("start gossip on %s: %w", g.r.bind, err)
	}
	if err := g.rise(t); err != nil {
		_ = list.Shutdown()
		return nil, err
	}
	return list, nil
}

func (g *Gossip) config(logger *log.Logger) (*memberlist.Config, error) {
	keys, err := memberlist.NewKeyring(g.r.OlderKeys, g.r.Key)
	if err != nil {
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	d := &delegate{in: g.in, book: g.book, own: &g.own, said: g.bridge.forget}
	c := memberlist.DefaultLANConfig()
	c.Name, c.Label, c.Keyring, c.Logger = g.r.Node, g.r.Label, keys, logger
	c.BindAddr, c.BindPort = g.r.bind.Addr().String(), int(g.r.bind.Port())
	c.AdvertiseAddr, c.AdvertisePort = g.r.advertise.Addr().String(), int(g.r.advertise.Port())
	c.Delegate, c.Events, c.Alive, c.Merge, c.Conflict = d, d, d, d, d
	c.DelegateProtocolMin, c.DelegateProtocolMax, c.DelegateProtocolVersion = delegateVersion, delegateVersion, delegateVersion
	c.ProbeInterval, c.ProbeTimeout, c.SuspicionMult = g.r.ProbeInterval, g.r.ProbeTimeout, g.r.SuspicionMult
	// With two nodes the self-health score only rises while the other is gone,
	// and would stretch the probes that are to find it again.
	c.AwarenessMaxMultiplier = 2
	c.TCPTimeout, c.PushPullInterval, c.GossipNodes = streamLimit, 10*time.Second, 2
	// Only word of who is alive travels this way, reports do not.
	c.GossipInterval = gossipInterval
	c.EnableCompression = false
	c.RequireNodeNames = true
	c.CIDRsAllowed = g.r.allowedNets()
	return c, nil
}

// Run hands over reports, sends own ones and re-joins members, until ctx ends or
// AnnounceStop. It runs once. A Run that ends by ctx has not said farewell: the
// others will find this node gone.
func (g *Gossip) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := g.begin(cancel); err != nil {
		return err
	}
	defer close(g.done)
	var lines, work sync.WaitGroup
	// The log outlives the rest, to write what that says at its end.
	logging, stopLog := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLog()
	lines.Go(func() { g.bridge.run(logging, g.r.Log) })
	work.Go(func() { g.dispatch(ctx) })
	for name := range g.out {
		work.Go(func() { g.sendLoop(ctx, name) })
		work.Go(func() { g.rejoinLoop(ctx, name) })
	}
	<-ctx.Done()
	err := g.shutdown()
	work.Wait()
	stopLog()
	lines.Wait()
	return err
}

func (g *Gossip) begin(cancel context.CancelFunc) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing || g.cancel != nil {
		return errors.New("run gossip: it has run already")
	}
	g.cancel = cancel
	return nil
}

// shutdown closes sockets. memberlist's own tickers end by themselves, within
// one probe; all they can still reach of ours are hooks that never block.
func (g *Gossip) shutdown() error {
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	g.life.Lock()
	defer g.life.Unlock()
	if g.down {
		return nil
	}
	g.down = true
	if err := g.list.Shutdown(); err != nil {
		return fmt.Errorf("stop gossip: %w", err)
	}
	return nil
}

// leave says farewell, unless it is too late for that. One that does not get out
// in time is no failure: the others find out a little later what the
// announcement has told them.
func (g *Gossip) leave() {
	g.life.Lock()
	defer g.life.Unlock()
	if g.down {
		return
	}
	if err := g.list.Leave(leaveLimit); err != nil {
		g.r.Log.Debug("gossip farewell not sent in time", zap.Error(err))
	}
}

// dispatch calls the callbacks, in its one goroutine.
func (g *Gossip) dispatch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.in.wake:
		}
		members, reports := g.in.take()
		// Reports first: the one that announces a stop comes before its farewell.
		for _, r := range reports {
			if g.r.OnReport != nil {
				g.r.OnReport(r.from, r.body)
			}
		}
		for _, m := range members {
			if g.r.OnMember != nil {
				g.r.OnMember(m)
			}
		}
	}
}

// Members gives every configured peer, by name.
func (g *Gossip) Members() []Member { return g.book.list() }

// Stats gives the counters.
func (g *Gossip) Stats() Stats { return g.count.stats() }
