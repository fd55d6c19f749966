package story

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// soakVariable asks for the complete product of steps and crash points.
const soakVariable = "WATCHDOG_SOAK"

// crashPoints are the places around one step where a service can die: announced
// but not begun, done but not journaled, journaled but the next not announced.
var crashPoints = []string{"before", "acted", "after"}

// promoteSteps are the steps of a promote on a synchronous pair, in order.
var promoteSteps = []string{runbooks.StepLock, runbooks.StepIntent, runbooks.StepFence, runbooks.StepLoss, runbooks.StepReplay,
	runbooks.StepFreeze, runbooks.StepSlot, runbooks.StepEpoch, runbooks.StepPromote, runbooks.StepVerify, runbooks.StepReleaseSync,
	runbooks.StepCommit, runbooks.StepCheckpoint, runbooks.StepClose}

// deaths lists where the service dies: each step once, half of them before
// their act (which a resume must not skip) and half after it (which it must
// bear to do again), and the steps that decide who may write at both; or every
// point of every step.
func deaths(soak bool) []string {
	var all []string
	for i, step := range promoteSteps {
		decides := step == runbooks.StepFence || step == runbooks.StepEpoch || step == runbooks.StepPromote
		for _, point := range crashPoints {
			if soak || (point == "before" && (decides || i%2 == 1)) || (point == "acted" && (decides || i%2 == 0)) {
				all = append(all, point+":"+step)
			}
		}
	}
	return all
}

// TestRule11_ServiceDiesAtEveryStep_ResumeGoesOn kills the service that carries
// out a promotion at each step in turn. After every crash the operation stands
// as stopped, nothing but a resume goes on, and at no point are two servers
// writable. One promotion dies many times: each resume begins where a crash
// left it, and dies one point further on.
func TestRule11_ServiceDiesAtEveryStep_ResumeGoesOn(t *testing.T) {
	t.Parallel()
	s := newSite(t, synchronous)
	l := s.ledger()
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")
	p := s.plan("db2", "promote")
	var names []string
	for _, line := range p.Steps {
		names = append(names, line.Name)
	}
	if !slices.Equal(names, promoteSteps) {
		t.Fatalf("steps of the plan: %v, this test knows %v", names, promoteSteps)
	}

	deaths := deaths(os.Getenv(soakVariable) != "")
	s.restartService("db2", "WATCHDOG_FAILPOINT="+deaths[0])
	s.awaitCondition("db2", "NoPrimary")
	s.watchdog("db2", "promote", "--confirm=db2", "--no-input", "--detach")
	id := ""
	for i, death := range deaths {
		s.awaitServiceEnd("db2")
		// It comes back with the next point of death, which only a resume reaches.
		s.startService("db2", "WATCHDOG_FAILPOINT="+strings.Join(deaths[i+1:min(i+2, len(deaths))], ""))
		op := s.newest("db2", runbooks.KindPromote)
		_, step, _ := strings.Cut(death, ":")
		if id = op.ID; op.State != "stopped" || op.Step != step {
			t.Fatalf("after a crash at %s: %+v", death, op)
		}
		s.promotedOnlyAfter(step)
		if i+1 < len(deaths) {
			s.watchdog("db2", "ops", "resume", id, "--detach")
		}
	}
	s.wants(0, "db2", "ops", "resume", id)
	if op := s.newest("db2", runbooks.KindPromote); op.State != "done" {
		t.Errorf("after the last resume: %+v", op)
	}
	s.idle("db1", "db2")
	s.writable("db2")
	s.awaitWriter(l, "db2")
	if r := s.compare(l, "db2"); len(r.Lost) > 0 {
		t.Errorf("%d acknowledged rows are lost", len(r.Lost))
	}
	if d := s.durable("db2"); d.Epoch.Number != 2 || d.Epoch.Primary != "db2" {
		t.Errorf("epoch after one promotion that died %d times: %+v", len(deaths), d.Epoch)
	}
	a := s.watchdog("db2", "ops", "resume", id)
	if a.exit != 1 || !strings.Contains(a.out+a.err, "has ended") {
		t.Errorf("resume of an operation that has ended: %s", a)
	}
}

