package bootgate_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/bootgate"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var epoch4 = fence.Epoch{Number: 4, ID: "four", Primary: "db1"}

// node is db1: a real data directory, a state directory, and what the gate did.
type node struct {
	data, state string
	store       *state.Store
	system      replication.SystemID
	did         []string // isolate, configured
	said        []string
}

// newNode gives a node with a real data directory of its own, cut short by a
// crash: of the shared pair's primary, by hard links. The gate and these tests
// write no file that came from there.
func newNode(t *testing.T) *node {
	t.Helper()
	primary := testenv.SharedPair(t).Servers[0]
	n := &node{data: filepath.Join(t.TempDir(), "data"), state: filepath.Join(t.TempDir(), "state")}
	if out, err := exec.Command("cp", "-al", primary.DataDir, n.data).CombinedOutput(); err != nil {
		// A running server renames and removes files under cp's hands.
		t.Logf("copy data directory: %v %.300s", err, out)
	}
	for _, name := range []string{"postmaster.pid", "standby.signal"} {
		_ = os.Remove(filepath.Join(n.data, name))
	}
	n.data = bootgate.RealDir(n.data)
	c, err := pgdata.ReadControl(n.data)
	if err != nil {
		t.Fatal(err)
	}
	n.system, n.store = c.SystemID, state.Open(n.state, "db1")
	return n
}

// adopted makes it the primary of epoch 4.
func (n *node) adopted(t *testing.T, change ...func(*fence.Durable)) *node {
	t.Helper()
	n.update(t, func(d *fence.Durable) {
		d.SystemID, d.DataDirectory, d.Epoch, d.Role = n.system, n.data, epoch4, replication.RolePrimary
		for _, c := range change {
			c(d)
		}
	})
	if err := bootgate.MarkAdopted(n.data, n.system); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *node) update(t *testing.T, change func(*fence.Durable)) {
	t.Helper()
	err := n.store.Update(func(d fence.Durable) (fence.Durable, error) { change(&d); return d, nil })
	if err != nil {
		t.Fatal(err)
	}
}

func (n *node) durable(t *testing.T) fence.Durable {
	t.Helper()
	d, err := n.store.Read()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (n *node) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(n.data, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (n *node) options(wait time.Duration, peers ...bootgate.Peer) bootgate.Options {
	return bootgate.Options{Node: "db1", DataDir: n.data, Store: n.store, Peers: peers, PeerWait: wait, Period: 10 * time.Millisecond, Now: time.Now,
		Isolate:    func() error { n.did = append(n.did, "isolate"); return pgctl.WriteStandbySignal(n.data) },
		Configured: func() error { n.did = append(n.did, "configured"); return nil },
		Say:        func(text string) { n.said = append(n.said, text) }}
}

// run decides and holds the outcome against what was applied.
func (n *node) run(t *testing.T, o bootgate.Options) fence.GateDecision {
	t.Helper()
	n.did = nil
	d, err := bootgate.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	want := map[fence.GateOutcome]string{fence.GateIsolated: "isolate", fence.GateStandby: "configured", fence.GatePrimary: "configured", fence.GateInactive: "configured"}[d.Outcome]
	if got := append(n.did, "")[0]; got != want || len(n.did) > 1 {
		t.Errorf("%s: applied %v, want %q", d.Outcome, n.did, want)
	}
	return d
}
