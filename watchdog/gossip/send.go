package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"
)

const (
	// announceLimit bounds telling the others of a planned stop, and
	// leaveLimit the farewell after it (about 0.8 s when all is well).
	announceLimit = 1500 * time.Millisecond
	leaveLimit    = time.Second
)

// outbox holds the newest own envelope for one member.
type outbox struct {
	node    *memberlist.Node
	waiting atomic.Pointer[[]byte]
	wake    chan struct{} // capacity 1
}

func newOutbox(name string, addr netip.AddrPort) *outbox {
	return &outbox{
		node: &memberlist.Node{Name: name, Addr: addr.Addr().AsSlice(), Port: addr.Port()},
		wake: make(chan struct{}, 1),
	}
}

// Publish sends b, the newest report of this node, to every configured member,
// alive or not; it does not wait. A report that was not sent yet gives way to
// b, and is counted.
func (g *Gossip) Publish(b []byte) error {
	frame, err := g.seal(b, false)
	if err != nil || frame == nil {
		return err
	}
	for _, o := range g.out {
		if o.waiting.Swap(frame) != nil {
			g.count.replaced.Add(1)
		}
		select {
		case o.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	return nil
}

// seal numbers b and makes it the newest own report. It gives nil once the last
// one was sealed.
func (g *Gossip) seal(b []byte, last bool) (*[]byte, error) {
	if len(b) > MaxReportBytes {
		g.count.oversize.Add(1)
		return nil, fmt.Errorf("publish report of %d bytes: %w", len(b), errOversize)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return nil, nil
	}
	g.closing = last
	g.seq++
	frame := frame{boot: g.boot, seq: g.seq, from: g.r.Node, addr: g.r.advertise, body: bytes.Clone(b)}.encode()
	g.own.Store(&frame)
	return &frame, nil
}

// sendLoop sends to one member, one report at a time.
func (g *Gossip) sendLoop(ctx context.Context, name string) {
	o := g.out[name]
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		}
		if b := o.waiting.Swap(nil); b != nil {
			_ = g.send(o, *b) // counted; a member that is gone is the book's news
		}
	}
}

func (g *Gossip) send(o *outbox, b []byte) error {
	if err := g.list.SendReliable(o.node, b); err != nil {
		g.count.sendFailed.Add(1)
		return fmt.Errorf("send report to %s: %w", o.node.Name, err)
	}
	g.count.sent.Add(1)
	return nil
}

// AnnounceStop tells every member, in our own message b, that this node stops on
// purpose, then leaves and ends Run. Call it before Run's context ends:
// memberlist's farewell alone looks like a death to the others. The error names
// the members that could not be told; the stop happens all the same.
func (g *Gossip) AnnounceStop(ctx context.Context, b []byte) error {
	frame, err := g.seal(b, true)
	if err != nil {
		return err
	}
	if frame == nil {
		return errors.New("announce stop: gossip has stopped already")
	}
	ctx, cancel := context.WithTimeout(ctx, announceLimit)
	defer cancel()
	var flights sync.WaitGroup
	g.net.linger.Store(true) // so that no farewell overtakes the announcement
	told := g.tellAll(ctx, &flights, *frame)
	g.leave()
	g.mu.Lock()
	stop := g.cancel
	g.mu.Unlock()
	if stop != nil {
		stop()
		<-g.done
	} else {
		told = errors.Join(told, g.shutdown())
	}
	flights.Wait() // sends to members that do not answer end with the sockets
	return told
}

func (g *Gossip) tellAll(ctx context.Context, flights *sync.WaitGroup, frame []byte) error {
	type result struct {
		name string
		err  error
	}
	results := make(chan result, len(g.out))
	for name, o := range g.out {
		flights.Go(func() { results <- result{name, g.send(o, frame)} })
	}
	var told error
	for range g.out {
		select {
		case r := <-results:
			if r.err != nil {
				told = errors.Join(told, r.err)
			}
		case <-ctx.Done():
			return errors.Join(told, fmt.Errorf("announce stop to all members: %w", ctx.Err()))
		}
	}
	return told
}

// rejoinLoop joins one member again for as long as it is not alive: memberlist
// gives up on the dead, and two nodes after a cut stay apart for ever.
func (g *Gossip) rejoinLoop(ctx context.Context, name string) {
	target := name + "/" + g.r.peers[name].String()
	t := time.NewTicker(g.r.RejoinEvery)
	defer t.Stop()
	tries := 0
	var odd time.Time // since when it answers without being in; zero: it does not
	for {
		switch {
		case !g.book.alive(name):
			tries++
			switch answered := g.rejoin(ctx, name, target, tries == 1); {
			case !answered:
				odd = time.Time{}
			case odd.IsZero():
				odd = time.Now()
			case time.Since(odd) >= oddAfter:
				g.bridge.once("stays out", "gossip member answers but stays out: it is stopping, or it runs under another name than configured here", name)
			}
		case tries > 0:
			if tries > 1 { // the end of "cannot be joined, trying on"
				g.r.Log.Info("gossip member joined", zap.String("peer", name), zap.Int("tries", tries))
			}
			tries, odd = 0, time.Time{}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// oddAfter is how long a member may answer and stay out before that is worth a
// line: one that leaves does so for about a second, and one whose clock was set
// back has to refute its former run first.
const oddAfter = 5 * time.Second

// rejoin tries to join a member once; true when it answered and is not in.
func (g *Gossip) rejoin(ctx context.Context, name, target string, first bool) bool {
	g.count.rejoins.Add(1)
	_, err := g.list.Join([]string{target})
	switch {
	case ctx.Err() != nil:
	case err == nil:
		// Join is content when the other end talked to us. memberlist tells
		// the book before Join returns.
		return !g.book.alive(name)
	case isWrongKey(err.Error()):
		g.bridge.wrongKey(g.r.peers[name].Addr().String())
	case first:
		g.r.Log.Info("gossip member cannot be joined, trying on", zap.String("peer", name), zap.NamedError("err", last(err)))
	}
	return false
}

// last gives the newest of the causes that memberlist collects, on one line.
func last(err error) error {
	var many interface{ WrappedErrors() []error }
	if errors.As(err, &many) {
		if all := many.WrappedErrors(); len(all) > 0 {
			return all[len(all)-1]
		}
	}
	return err
}
