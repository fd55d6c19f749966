package control_test

import (
	"context"
	"errors"
	"fmt"
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
	control.Handle(r, control.NodeTell, func(_ context.Context, by control.Caller, _ string, _ fence.Notice) (control.None, error) {
		a.by.Store(&by)
		a.calls.Add(1)
		return control.None{}, nil
	})
	control.Handle(r, control.NodePing, func(context.Context, control.Caller, string, control.None) (control.Pong, error) {
		return control.Pong{Node: "b", Clock: time.Now().Add(time.Hour)}, nil
	})
}

func lock(t *testing.T, c *control.Client) error {
	t.Helper()
	_, err := control.Call(within(t, 5*time.Second), c, control.NodeTell, "", fence.Notice{Lock: &fence.Lock{Operation: "p-1"}})
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
	pong, round, err := control.Ping(within(t, 5*time.Second), a.client(t, "b", addr))
	if err != nil {
		t.Fatal(err)
	}
	if off := (round.Skew - time.Hour).Abs(); pong.Node != "b" || off > round.RTT+time.Millisecond {
		t.Errorf("skew = %v with a round trip of %v, want 1h", round.Skew, round.RTT)
	}
	if round.RTT <= 0 || round.RTT > 5*time.Second {
		t.Errorf("round trip = %v", round.RTT)
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
	_, err = control.Call(within(t, 300*time.Millisecond), c, control.NodeTell, "", fence.Notice{})
	wantCertain(t, err, control.PhaseDialTimeout)
}

func TestNode_ServerDiesWhileItWorks_OutcomeUnknown(t *testing.T) {
	t.Parallel()
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
