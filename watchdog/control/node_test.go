package control_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// asked answers lock requests and remembers who asked.
type asked struct {
	by    atomic.Pointer[control.Caller]
	calls atomic.Int32
}

func (a *asked) register(r *control.Router) {
	control.Handle(r, control.NodeLock, func(_ context.Context, by control.Caller, _ string, _ fence.Lock) (control.None, error) {
		a.by.Store(&by)
		a.calls.Add(1)
		return control.None{}, nil
	})
	control.Handle(r, control.NodeFacts, func(context.Context, control.Caller, string, control.None) (control.Facts, error) {
		return control.Facts{Node: "b", Clock: time.Now().Add(time.Hour)}, nil
	})
}

func lock(t *testing.T, c *control.Client) error {
	t.Helper()
	_, err := control.Call(within(t, 5*time.Second), c, control.NodeLock, "", fence.Lock{Operation: "p-1"})
	return err
}

// wantCertain checks that the call failed in this phase and certainly did not
// arrive.
func wantCertain(t *testing.T, err error, phase control.Phase) {
	t.Helper()
	var u *control.Unreachable
	if !errors.As(err, &u) || u.Phase != phase || u.OutcomeUnknown() {
		t.Errorf("error = %v (%#v), want phase %s and certainly not arrived", err, err, phase)
	}
}

func count(logs *observer.ObservedLogs, message string) int {
	return logs.FilterMessage(message).Len()
}

func TestNode_ServerKnowsTheCallerByItsKey(t *testing.T) {
	a, b := pair(t)
	var got asked
	addr, _ := b.serve(t, got.register)
	if err := lock(t, a.client(t, "b", addr)); err != nil {
		t.Fatal(err)
	}
	if by := got.by.Load(); by.Node != "a" || by.String() != "node a" {
		t.Errorf("caller = %+v", by)
	}
}

func TestNode_Ping_MeasuresTheOtherClock(t *testing.T) {
	a, b := pair(t)
	var got asked
	addr, _ := b.serve(t, got.register)
	facts, round, err := control.Ping(within(t, 5*time.Second), a.client(t, "b", addr))
	if err != nil {
		t.Fatal(err)
	}
	if off := (round.Skew - time.Hour).Abs(); facts.Node != "b" || off > round.RTT+time.Millisecond {
		t.Errorf("skew = %v with a round trip of %v, want 1h", round.Skew, round.RTT)
	}
	if round.RTT <= 0 || round.RTT > 5*time.Second {
		t.Errorf("round trip = %v", round.RTT)
	}
}

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

func TestNode_UnknownServerKey_ClientSendsNothing(t *testing.T) {
	a, b := pair(t)
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
	_ = b
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

func TestNode_TwoKeysDuringRotation_BothLetIn_ThenTheOldOneOut(t *testing.T) {
	a, b := pair(t)
	old, fresh := a.opts.Key, newKey(t)
	if err := b.opts.Pins.Replace(map[string][]control.PublicKey{"a": {control.PublicOf(old), control.PublicOf(fresh)}}); err != nil {
		t.Fatal(err)
	}
	var got asked
	addr, _ := b.serve(t, got.register)
	withOld := a.client(t, "b", addr)
	a.opts.Key = fresh
	a.opts.Pins = mustPins(t, map[string][]control.PublicKey{"b": {control.PublicOf(b.opts.Key)}})
	withFresh := a.client(t, "b", addr)
	for _, c := range []*control.Client{withOld, withFresh} {
		if err := lock(t, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.opts.Pins.Replace(map[string][]control.PublicKey{"a": {control.PublicOf(fresh)}}); err != nil {
		t.Fatal(err)
	}
	// The old key's connection is still open, and counts no more.
	var r *runbooks.Refusal
	if err := lock(t, withOld); !errors.As(err, &r) || r.Exit != runbooks.ExitRefused {
		t.Errorf("call over the open connection of a removed key: %v", err)
	}
	withOld.Close()
	if err := lock(t, withFresh); err != nil {
		t.Error(err)
	}
	if n := got.calls.Load(); n != 3 {
		t.Errorf("%d calls reached the handler, want 3", n)
	}
}

func mustPins(t *testing.T, nodes map[string][]control.PublicKey) *control.Pins {
	t.Helper()
	p, err := control.NewPins(nodes)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPins_OneKeyForTwoNodes_Refused(t *testing.T) {
	k := control.PublicOf(newKey(t))
	if _, err := control.NewPins(map[string][]control.PublicKey{"a": {k}, "b": {k}}); err == nil || !strings.Contains(err.Error(), "a and b") {
		t.Errorf("error = %v", err)
	}
	if _, err := control.NewPins(map[string][]control.PublicKey{"a": nil}); err == nil {
		t.Error("a node without a key was accepted")
	}
}

func TestNode_OwnKeyPinnedForAnother_Refused(t *testing.T) {
	a, _ := pair(t)
	a.opts.Node = "b"
	if _, err := control.ListenNode(a.opts, control.NewRouter(zap.NewNop())); err == nil {
		t.Error("node b runs with node a's key")
	}
}

// A clock that is wrong at an incident shuts nobody out.
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

func TestNode_NobodyListens_CertainlyDidNotArrive(t *testing.T) {
	a, b := pair(t)
	var got asked
	addr, stop := b.serve(t, got.register)
	stop()
	wantCertain(t, lock(t, a.client(t, "b", addr)), control.PhaseRefused)
}

func TestNode_SilentListener_CertainlyDidNotArrive(t *testing.T) {
	a, _ := pair(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts by backlog, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c := a.client(t, "b", l.Addr().String())
	_, err = control.Call(within(t, 300*time.Millisecond), c, control.NodeLock, "", fence.Lock{})
	wantCertain(t, err, control.PhaseDialTimeout)
}

func TestNode_ServerDiesWhileItWorks_OutcomeUnknown(t *testing.T) {
	a, b := pair(t)
	entered := make(chan struct{})
	addr, stop := b.serve(t, func(r *control.Router) {
		control.Handle(r, control.NodeSeal, func(ctx context.Context, _ control.Caller, _ string, _ fence.Order) (fence.Outcome, error) {
			close(entered)
			<-ctx.Done()
			return fence.Outcome{}, ctx.Err()
		})
	})
	go func() { <-entered; stop() }()
	_, err := control.Call(within(t, 30*time.Second), a.client(t, "b", addr), control.NodeSeal, "", fence.Order{})
	var u *control.Unreachable
	var r *runbooks.Refusal
	switch {
	case errors.As(err, &u) && u.OutcomeUnknown():
	case errors.As(err, &r) && r.Exit == runbooks.ExitUnknown:
	default:
		t.Errorf("error = %#v", err)
	}
}

func TestNode_RestartedServer_IsFoundAgain(t *testing.T) {
	a, b := pair(t)
	var got asked
	addr, stop := b.serve(t, got.register)
	c := a.client(t, "b", addr)
	if err := lock(t, c); err != nil {
		t.Fatal(err)
	}
	stop()
	b.opts.Listen = addr
	b.serve(t, got.register)
	testenv.Wait(t, 10*time.Second, "the kept connection to be replaced", func() (bool, string) {
		err := lock(t, c)
		return err == nil, fmt.Sprint(err)
	})
}

// Connections that never shake hands are closed, and cannot take all places
// from one address.
func TestNode_SilentConnections_Bounded(t *testing.T) {
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
