package gossip

import (
	"context"
	"log"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"
)

// Wrap puts w between memberlist and the network.
func (o *Options) Wrap(w func(memberlist.NodeAwareTransport) memberlist.NodeAwareTransport) {
	o.wrap = w
}

// SendRaw sends bytes to a peer as they are, without envelope or limit.
func (g *Gossip) SendRaw(peer string, b []byte) error {
	return g.list.SendReliable(g.out[peer].node, b)
}

// Risen reports whether memberlist has taken our own accusation.
func (g *Gossip) Risen() bool {
	select {
	case <-g.bridge.risen:
		return true
	default:
		return false
	}
}

// IncarnationAt gives the incarnation of a run that begins at now.
func IncarnationAt(now time.Time) uint32 { return incarnationAt(now) }

// Envelope makes an envelope by hand.
func Envelope(from, addr string, boot, seq uint64, body []byte) []byte {
	return frame{boot: boot, seq: seq, from: from, addr: netip.MustParseAddrPort(addr), body: body}.encode()
}

// Decode reads an envelope.
func Decode(b []byte) (from string, body []byte, err error) {
	f, err := decodeFrame(b)
	return f.from, f.body, err
}

// Reencode reads an envelope and writes it again.
func Reencode(b []byte) ([]byte, error) {
	f, err := decodeFrame(b)
	if err != nil {
		return nil, err
	}
	return f.encode(), nil
}

// Inbox is an inbox without a network.
type Inbox struct {
	in    *inbox
	count *counters
}

// NewInbox makes an inbox for node a at 127.0.0.1:1 with these peers.
func NewInbox(peers map[string]string) Inbox {
	r := resolved{Options: Options{Node: "a"}, advertise: netip.MustParseAddrPort("127.0.0.1:1"), peers: map[string]netip.AddrPort{}}
	for name, addr := range peers {
		r.peers[name] = netip.MustParseAddrPort(addr)
	}
	c := &counters{}
	return Inbox{newInbox(r, c, func(string, string, string) {}), c}
}

// Put takes an envelope.
func (i Inbox) Put(b []byte) { i.in.put(b) }

// Take gives the waiting reports as "from:body".
func (i Inbox) Take() (all []string) {
	_, reports := i.in.take()
	for _, r := range reports {
		all = append(all, r.from+":"+string(r.body))
	}
	return all
}

// Stats gives the inbox's counters.
func (i Inbox) Stats() Stats { return i.count.stats() }

// Bridge is the log bridge by itself.
type Bridge struct {
	b *bridge
	c *counters
}

// NewBridge makes a bridge.
func NewBridge() Bridge {
	c := &counters{}
	return Bridge{newBridge("a", c), c}
}

// Logger is what memberlist would write to.
func (b Bridge) Logger() *log.Logger { return log.New(b.b, "", 0) }

// Run writes lines to z until ctx ends.
func (b Bridge) Run(ctx context.Context, z *zap.Logger) { b.b.run(ctx, z) }

// Forget lets everything be said again.
func (b Bridge) Forget() { b.b.forget() }

// Stats gives the bridge's counters.
func (b Bridge) Stats() Stats { return b.c.stats() }
