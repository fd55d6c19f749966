package control

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
)

// greeting is what the server writes once it has let the other end in. In TLS
// 1.3 a client is done before the server has judged its certificate, and would
// learn of a refusal only after it had sent its request; waiting for this line,
// it knows that a refused request was never sent.
const greeting = "pg-watchdog node 1\n"

const (
	// maxConns bounds connections in all, maxPerHost those from one address.
	maxConns   = 128
	maxPerHost = 16
)

// nodeListener gives connections that do their handshake, greeting included, at
// the first read: in the connection's own goroutine, under the server's header
// deadline, so that nobody can hold up others.
type nodeListener struct {
	net.Listener
	tls     *tls.Config
	pins    *Pins
	refused *refusalLog

	mu    sync.Mutex
	hosts map[string]int
	total int
}

// Accept gives the next connection that is within the limits.
func (l *nodeListener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host := hostOf(raw.RemoteAddr())
		if !l.enter(host) {
			_ = raw.Close()
			l.refused.warn("connection refused: too many from one address or in all", host)
			continue
		}
		return &nodeConn{Conn: tls.Server(raw, l.tls), raw: raw, host: host, l: l}, nil
	}
}

func (l *nodeListener) enter(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= maxConns || l.hosts[host] >= maxPerHost {
		return false
	}
	l.total++
	l.hosts[host]++
	return true
}

func (l *nodeListener) leave(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	if l.hosts[host]--; l.hosts[host] <= 0 {
		delete(l.hosts, host)
	}
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// nodeConn is a connection of another node.
type nodeConn struct {
	*tls.Conn
	raw  net.Conn
	host string
	l    *nodeListener

	shake  sync.Once
	failed error
	key    PublicKey // valid when the handshake was done without failure
	gone   sync.Once
}

// Read does the handshake first.
func (c *nodeConn) Read(b []byte) (int, error) {
	c.shake.Do(func() { c.failed = c.admit() })
	if c.failed != nil {
		return 0, c.failed
	}
	return c.Conn.Read(b)
}

func (c *nodeConn) admit() error {
	_ = c.raw.SetWriteDeadline(time.Now().Add(headerLimit))
	defer func() { _ = c.raw.SetWriteDeadline(time.Time{}) }()
	if err := c.Handshake(); err != nil {
		c.complain(err)
		return fmt.Errorf("handshake with %s: %w", c.host, err)
	}
	key, err := c.l.pins.admit(c.ConnectionState(), "")
	if err != nil {
		return err
	}
	c.key = key
	if _, err := c.Conn.Write([]byte(greeting)); err != nil {
		return fmt.Errorf("greet %s: %w", c.host, err)
	}
	c.l.refused.forget(c.host)
	return nil
}

func (c *nodeConn) complain(err error) {
	var unknown *UnknownKeyError
	if errors.As(err, &unknown) {
		c.l.refused.warn("node not let in: its key is not pinned here", c.host,
			zap.Stringer("key", unknown.Key), zap.Strings("pinned", unknown.Pins))
		return
	}
	c.l.refused.warn("handshake on the node API failed", c.host, zap.NamedError("err", err))
}

// Close gives the place back.
func (c *nodeConn) Close() error {
	c.gone.Do(func() { c.l.leave(c.host) })
	return c.Conn.Close()
}

// identify asks the pins again: a key taken away is out at its next request.
func (c *nodeConn) identify() (Caller, error) {
	name, ok := c.l.pins.nodeOf(c.key)
	if !ok {
		return Caller{}, &UnknownKeyError{Key: c.key, Pins: c.l.pins.names()}
	}
	return Caller{Node: name}, nil
}

func nodePeer(ctx context.Context, c net.Conn) context.Context {
	if n, ok := c.(*nodeConn); ok {
		return withPeer(ctx, n)
	}
	return ctx
}
