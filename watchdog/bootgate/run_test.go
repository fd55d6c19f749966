package bootgate_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/bootgate"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

var errSilent = errors.New("no route to host")

func silent(name string) bootgate.Peer {
	return bootgate.Peer{Node: name, Ask: func(context.Context) (control.Facts, error) { return control.Facts{}, errSilent }}
}

// standby is db2 as it answers when all is well.
func standby(n *node, change ...func(*control.Facts)) bootgate.Peer {
	f := control.Facts{Node: "db2", RunningKnown: true, Durable: &fence.Durable{Node: "db2", SystemID: n.system, Epoch: epoch4, Role: replication.RoleStandby}}
	for _, c := range change {
		c(&f)
	}
	return bootgate.Peer{Node: "db2", Ask: func(context.Context) (control.Facts, error) { return f, nil }}
}

func TestGate_FormerPrimary_PeerAgrees_StartsAsConfigured(t *testing.T) {
	n := newNode(t).adopted(t)
	if d := n.run(t, n.options(time.Minute, standby(n))); d.Outcome != fence.GatePrimary {
		t.Fatalf("%s: %s", d.Outcome, d.Reason)
	}
}

// Rule 4: it asks every period for peer_wait, then isolates; not a moment less.
func TestGate_FormerPrimary_NobodyAnswers_WaitsThenIsolates(t *testing.T) {
	n := newNode(t).adopted(t)
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		peer := bootgate.Peer{Node: "db2", Ask: func(context.Context) (control.Facts, error) { asked++; return control.Facts{}, errSilent }}
		o := n.options(time.Minute, peer)
		o.Period = bootgate.DefaultPeriod
		began := time.Now()
		d := n.run(t, o)
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("waited %s, want 1m", waited)
		}
		if d.Outcome != fence.GateIsolated || !strings.Contains(d.Reason, "no route to host") || asked != 121 {
			t.Errorf("%s after %d questions: %s", d.Outcome, asked, d.Reason)
		}
		if len(n.said) != 1 {
			t.Errorf("said %d times what it waits for: %q", len(n.said), n.said)
		}
	})
	if _, err := os.Stat(filepath.Join(n.data, "standby.signal")); err != nil {
		t.Error(err)
	}
}

// A peer that hangs costs its own limit, not the wait of the others.
func TestGate_OnePeerHangs_TheOtherIsHeard(t *testing.T) {
	n := newNode(t).adopted(t)
	synctest.Test(t, func(t *testing.T) {
		hangs := bootgate.Peer{Node: "w1", Witness: true, Ask: func(ctx context.Context) (control.Facts, error) { <-ctx.Done(); return control.Facts{}, ctx.Err() }}
		began := time.Now()
		if d := n.run(t, n.options(time.Minute, hangs, standby(n))); d.Outcome != fence.GatePrimary {
			t.Errorf("%s: %s", d.Outcome, d.Reason)
		}
		if waited := time.Since(began); waited >= bootgate.DefaultPeriod {
			t.Errorf("waited %s", waited)
		}
	})
}

func TestGate_PeerComesUpWhileWaiting_Starts(t *testing.T) {
	n := newNode(t).adopted(t)
	synctest.Test(t, func(t *testing.T) {
		up := time.Now().Add(20 * time.Second)
		real := standby(n)
		peer := bootgate.Peer{Node: "db2", Ask: func(ctx context.Context) (control.Facts, error) {
			if time.Now().Before(up) {
				return control.Facts{}, errSilent
			}
			return real.Ask(ctx)
		}}
		if d := n.run(t, n.options(time.Minute, peer)); d.Outcome != fence.GatePrimary || time.Now().Before(up) {
			t.Errorf("%s: %s", d.Outcome, d.Reason)
		}
	})
}

