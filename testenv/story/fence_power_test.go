package story

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// powerSwitch is a sham power switch behind a program of our own, which can do
// something at the moment of "off" that a real device would not.
type powerSwitch struct {
	*testenv.ShamPower
	t    testing.TB
	dir  string
	path string
}

// newPowerSwitch makes a switch that obeys; attach names what hangs on it.
func newPowerSwitch(t testing.TB) *powerSwitch {
	t.Helper()
	p := &powerSwitch{ShamPower: testenv.NewShamPower(t, testenv.ShamOK, nil), t: t, dir: t.TempDir()}
	p.path = filepath.Join(p.dir, "fence_story")
	p.install()
	return p
}

// install puts the program in place: at action=off it first runs the hook, if
// there is one, in its own place.
func (p *powerSwitch) install() {
	p.t.Helper()
	script := fmt.Sprintf("#!/bin/sh\nin=$(cat)\ncase \"$in\" in *action=off*) if [ -f %[1]s/hook ]; then . %[1]s/hook; fi;; esac\nprintf '%%s\\n' \"$in\" | %[2]s\n",
		p.dir, p.ShamPower.Path())
	if err := os.WriteFile(p.path, []byte(script), 0o755); err != nil {
		p.t.Fatal(err)
	}
}

// atOff sets what happens first at action=off, in shell; empty: nothing.
func (p *powerSwitch) atOff(script string) {
	p.t.Helper()
	err := os.WriteFile(filepath.Join(p.dir, "hook"), []byte(script+"\n"), 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
}

// remove takes the program away.
func (p *powerSwitch) remove() {
	p.t.Helper()
	if err := os.Remove(p.path); err != nil {
		p.t.Fatal(err)
	}
}

// on configures the switch as the fence device of a node.
func (p *powerSwitch) on(node string) option {
	return func(o *demo.SiteOptions) {
		o.NodeExtra = map[string]string{node: fmt.Sprintf(
			"fence:\n  - {type: agent, agent: %s, options: {plug: %s}, off_limit: 4s}\n", p.path, node)}
	}
}

// attach puts a node's server and service on its plug.
func (p *powerSwitch) attach(s *site, node string) {
	p.t.Helper()
	p.Plug(node, []string{s.Pair.Server(node).DataDir}, s.Node(node).ServicePid)
}

func offs(p *powerSwitch) int {
	n := 0
	for _, c := range p.Calls() {
		if c.Options["action"] == "off" {
			n++
		}
	}
	return n
}

// TestRule2_PowerIsTheOnlyFence_OnlyProofPromotes walks through a night with a
// power switch that is missing, blind, hanging and lying before it is repaired:
// nothing is promoted until off was read back and the node is silent. The old
// primary's service is dead too, so nobody can seal it or read its disk.
func TestRule2_PowerIsTheOnlyFence_OnlyProofPromotes(t *testing.T) {
	t.Parallel()
	power := newPowerSwitch(t)
	s := newSite(t, power.on("db1"))
	power.attach(s, "db1")
	l := s.ledger()
	s.killService("db1")
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")
	unchanged := s.unchanged()
	promote := []string{"promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown"}

	power.remove()
	p := s.plan("db2", "promote")
	if p.Refusal == nil || p.Refusal.Gate != "fence" || p.Refusal.Exit != 5 || p.Refusal.Rule != "2" || !strings.Contains(fmt.Sprint(p.Fence.Evidence), "fence_story") {
		t.Errorf("plan without the program: %+v, %+v", p.Refusal, p.Fence)
	}
	s.wants(5, "db2", promote...)
	power.install()
	for _, mode := range []testenv.ShamMode{testenv.ShamHang, testenv.ShamFail, testenv.ShamBlind} {
		power.SetMode(mode)
		if a := s.wants(5, "db2", promote...); !strings.Contains(a.out+a.err, "rule 2") {
			t.Errorf("a switch that is %s: rule 2 is not named: %s", mode, a)
		}
	}
	power.SetMode(testenv.ShamOK)
	p = s.plan("db2", "promote")
	if p.Fence.Grade != fence.GradePower || p.Loss.AtMostBytes != nil || p.Refusal == nil || p.Refusal.Rule != "8" {
		t.Errorf("plan with power alone: %+v, %+v, refusal %+v", p.Fence, p.Loss, p.Refusal)
	}
	s.wants(5, "db2", "promote", "--confirm=db2", "--no-input", "--accept-data-loss", "1GiB")
	unchanged("after refusals")
	s.none("db2", runbooks.KindPromote)
	if n := offs(power); n > 0 {
		t.Errorf("the switch was asked %d times to cut the power by plans that were refused", n)
	}

	power.atOff("exec tail -f /dev/null") // hangs, but only when it is to act
	op := s.fenceUnknown(promote...)
	s.wants(0, "db2", "ops", "abort", op)
	s.idle("db2")
	power.atOff("")
	power.SetMode(testenv.ShamLie)
	op = s.fenceUnknown(promote...)
	s.wants(8, "db2", "ops", "resume", op)
	s.readOnly("db2")
	power.SetMode(testenv.ShamOK) // repaired
	s.wants(0, "db2", "ops", "resume", op)
	f := runbooks.Replay(s.journal("db2", op)).FenceOutcome()
	if f == nil || f.Grade != fence.GradePower || f.Device != "agent:fence_story" || f.EndOfWAL != nil {
		t.Errorf("fence on record: %+v", f)
	}
	s.writable("db2")
	s.awaitWriter(l, "db2")
	s.compare(l, "db2")
	s.oldPrimaryComesBack(l, true)
}

// fenceUnknown promotes with a device that proves nothing, and gives the
// operation that is left open.
func (s *site) fenceUnknown(promote ...string) string {
	s.t.Helper()
	a := s.wants(8, "db2", promote...)
	op := s.newest("db2", runbooks.KindPromote)
	if op.State != "stopped" || op.Step != runbooks.StepFence || !strings.Contains(a.out+a.err, "fence_story") {
		s.t.Errorf("want it stopped at the fence with the device named: %+v, %s", op, a)
	}
	s.readOnly("db2")
	return op.ID
}

// oldPrimaryComesBack switches the fenced db1 on again and tries to start it
// writable: rules 4 and 6, the order stands with its epoch, outlasts its
// operation, and is obeyed by a starting server as by a starting service.
func (s *site) oldPrimaryComesBack(l *demo.Ledger, gateFirst bool) {
	s.t.Helper()
	obeys := func() {
		s.startService("db1")
		testenv.Wait(s.t, 30*time.Second, "db1 obeys the standing order", func() (bool, string) {
			d := s.durable("db1")
			_, stands := d.StandingOrder("db1")
			return d.Marker != nil && d.Epoch.Primary == "db2" && !stands, fmt.Sprintf("%+v", d)
		})
	}
	if !gateFirst {
		obeys()
	}
	out, err := s.startThroughGate("db1")
	if err != nil || !strings.Contains(out, "isolated-standby") {
		s.t.Fatalf("start of the old primary through its gate: %v: %s", err, out)
	}
	s.readOnly("db1")
	if gateFirst {
		obeys()
	}
	if err := s.Pair.Server("db1").Stop(s.t.Context(), demo.StopFast); err != nil {
		s.t.Fatal(err)
	}
	// By plain pg_ctl, past the gate.
	if err := s.Pair.Server("db1").Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.readOnly("db1")
	testenv.AwaitAcks(s.t, l, 50)
	s.compare(l, "db2")
}

// TestRule2_SwitchCutsAnotherNode_ContradictedByTheAnswer has a switch that
// says and reads back off while the old primary comes to life.
func TestRule2_SwitchCutsAnotherNode_ContradictedByTheAnswer(t *testing.T) {
	t.Parallel()
	power := newPowerSwitch(t)
	s := newSite(t, power.on("db1"))
	power.Plug("db1", nil) // wired to nothing
	l := s.ledger()
	s.killService("db1")
	testenv.StopGroup(t, s.Pair.Server("db1"))
	pids, err := s.Pair.Server("db1").Processes()
	if err != nil {
		t.Fatal(err)
	}
	power.atOff("kill -CONT " + strings.Trim(fmt.Sprint(pids), "[]"))
	s.awaitCondition("db2", "NoPrimary")
	op := s.fenceUnknown("promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown")
	testenv.AwaitAcks(t, l, 50)
	s.writable("db1")
	s.wants(0, "db2", "ops", "abort", op)
	s.idle("db2")
	if r := s.compare(l, "db1"); len(r.Tenures) != 1 || len(r.Lost) > 0 {
		t.Errorf("want db1 alone and nothing lost: %+v, lost %v", r.Tenures, r.Lost)
	}
}
