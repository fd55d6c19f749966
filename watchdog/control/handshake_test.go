package control_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

func TestNode_UnknownClientKey_RefusedOnBothSidesAndSaidOnce(t *testing.T) {
	_, b := pair(t)
	stranger := newMember(t, "a", newKey(t), map[string][]control.PublicKey{"b": {control.PublicOf(b.opts.Key)}})
	var got asked
	addr, _ := b.serve(t, got.register)
	c := stranger.client(t, "b", addr)
	for range 5 {
		wantCertain(t, lock(t, c), control.PhaseTLS)
	}
	if n := got.calls.Load(); n != 0 {
		t.Errorf("%d calls of a stranger reached the handler", n)
	}
	lines := b.logs.FilterMessage("node not let in: its key is not pinned here")
	if lines.Len() != 1 || lines.All()[0].ContextMap()["key"] != control.PublicOf(stranger.opts.Key).String() {
		t.Errorf("server said: %v", b.logs.All())
	}
	if n := count(stranger.logs, "handshake with node refused"); n != 1 {
		t.Errorf("client said so %d times", n)
	}
}

// A handshake that broke, as a starved client's does, is one thing to tell; the
// foreign key that comes from the same address after it is another.
func TestNode_UnknownClientKeyAfterABrokenHandshake_IsStillSaid(t *testing.T) {
	_, b := pair(t)
	stranger := newMember(t, "a", newKey(t), map[string][]control.PublicKey{"b": {control.PublicOf(b.opts.Key)}})
	var got asked
	addr, _ := b.serve(t, got.register)
	for range 3 {
		raw, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Write([]byte("no handshake at all, and then nothing more")); err != nil {
			t.Fatal(err)
		}
		if err := raw.Close(); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Wait(t, 20*time.Second, "the broken handshake is said", func() (bool, string) {
		return count(b.logs, "handshake on the node API failed") == 1, fmt.Sprint(b.logs.All())
	})
	c := stranger.client(t, "b", addr)
	for range 3 {
		wantCertain(t, lock(t, c), control.PhaseTLS)
	}
	for _, text := range []string{"handshake on the node API failed", "node not let in: its key is not pinned here"} {
		if n := count(b.logs, text); n != 1 {
			t.Errorf("said %q %d times: %v", text, n, b.logs.All())
		}
	}
}

func TestNode_UnknownServerKey_ClientSendsNothing(t *testing.T) {
	a, _ := pair(t)
	impostor := newMember(t, "b", newKey(t), map[string][]control.PublicKey{"a": {control.PublicOf(a.opts.Key)}})
	var got asked
	addr, _ := impostor.serve(t, got.register)
	c := a.client(t, "b", addr)
	for range 3 {
		err := lock(t, c)
		wantCertain(t, err, control.PhaseTLS)
		var unknown *control.UnknownKeyError
		if !errors.As(err, &unknown) || unknown.Want != "b" {
			t.Errorf("cause = %#v", err)
		}
	}
	if n := got.calls.Load(); n != 0 {
		t.Errorf("%d calls reached an impostor", n)
	}
	if n := count(a.logs, "handshake with node refused"); n != 1 {
		t.Errorf("client said so %d times", n)
	}
}

func TestNode_AnotherNodesKey_IsNotGoodEnough(t *testing.T) {
	a, b := pair(t)
	w := newKey(t)
	pins := map[string][]control.PublicKey{
		"a": {control.PublicOf(a.opts.Key)}, "b": {control.PublicOf(b.opts.Key)}, "w": {control.PublicOf(w)},
	}
	witness := newMember(t, "w", w, pins)
	a = newMember(t, "a", a.opts.Key, pins)
	var got asked
	addr, _ := witness.serve(t, got.register)
	err := lock(t, a.client(t, "b", addr))
	wantCertain(t, err, control.PhaseTLS)
	var unknown *control.UnknownKeyError
	if !errors.As(err, &unknown) || unknown.Is != "w" || got.calls.Load() != 0 {
		t.Errorf("error = %v", err)
	}
}

func TestNode_ExpiredCertificate_LetIn(t *testing.T) {
	a, b := pair(t)
	var got asked
	addr, _ := b.serve(t, got.register)
	cert, err := control.ExpiredCertificate(a.opts.Key)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", addr, control.ClientTLS(cert, a.opts.Pins, "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if end := conn.ConnectionState().PeerCertificates[0].NotAfter; end.Year() != 9999 {
		t.Errorf("our own certificates end in %v", end)
	}
	line := make([]byte, 8)
	if _, err := io.ReadFull(conn, line); err != nil || string(line) != "pg-watch" {
		t.Errorf("greeting = %q, %v", line, err)
	}
}

func TestNode_OldTLSOrNoCertificate_Refused(t *testing.T) {
	a, b := pair(t)
	var got asked
	addr, _ := b.serve(t, got.register)
	cert, err := control.ExpiredCertificate(a.opts.Key)
	if err != nil {
		t.Fatal(err)
	}
	old := control.ClientTLS(cert, a.opts.Pins, "b")
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	bare := control.ClientTLS(tls.Certificate{}, a.opts.Pins, "b")
	bare.Certificates = nil
	for name, conf := range map[string]*tls.Config{"TLS 1.2": old, "no certificate": bare} {
		conn, err := tls.Dial("tcp", addr, conf)
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			_, err = io.ReadFull(conn, make([]byte, 8))
			_ = conn.Close()
		}
		if err == nil {
			t.Errorf("%s: was greeted", name)
		}
	}
	if got.calls.Load() != 0 {
		t.Error("a call got through")
	}
}

func TestNode_PlainText_Refused(t *testing.T) {
	_, b := pair(t)
	var got asked
	addr, _ := b.serve(t, got.register)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = fmt.Fprint(conn, "POST /v1/node/lock HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\n{}")
	answer, _ := io.ReadAll(conn)
	if strings.Contains(string(answer), "HTTP/") || got.calls.Load() != 0 {
		t.Errorf("answered %q", answer)
	}
}

func TestNode_SilentConnections_Bounded(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	var got asked
	addr, _ := b.serve(t, got.register)
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range 40 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	testenv.Wait(t, 10*time.Second, "connections over the limit to be closed", func() (bool, string) {
		n := count(b.logs, "connection refused: too many from one address or in all")
		return n == 1, fmt.Sprint(n)
	})
	c := a.client(t, "b", addr)
	testenv.Wait(t, 20*time.Second, "a true node to get in once the silent ones are thrown out", func() (bool, string) {
		err := lock(t, c)
		return err == nil, fmt.Sprint(err)
	})
}

// A service that stops while it is called is not taken for one that refuses us.
func TestNode_ClosedDuringHandshake_IsNotARefusedKey(t *testing.T) {
	a, _ := pair(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	defer func() { _ = l.Close(); <-done }()
	wantCertain(t, lock(t, a.client(t, "b", l.Addr().String())), control.PhaseDial)
	if n := a.logs.Len(); n != 0 {
		t.Errorf("logged %v", a.logs.All())
	}
}