// The service of this node is told of an intent and an order while its gate waits.
func TestGate_OrderArrivesWhileWaiting_IsObeyed(t *testing.T) {
	n := newNode(t).adopted(t)
	asked := 0
	peer := bootgate.Peer{Node: "db2", Ask: func(context.Context) (control.Facts, error) {
		if asked++; asked == 3 {
			o := fence.Order{Operation: "fence-1", Node: "db1", Issuer: "db2", By: "mario"}
			if err := n.store.Apply(fence.Notice{Order: &o}); err != nil {
				t.Error(err)
			}
		}
		return control.Facts{}, errSilent
	}}
	d := n.run(t, n.options(time.Hour, peer))
	if m := n.durable(t).Marker; d.Outcome != fence.GateIsolated || m == nil || m.Operation != "fence-1" {
		t.Errorf("%s (%s), marker %+v", d.Outcome, d.Reason, m)
	}
}

func TestGate_PeersOrder_BecomesOwnMarker_AndItsAbortLiftsIt(t *testing.T) {
	n := newNode(t).adopted(t)
	order := fence.Order{Operation: "promote-1", Node: "db1", Issuer: "db2", By: "mario", Epoch: fence.Epoch{Number: 5, ID: "five", Primary: "db2"}}
	peer := standby(n, func(f *control.Facts) { f.Durable.Orders = []fence.Order{order} })
	if d := n.run(t, n.options(time.Minute, peer)); d.Outcome != fence.GateIsolated {
		t.Fatalf("%s: %s", d.Outcome, d.Reason)
	}
	d := n.durable(t)
	if m := d.Marker; m == nil || m.Operation != "promote-1" || m.Epoch != order.Epoch || m.SystemID != n.system || m.DataDirectory != n.data {
		t.Errorf("marker %+v", m)
	}
	if len(d.Orders) != 1 || !d.Orders[0].Obeyed {
		t.Errorf("the obeyed order is not kept: %+v", d.Orders)
	}
	// Held for good, whoever agrees now.
	if d := n.run(t, n.options(time.Minute, standby(n))); d.Outcome != fence.GateIsolated {
		t.Errorf("second start: %s (%s)", d.Outcome, d.Reason)
	}
	if err := n.store.Apply(fence.Notice{Closed: &fence.Closed{Operation: "promote-1", Result: fence.ResultNotDone}}); err != nil {
		t.Fatal(err)
	}
	if d := n.durable(t); d.Marker != nil {
		t.Errorf("the abort left the marker %+v", d.Marker)
	}
}

// Rule 3: a copy whose owner says that the operation ended is closed, durably.
func TestGate_CopyOfAnEndedOperation_IsClosed(t *testing.T) {
	n := newNode(t).adopted(t, func(d *fence.Durable) {
		d.Intents = []fence.Intent{{Operation: "promote-1", Kind: "promote", Owner: "db2", Target: "db2"}}
	})
	if d := n.run(t, n.options(0, standby(n))); d.Outcome != fence.GateIsolated {
		t.Fatalf("an open copy: %s (%s)", d.Outcome, d.Reason)
	}
	_ = os.Remove(filepath.Join(n.data, "standby.signal"))
	ended := standby(n, func(f *control.Facts) {
		f.Durable.Closed = []fence.Closed{{Operation: "promote-1", Result: fence.ResultNotDone}}
	})
	if d := n.run(t, n.options(0, ended)); d.Outcome != fence.GatePrimary {
		t.Fatalf("%s: %s", d.Outcome, d.Reason)
	}
	if d := n.durable(t); len(d.Intents) > 0 || len(d.Closed) != 1 {
		t.Errorf("the copy is still there: %+v", d)
	}
}

func TestGate_CopyCannotBeClosed_DoesNotStart(t *testing.T) {
	n := newNode(t).adopted(t, func(d *fence.Durable) {
		d.Intents = []fence.Intent{{Operation: "promote-1", Kind: "promote", Owner: "db2", Target: "db2"}}
	})
	readOnly(t, n.state)
	ended := standby(n, func(f *control.Facts) {
		f.Durable.Closed = []fence.Closed{{Operation: "promote-1", Result: fence.ResultNotDone}}
	})
	if d, err := bootgate.Run(t.Context(), n.options(0, ended)); err == nil || len(n.did) > 0 {
		t.Errorf("%s, applied %v, error %v", d.Outcome, n.did, err)
	}
}

