package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// streamLimit bounds one stream from dial to close. memberlist itself
	// sets no deadline on sending a user message.
	streamLimit = 3 * time.Second
	// lingerLimit bounds waiting for the other end to close a stream.
	lingerLimit = 500 * time.Millisecond
	// maxStreamBytes bounds what one inbound stream may make us buffer:
	// memberlist alone would take 20 MiB before it checks the key.
	maxStreamBytes = 2 * MaxReportBytes
	// maxStreams bounds inbound streams at one time.
	maxStreams = 64
)

// transport is memberlist's network transport with deadlines on what it dials,
// limits on what it accepts, and a Shutdown that ends and joins both.
type transport struct {
	*memberlist.NetTransport
	networks []netip.Prefix
	local    net.Addr // source of dialled streams; nil: the kernel's choice
	count    *counters
	packets  chan *memberlist.Packet
	streams  chan net.Conn
	ctx      context.Context // ends with Shutdown
	cancel   context.CancelFunc
	pumps    sync.WaitGroup
	opened   chan struct{} // closed when others may talk to us
	drained  chan struct{} // closed when the inner transport gives no more

	// linger makes streams of ours wait, as they close, until the other end
	// has done with what they carried.
	linger atomic.Bool

	mu      sync.Mutex
	live    map[*stream]struct{}
	inbound int
}

func newTransport(r resolved, c *counters, logger *log.Logger) (*transport, error) {
	inner, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{r.bind.Addr().String()}, BindPort: int(r.bind.Port()), Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("bind gossip to %s: %w", r.bind, err)
	}
	t := &transport{
		NetTransport: inner, networks: r.Networks, count: c,
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		opened: make(chan struct{}), drained: make(chan struct{}), live: map[*stream]struct{}{},
	}
	if !r.bind.Addr().IsUnspecified() {
		// So that streams come from the address that packet filters know.
		t.local = &net.TCPAddr{IP: r.bind.Addr().AsSlice()}
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.pumps.Go(t.pumpPackets)
	t.pumps.Go(t.pumpStreams)
	return t, nil
}

// PacketCh gives the packets that came from an allowed network.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh gives the streams that came from an allowed network.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// open lets the others talk to us: before that memberlist would answer them with
// a list of members that we are not in yet. Until then they wait in the kernel.
func (t *transport) open() { close(t.opened) }

func (t *transport) awaitOpen() {
	select {
	case <-t.opened:
	case <-t.ctx.Done():
	}
}

func (t *transport) pumpPackets() {
	t.awaitOpen()
	for {
		select {
		case p := <-t.NetTransport.PacketCh():
			if !t.allowed(p.From) {
				t.count.outside.Add(1)
				continue
			}
			select {
			case t.packets <- p:
			case <-t.ctx.Done():
			}
		case <-t.drained:
			return
		}
	}
}

func (t *transport) pumpStreams() {
	t.awaitOpen()
	for {
		select {
		case c := <-t.NetTransport.StreamCh():
			s, ok := t.track(c, true)
			if !ok {
				t.count.outside.Add(1)
				_ = c.Close()
				continue
			}
			select {
			case t.streams <- s:
			case <-t.ctx.Done():
				_ = s.Close()
			}
		case <-t.drained:
			return
		}
	}
}

func (t *transport) allowed(from net.Addr) bool {
	if len(t.networks) == 0 {
		return true
	}
	a, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return false
	}
	ip := a.Addr().Unmap()
	for _, n := range t.networks {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}

// DialTimeout is DialAddressTimeout for callers that know no name.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout dials a stream that has a deadline and ends with Shutdown.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: min(timeout, streamLimit), LocalAddr: t.local}
	c, err := d.DialContext(t.ctx, "tcp", a.Addr)
	if err != nil {
		return nil, err
	}
	s, ok := t.track(c, false)
	if !ok {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	return s, nil
}

// track registers a stream; false when it may not be used.
func (t *transport) track(c net.Conn, inbound bool) (*stream, bool) {
	if inbound && !t.allowed(c.RemoteAddr()) {
		return nil, false
	}
	_ = c.SetDeadline(time.Now().Add(streamLimit))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil || inbound && t.inbound >= maxStreams {
		return nil, false
	}
	s := &stream{Conn: c, t: t, inbound: inbound, left: maxStreamBytes}
	t.live[s] = struct{}{}
	if inbound {
		t.inbound++
	}
	return s, true
}

// Shutdown closes listeners and streams, and joins what reads them.
func (t *transport) Shutdown() error {
	t.cancel()
	t.mu.Lock()
	live := t.live
	t.live = map[*stream]struct{}{}
	t.mu.Unlock()
	for s := range live {
		_ = s.Conn.Close()
	}
	err := t.NetTransport.Shutdown() // its listeners may still have one to hand over
	select {
	case <-t.drained:
	default:
		close(t.drained)
	}
	t.pumps.Wait()
	return err
}

var errTooMuch = errors.New("stream is larger than allowed")

// stream is one connection with a limit on what it may make us read.
type stream struct {
	net.Conn
	t       *transport
	inbound bool
	left    int
	once    sync.Once
}

// Read reads up to the limit.
func (s *stream) Read(b []byte) (int, error) {
	if s.left <= 0 {
		s.t.count.oversize.Add(1)
		return 0, errTooMuch
	}
	n, err := s.Conn.Read(b[:min(len(b), s.left)])
	s.left -= n
	return n, err
}

// Close closes the stream and forgets it.
func (s *stream) Close() error {
	s.once.Do(func() {
		if !s.inbound && s.t.linger.Load() {
			// memberlist closes its end when the message has been handled.
			_ = s.Conn.SetReadDeadline(time.Now().Add(lingerLimit))
			_, _ = io.Copy(io.Discard, io.LimitReader(s.Conn, maxStreamBytes))
		}
		s.t.mu.Lock()
		defer s.t.mu.Unlock()
		delete(s.t.live, s)
		if s.inbound {
			s.t.inbound--
		}
	})
	return s.Conn.Close()
}
