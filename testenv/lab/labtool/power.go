package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

func runPower(ctx context.Context, c call) error {
	listen := c.flags.String("listen", ":8000", "address of the controller, for TLS and plain HTTP")
	name := c.flags.String("name", "power", "host name in its certificate")
	socket := c.flags.String("engine", "/var/run/docker.sock", "socket of the container engine")
	project := c.flags.String("project", "", "compose project")
	user := c.flags.String("user", "power", "name that clients must give")
	passwordFile := c.flags.String("password-file", "", "file with the password of --user")
	state := c.flags.String("state", "", "file that remembers restart policies across a restart of this program")
	hosts := hostFlag{}
	c.flags.Var(hosts, "host", "NAME=SERVICE,SERVICE,... of a host; again for each host")
	if err := c.parse(0, "project", "user", "password-file"); err != nil {
		return err
	}
	if len(hosts) == 0 {
		return fmt.Errorf("%w: --host is missing", errUsage)
	}
	password, err := readSecret(*passwordFile)
	if err != nil {
		return err
	}
	s, err := newSupply(newEngine(*socket), *project, hosts, *state)
	if err != nil {
		return err
	}
	cert, _, err := demo.SelfSigned(*name, "localhost", "127.0.0.1")
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listen for the power switch: %w", err)
	}
	fmt.Fprintf(c.err, "power switch of %v listens on %s\n", hosts, l.Addr())
	f := &redfish{supply: s, user: *user, password: password, log: c.err}
	return serve(ctx, eitherListener{l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}}, f.handler())
}

// serve serves until the context ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	over := make(chan error, 1)
	go func() { over <- server.Serve(l) }()
	select {
	case err := <-over:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	err := server.Close()
	if serveErr := <-over; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// hostFlag collects --host db1=db1,wd1.
type hostFlag map[string][]string

// String implements flag.Value.
func (h hostFlag) String() string {
	if len(h) == 0 {
		return ""
	}
	return fmt.Sprint(map[string][]string(h))
}

// Set implements flag.Value.
func (h hostFlag) Set(text string) error {
	name, services, ok := strings.Cut(text, "=")
	if _, twice := h[name]; !ok || twice || name == "" || strings.ContainsAny(name, "/ ") || services == "" {
		return fmt.Errorf("host %q: want NAME=SERVICE,SERVICE and each name once", text)
	}
	h[name] = strings.Split(services, ",")
	return nil
}

// eitherListener takes TLS and plain connections on one port, as told by their
// first byte: fence_redfish speaks nothing but TLS, a health check plain HTTP.
type eitherListener struct {
	net.Listener
	config *tls.Config
}

// Accept implements net.Listener. It reads nothing, so that a client which says
// nothing holds up no other.
func (l eitherListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &eitherConn{Conn: conn, config: l.config}, nil
}

// eitherConn decides at its first read; net/http makes that before any write.
type eitherConn struct {
	net.Conn
	config *tls.Config
	chosen net.Conn
}

// Read implements net.Conn.
func (c *eitherConn) Read(p []byte) (int, error) {
	if c.chosen == nil {
		first := bufio.NewReader(c.Conn)
		b, err := first.Peek(1)
		if err != nil {
			return 0, err
		}
		const handshake = 0x16 // RFC 8446, 5.1
		c.chosen = peeked{c.Conn, first}
		if b[0] == handshake {
			c.chosen = tls.Server(c.chosen, c.config)
		}
	}
	return c.chosen.Read(p)
}

// Write implements net.Conn.
func (c *eitherConn) Write(p []byte) (int, error) {
	if c.chosen == nil {
		return c.Conn.Write(p)
	}
	return c.chosen.Write(p)
}

// peeked is a connection of which something was read already.
type peeked struct {
	net.Conn
	first *bufio.Reader
}

// Read implements net.Conn.
func (p peeked) Read(b []byte) (int, error) { return p.first.Read(b) }