// A state directory that cannot be written does not make an order void.
func TestGate_ReadOnlyState_OrderIsObeyedAllTheSame(t *testing.T) {
	n := newNode(t).adopted(t)
	readOnly(t, n.state)
	peer := standby(n, func(f *control.Facts) {
		f.Durable.Orders = []fence.Order{{Operation: "fence-1", Node: "db1", Issuer: "db2"}}
	})
	if d := n.run(t, n.options(0, peer)); d.Outcome != fence.GateIsolated || len(n.said) == 0 {
		t.Errorf("%s (%s), said %q", d.Outcome, d.Reason, n.said)
	}
	if _, err := os.Stat(filepath.Join(n.data, "standby.signal")); err != nil {
		t.Error(err)
	}
}

// readOnly takes the right to write from everybody but root.
func readOnly(t *testing.T, dir string) {
	t.Helper()
	if syscall.Geteuid() == 0 {
		t.Skip("root writes everywhere")
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
}

func TestGate_UnreadableStateOrData_Refuses(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, n *node)
		says   string
	}{
		"torn epoch.json":        {func(t *testing.T, n *node) { truncate(t, filepath.Join(n.state, state.EpochFile)) }, state.EpochFile},
		"torn fence.json":        {func(t *testing.T, n *node) { truncate(t, filepath.Join(n.state, state.FenceFile)) }, state.FenceFile},
		"fence.json missing":     {func(t *testing.T, n *node) { remove(t, filepath.Join(n.state, state.FenceFile)) }, state.FenceFile},
		"torn pg_control":        {func(t *testing.T, n *node) { replaceControl(t, n.data, 100) }, "pg_control"},
		"pg_control missing":     {func(t *testing.T, n *node) { remove(t, filepath.Join(n.data, "global/pg_control")) }, "pg_control"},
		"backup_label":           {func(t *testing.T, n *node) { n.write(t, "backup_label", "START WAL LOCATION: 0/2000028\n") }, "backup_label"},
		"state of another place": {func(t *testing.T, n *node) { n.update(t, func(d *fence.Durable) { d.DataDirectory = "/elsewhere" }) }, "/elsewhere"},
		"state of another data":  {func(t *testing.T, n *node) { n.update(t, func(d *fence.Durable) { d.SystemID = 99 }) }, "system identifier"},
		"data directory gone":    {func(t *testing.T, n *node) { removeAll(t, n.data) }, "initdb"},
		"data directory empty":   {func(t *testing.T, n *node) { removeAll(t, n.data); mkdir(t, n.data) }, "initdb"},
		"a volume's lost+found":  {func(t *testing.T, n *node) { removeAll(t, n.data); mkdir(t, n.data+"/lost+found") }, "initdb"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t).adopted(t)
			c.damage(t, n)
			d := n.run(t, n.options(time.Minute, standby(n)))
			if d.Outcome != fence.GateRefuse || !strings.Contains(d.Reason, c.says) {
				t.Errorf("%s: %s", d.Outcome, d.Reason)
			}
			if _, err := os.Stat(filepath.Join(n.data, "standby.signal")); err == nil {
				t.Error("a refusal wrote standby.signal")
			}
		})
	}
}

func truncate(t *testing.T, path string) {
	t.Helper()
	if err := os.Truncate(path, 40); err != nil {
		t.Fatal(err)
	}
}

