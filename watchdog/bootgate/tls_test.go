package bootgate_test

import (
	"context"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/bootgate"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// member is one node with its key and those that it knows.
func member(t *testing.T, name string, key ed25519.PrivateKey, known map[string]ed25519.PrivateKey) control.NodeOptions {
	t.Helper()
	table := map[string][]control.PublicKey{}
	for n, k := range known {
		table[n] = []control.PublicKey{control.PublicOf(k)}
	}
	pins, err := control.NewPins(table)
	if err != nil {
		t.Fatal(err)
	}
	return control.NodeOptions{Node: name, Listen: "127.0.0.1:0", Key: key, Pins: pins, Log: zap.NewNop()}
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	k, err := control.GenerateNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// serve answers the gate's question as name, over mutual TLS.
func serve(t *testing.T, o control.NodeOptions, f control.Facts) string {
	t.Helper()
	r := control.NewRouter(zap.NewNop())
	control.Handle(r, control.NodeFacts, func(context.Context, control.Caller, string, control.None) (control.Facts, error) { return f, nil })
	s, err := control.ListenNode(o, r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

func dial(t *testing.T, o control.NodeOptions, name, addr string) bootgate.Peer {
	t.Helper()
	c, err := control.NewNodeClient(o, name, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return bootgate.Peer{Node: name, Ask: func(ctx context.Context) (control.Facts, error) {
		return control.Call(ctx, c, control.NodeFacts, "", control.None{})
	}}
}

// Rule 14: only an answer under the peer's pinned key counts. The same answer of
// an impostor at the peer's address is silence.
func TestGate_AnswersOverTheControlAPI_OnlyThePinnedKeyCounts(t *testing.T) {
	n := newNode(t).adopted(t)
	k1, k2, false2 := newKey(t), newKey(t), newKey(t)
	own := member(t, "db1", k1, map[string]ed25519.PrivateKey{"db2": k2})
	knows := map[string]ed25519.PrivateKey{"db1": k1}
	answer := control.Facts{Node: "db2", RunningKnown: true, Clock: time.Now(),
		Durable: &fence.Durable{Node: "db2", SystemID: n.system, Epoch: epoch4, Role: replication.RoleStandby}}
	real := serve(t, member(t, "db2", k2, knows), answer)
	impostor := serve(t, member(t, "db2", false2, knows), answer)

	d := n.run(t, n.options(0, dial(t, own, "db2", impostor)))
	if d.Outcome != fence.GateIsolated || !strings.Contains(d.Reason, "db2 does not answer") {
		t.Errorf("impostor: %s (%s)", d.Outcome, d.Reason)
	}
	remove(t, n.data+"/standby.signal")
	if d := n.run(t, n.options(5*time.Second, dial(t, own, "db2", real))); d.Outcome != fence.GatePrimary {
		t.Errorf("peer: %s (%s)", d.Outcome, d.Reason)
	}
}
