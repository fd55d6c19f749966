package control

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// nodeDial bounds connecting to another node, handshake included.
const nodeDial = 3 * time.Second

// NodeOptions configures both ends of the node API on one node.
type NodeOptions struct {
	Node   string // own name
	Listen string // host:port; not used by clients
	Key    ed25519.PrivateKey
	Pins   *Pins // the other nodes' keys
	Log    *zap.Logger
}

func (o NodeOptions) certificate() (tls.Certificate, error) {
	if len(o.Key) != ed25519.PrivateKeySize {
		return tls.Certificate{}, fmt.Errorf("node %s has no private key", o.Node)
	}
	if name, ours := o.Pins.nodeOf(PublicOf(o.Key)); ours && name != o.Node {
		return tls.Certificate{}, fmt.Errorf("the private key of node %s is pinned as node %s's: each node needs its own key", o.Node, name)
	}
	return selfSigned(o.Node, o.Key)
}

// NodeServer answers the other nodes over mutual TLS 1.3 with pinned keys.
type NodeServer struct {
	listener *nodeListener
	router   *Router
	log      *zap.Logger
}

// ListenNode binds the node API; Run answers on it.
func ListenNode(o NodeOptions, r *Router) (*NodeServer, error) {
	cert, err := o.certificate()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for nodes: %w", err)
	}
	return &NodeServer{
		listener: &nodeListener{
			Listener: l, tls: serverTLS(cert, o.Pins), pins: o.Pins,
			refused: newRefusalLog(o.Log), hosts: map[string]int{},
		},
		router: r, log: o.Log,
	}, nil
}

// Addr is where the server listens.
func (s *NodeServer) Addr() net.Addr { return s.listener.Addr() }

// Run answers until ctx ends.
func (s *NodeServer) Run(ctx context.Context) error {
	s.log.Info("node API ready", zap.Stringer("address", s.Addr()))
	return serve(ctx, s.listener, s.router, nodePeer)
}

// Close gives up a server that was never run.
func (s *NodeServer) Close() { _ = s.listener.Close() }

// NewNodeClient calls the node named peer at addr (host:port). A server whose
// key is not pinned for that very node is not talked to.
func NewNodeClient(o NodeOptions, peer, addr string) (*Client, error) {
	cert, err := o.certificate()
	if err != nil {
		return nil, err
	}
	d := &nodeDialer{addr: addr, peer: peer, tls: clientTLS(cert, o.Pins, peer), refused: newRefusalLog(o.Log)}
	return newClient(peer, d.dial), nil
}

type nodeDialer struct {
	addr, peer string
	tls        *tls.Config
	refused    *refusalLog
	// mute is set while the host does not even answer a dial: then an operation
	// that has to tell it something at every step must not wait long each time.
	mute atomic.Bool
}

// The dial of a host that was mute the last time is bounded by muteDial: one lost
// SYN is repeated after a second. muteAfter is how long a dial must have been
// without an answer to make it so.
const (
	muteDial  = 1200 * time.Millisecond
	muteAfter = 900 * time.Millisecond
)

// reach connects.
func (d *nodeDialer) reach(ctx context.Context) (net.Conn, error) {
	var nd net.Dialer
	if d.mute.Load() {
		nd.Timeout = muteDial
	}
	began := time.Now()
	raw, err := nd.DialContext(ctx, "tcp", d.addr)
	d.learn(time.Since(began), err)
	return raw, err
}

func (d *nodeDialer) learn(took time.Duration, err error) {
	switch {
	case err == nil:
		d.mute.Store(false)
	case took >= muteAfter: // a refusal comes at once, and so does an answer
		d.mute.Store(true)
	}
}

// dial connects, shakes hands and waits to be greeted: see greeting.
func (d *nodeDialer) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, nodeDial)
	defer cancel()
	raw, err := d.reach(ctx)
	if err != nil {
		return nil, err
	}
	// Closing is what wakes a read when ctx ends early.
	unhook := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	conn, err := d.greet(ctx, raw)
	if !unhook() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = raw.Close()
		return nil, d.turnedAway(err)
	}
	d.refused.forget(d.addr)
	return conn, nil
}

func (d *nodeDialer) greet(ctx context.Context, raw net.Conn) (net.Conn, error) {
	conn := tls.Client(raw, d.tls)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	line := make([]byte, len(greeting))
	if _, err := io.ReadFull(conn, line); err != nil {
		return nil, fmt.Errorf("the other end did not let us in: %w", err)
	}
	if string(line) != greeting {
		return nil, fmt.Errorf("the other end does not speak the node API: it greeted with %q", line)
	}
	return conn, nil
}

// turnedAway marks a refusal by either end. Running out of time is none: the
// other end may be stopped or overloaded.
func (d *nodeDialer) turnedAway(err error) error {
	switch {
	case dialPhase(err) == PhaseDialTimeout:
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		// The other service stops or is full; who is refused gets an alert.
		return fmt.Errorf("connection closed during the handshake: %w", err)
	}
	d.refused.warn("handshake with node refused", d.addr, zap.String("peer", d.peer), zap.NamedError("err", err))
	return &errHandshake{err: err}
}