// replaceControl puts a torn copy in the place of the hard link.
func replaceControl(t *testing.T, data string, keep int) {
	t.Helper()
	path := filepath.Join(data, "global/pg_control")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	remove(t, path)
	if err := os.WriteFile(path, b[:keep], 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func removeAll(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestGate_LostState(t *testing.T) {
	marked := newNode(t).adopted(t)
	removeAll(t, marked.state)
	if d := marked.run(t, marked.options(time.Minute, standby(marked))); d.Outcome != fence.GateIsolated {
		t.Errorf("with the adopted mark: %s (%s)", d.Outcome, d.Reason)
	}
	plain := newNode(t)
	if d := plain.run(t, plain.options(time.Minute, standby(plain))); d.Outcome != fence.GateIsolated || !strings.Contains(d.Reason, "db2 knows") {
		t.Errorf("known by a peer: %s (%s)", d.Outcome, d.Reason)
	}
	unknown := newNode(t)
	if d := unknown.run(t, unknown.options(time.Minute, silent("db2"))); d.Outcome != fence.GateInactive {
		t.Errorf("known by nobody: %s (%s)", d.Outcome, d.Reason)
	}
}

func TestGate_Standby_AsksNobody(t *testing.T) {
	n := newNode(t).adopted(t, func(d *fence.Durable) { d.Role = replication.RoleStandby })
	n.write(t, "standby.signal", "")
	peer := bootgate.Peer{Node: "db2", Ask: func(context.Context) (control.Facts, error) {
		t.Error("a peer was asked")
		return control.Facts{}, errSilent
	}}
	if d := n.run(t, n.options(time.Hour, peer)); d.Outcome != fence.GateStandby {
		t.Errorf("%s: %s", d.Outcome, d.Reason)
	}
}

func TestGate_Interrupted_DoesNotStart(t *testing.T) {
	n := newNode(t).adopted(t)
	ctx, cancel := context.WithCancel(t.Context())
	peer := bootgate.Peer{Node: "db2", Ask: func(context.Context) (control.Facts, error) { cancel(); return control.Facts{}, errSilent }}
	if d, err := bootgate.Run(ctx, n.options(time.Hour, peer)); err == nil || len(n.did) > 0 {
		t.Errorf("%s, applied %v, error %v", d.Outcome, n.did, err)
	}
}

func TestGate_IsolationCannotBeApplied_DoesNotStart(t *testing.T) {
	n := newNode(t).adopted(t)
	o := n.options(0, silent("db2"))
	o.Isolate = func() error { return errors.New("read-only file system") }
	if d, err := bootgate.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("%s, error %v", d.Outcome, err)
	}
}

func TestGate_PeerUnderAnotherName_IsNoAnswer(t *testing.T) {
	n := newNode(t).adopted(t)
	for name, change := range map[string]func(*control.Facts){
		"another name":         func(f *control.Facts) { f.Node = "db9" },
		"calls itself witness": func(f *control.Facts) { f.Witness = true },
		"state unreadable":     func(f *control.Facts) { f.Durable = nil },
	} {
		if d := n.run(t, n.options(0, standby(n, change))); d.Outcome != fence.GateIsolated {
			t.Errorf("%s: %s (%s)", name, d.Outcome, d.Reason)
		}
		_ = os.Remove(filepath.Join(n.data, "standby.signal"))
	}
}

func TestMarkAdopted_IsTheSameEverywhere_AndTwiceIsOnce(t *testing.T) {
	n := newNode(t).adopted(t)
	first, err := os.ReadFile(filepath.Join(n.data, bootgate.AdoptedMark))
	if err != nil {
		t.Fatal(err)
	}
	if err := bootgate.MarkAdopted(n.data, 1); err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(filepath.Join(n.data, bootgate.AdoptedMark))
	if err != nil || string(first) != string(again) || !strings.Contains(string(first), n.system.String()) {
		t.Errorf("first %q, then %q (%v)", first, again, err)
	}
	if err := bootgate.MarkAdopted(filepath.Join(n.data, "nowhere"), 1); err == nil {
		t.Error("a mark in a directory that is not there")
	}
}

// Printed, not asserted: every boot pays this, also when all is well.
func TestGate_TimeOfADecisionWithoutPeers(t *testing.T) {
	n := newNode(t).adopted(t, func(d *fence.Durable) { d.Role = replication.RoleStandby })
	n.write(t, "standby.signal", "")
	began := time.Now()
	n.run(t, n.options(time.Minute))
	t.Logf("a standby's gate took %s", time.Since(began))
	began = time.Now()
	n.update(t, func(d *fence.Durable) { d.Marker = &fence.Marker{Operation: "fence-1"} })
	n.run(t, n.options(time.Minute))
	t.Logf("a sealed node's gate took %s, with two fsyncs of its own", time.Since(began))
}
