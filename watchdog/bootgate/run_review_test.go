package bootgate_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/watchdog/bootgate"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// The node's own service seals it between the gate's decision and the start: the
// seal finds no process to stop, and the server must not start as configured.
func TestGate_SealedAfterTheDecision_StartsCutOff(t *testing.T) {
	n := newNode(t).adopted(t)
	o := n.options(time.Minute, standby(n))
	let := o.Configured
	o.Configured = func() error {
		if err := n.store.SetMarker(fence.Marker{Operation: "fence-1", SystemID: n.system, DataDirectory: n.data}); err != nil {
			t.Error(err)
		}
		return let()
	}
	cutOff(t, n, o)
}

// cutOff runs the gate and wants the last thing that it did to be the isolation.
func cutOff(t *testing.T, n *node, o bootgate.Options) {
	t.Helper()
	d, err := bootgate.Run(t.Context(), o)
	if err != nil || d.Outcome != fence.GateIsolated || len(n.did) == 0 || n.did[len(n.did)-1] != "isolate" {
		t.Errorf("%s (%s), %v, did %v", d.Outcome, d.Reason, err, n.did)
	}
}

// The gate is stopped for minutes with its peer's permission in hand; meanwhile
// the peer begins to replace this node.
func TestGate_StoppedAfterTheDecision_AsksAgain(t *testing.T) {
	n := newNode(t).adopted(t)
	synctest.Test(t, func(t *testing.T) {
		began, agrees := time.Now(), standby(n)
		peer := bootgate.Peer{Node: "db2", Ask: func(ctx context.Context) (control.Facts, error) {
			f, err := agrees.Ask(ctx)
			if time.Since(began) >= time.Minute {
				d := *f.Durable
				d.Intents = []fence.Intent{{Operation: "promote-1", Kind: "promote", Owner: "db2", Target: "db2"}}
				f.Durable = &d
			}
			return f, err
		}}
		o := n.options(time.Second, peer)
		let := o.Configured
		o.Configured = func() error {
			if time.Since(began) < time.Minute {
				time.Sleep(5 * time.Minute) // a bubble's: SIGSTOP, then SIGCONT
			}
			return let()
		}
		cutOff(t, n, o)
	})
}
