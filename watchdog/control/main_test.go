package control_test

import (
	"context"
	"crypto/ed25519"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func recorder() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return zap.New(core), logs
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// run starts a server and joins it at the end of the test.
func run(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server ended with: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// local starts a local server with the given calls and gives a client.
func local(t *testing.T, register func(*control.Router)) (*control.Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	r := control.NewRouter(zap.NewNop())
	register(r)
	s, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, r)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s.Run)
	c := control.NewLocalClient(path)
	t.Cleanup(c.Close)
	return c, path
}

// member is one node with its key, its log, and its pins of the others.
type member struct {
	opts control.NodeOptions
	logs *observer.ObservedLogs
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	key, err := control.GenerateNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newMember(t *testing.T, name string, key ed25519.PrivateKey, pins map[string][]control.PublicKey) member {
	t.Helper()
	p, err := control.NewPins(pins)
	if err != nil {
		t.Fatal(err)
	}
	log, logs := recorder()
	return member{control.NodeOptions{Node: name, Listen: "127.0.0.1:0", Key: key, Pins: p, Log: log}, logs}
}

// serve starts the member's node API.
func (m member) serve(t *testing.T, register func(*control.Router)) (addr string, stop func()) {
	t.Helper()
	r := control.NewRouter(zap.NewNop())
	register(r)
	s, err := control.ListenNode(m.opts, r)
	if err != nil {
		t.Fatal(err)
	}
	return s.Addr().String(), run(t, s.Run)
}

func (m member) client(t *testing.T, peer, addr string) *control.Client {
	t.Helper()
	c, err := control.NewNodeClient(m.opts, peer, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// pair gives two members that know each other.
func pair(t *testing.T) (a, b member) {
	t.Helper()
	ka, kb := newKey(t), newKey(t)
	pins := map[string][]control.PublicKey{"a": {control.PublicOf(ka)}, "b": {control.PublicOf(kb)}}
	return newMember(t, "a", ka, pins), newMember(t, "b", kb, pins)
}