// promotedOnlyAfter holds a server against the step at which the service died.
func (s *site) promotedOnlyAfter(step string) {
	s.t.Helper()
	at, promote := slices.Index(promoteSteps, step), slices.Index(promoteSteps, runbooks.StepPromote)
	if at < promote {
		s.readOnly("db2")
	}
	if at > promote {
		s.writable("db2")
	}
	if at > slices.Index(promoteSteps, runbooks.StepFence) && s.durable("db1").Marker == nil {
		s.t.Errorf("db1 has no marker although the fence is journaled (crash at %s)", step)
	}
}

// restartService ends a node's service in order and starts it again.
func (s *site) restartService(node string, env ...string) {
	s.t.Helper()
	if err := s.StopService(s.Node(node)); err != nil {
		s.t.Fatal(err)
	}
	s.startService(node, env...)
}

// TestRule6And11_ServiceDiesBeforeTheEpoch_AbortGivesTheOldPrimaryBack kills
// the service at steps before the new epoch is durable, and aborts: locks,
// intents, orders and markers go on both nodes, and the old primary comes back
// by the way that its state asks for, its own start or a release.
func TestRule6And11_ServiceDiesBeforeTheEpoch_AbortGivesTheOldPrimaryBack(t *testing.T) {
	t.Parallel()
	cases := []string{"acted:" + runbooks.StepIntent, "acted:" + runbooks.StepFence, "after:" + runbooks.StepFreeze}
	if os.Getenv(soakVariable) != "" {
		cases = nil
		for _, step := range promoteSteps[:slices.Index(promoteSteps, runbooks.StepEpoch)] {
			for _, point := range crashPoints {
				cases = append(cases, point+":"+step)
			}
		}
	}
	s := newSite(t)
	l := s.ledger()
	releases := 0
	for _, at := range cases {
		releases += s.dieAndAbort(at)
		s.awaitWriter(l, "db1")
		s.awaitState("db1", "HEALTHY")
		s.awaitState("db2", "HEALTHY")
	}
	r := s.compare(l, "db1")
	if len(r.Lost) > 0 {
		t.Errorf("%d acknowledged rows are lost although nobody was promoted", len(r.Lost))
	}
	if len(r.Tenures) != 1 || r.Tenures[0].Node != "db1" {
		t.Errorf("who acknowledged: %+v, want db1 alone", r.Tenures)
	}
	if d := s.durable("db2"); d.Epoch.Number != uint64(1+releases) {
		t.Errorf("epoch %d after %d releases", d.Epoch.Number, releases)
	}
}

// dieAndAbort is one round: the primary dies, the promotion dies at a point, is
// aborted, and the primary is brought back. It gives the number of releases.
func (s *site) dieAndAbort(at string) int {
	s.t.Helper()
	s.restartService("db2", "WATCHDOG_FAILPOINT="+at)
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")
	s.watchdog("db2", "promote", "--confirm=db2", "--no-input", "--detach", "--accept-data-loss", "unknown")
	s.awaitServiceEnd("db2")
	s.startService("db2")
	op := s.newest("db2", runbooks.KindPromote)
	if op.State != "stopped" {
		s.t.Fatalf("%s: %+v", at, op)
	}
	s.wants(9, "db2", "promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown")
	s.wants(0, "db2", "ops", "abort", op.ID)
	if op := s.newest("db2", runbooks.KindPromote); op.State != "aborted" {
		s.t.Fatalf("%s, aborted: %+v", at, op)
	}
	s.idle("db1", "db2")
	for _, node := range []string{"db1", "db2"} {
		d := s.durable(node)
		if o, stands := d.StandingOrder("db1"); stands || d.Marker != nil {
			s.t.Errorf("%s, aborted: %s keeps order %+v, marker %+v", at, node, o, d.Marker)
		}
	}
	s.readOnly("db2")
	out, err := s.startThroughGate("db1")
	if err != nil {
		s.t.Fatalf("%s: start db1: %v: %s", at, err, out)
	}
	in, err := s.inRecovery("db1")
	if err != nil {
		s.t.Fatalf("%s: %v", at, err)
	}
	if !in {
		return 0
	}
	// It was sealed: only a release makes it primary again.
	testenv.Wait(s.t, 30*time.Second, "release of db1", func() (bool, string) {
		a := s.watchdog("db1", "release", "db1", "--confirm=db1", "--no-input")
		return a.exit == 0, fmt.Sprint(a)
	})
	s.writable("db1")
	return 1
}
