package bootgate_test

import (
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/bootgate"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func TestGate_ServerRunsAlready_RefusesAndTouchesNothing(t *testing.T) {
	n := newNode(t)
	n.data = bootgate.RealDir(testenv.SharedPair(t).Servers[0].DataDir)
	n.update(t, func(d *fence.Durable) {
		d.SystemID, d.DataDirectory, d.Epoch, d.Role = n.system, n.data, epoch4, replication.RolePrimary
	})
	if d := n.run(t, n.options(0, silent("db2"))); d.Outcome != fence.GateRefuse || len(n.did) > 0 {
		t.Errorf("%s (%s), did %v", d.Outcome, d.Reason, n.did)
	}
}

func TestGate_PeersProbeSeesAPrimaryHere_IsACopy(t *testing.T) {
	n := newNode(t).adopted(t)
	seen := func(age time.Duration, role replication.Role) func(*control.Facts) {
		return func(f *control.Facts) {
			f.Report = &view.Report{Servers: []view.ServerReport{{Node: "db1", Verdict: replication.VerdictHealthy, Role: role, Age: age}}}
		}
	}
	if d := n.run(t, n.options(0, standby(n, seen(time.Second, replication.RolePrimary)))); d.Outcome != fence.GateIsolated {
		t.Errorf("copy: %s (%s)", d.Outcome, d.Reason)
	}
	n = newNode(t).adopted(t)
	if d := n.run(t, n.options(0, standby(n, seen(time.Minute, replication.RolePrimary)))); d.Outcome != fence.GatePrimary {
		t.Errorf("an old look forbids: %s (%s)", d.Outcome, d.Reason)
	}
}
