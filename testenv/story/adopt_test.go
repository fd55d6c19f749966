package story

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/bootgate"
)

// TestStory_FirstInstallation_AdoptThenOrdinaryRestarts installs a pair that
// runs already, adopts it, and restarts its parts as a year of work would.
func TestStory_FirstInstallation_AdoptThenOrdinaryRestarts(t *testing.T) {
	t.Parallel()
	s := newSite(t, notAdopted)
	s.awaitState("db1", "HEALTHY")
	s.neverTwoWritable()
	t.Run("not adopted: status says that the gate is inactive, and the command", s.on((*site).gateInactive))
	t.Run("adopt refuses what it must not record", s.on((*site).adoptRefusals))
	t.Run("adopt writes epoch, roles and marks on both nodes", s.on((*site).adoptBoth))
	t.Run("reboot of the primary with a healthy standby", s.on((*site).rebootPrimary))
	t.Run("restart of the standby with nobody there", s.on((*site).standbyAlone))
	t.Run("the standby's service is silent: held, then released by its answer", s.on((*site).releasedByAnswer))
}

// on runs one part of a scenario on the site, reporting to that part's test.
func (s *site) on(part func(*site)) func(*testing.T) {
	return func(t *testing.T) {
		was := s.t
		s.t = t
		defer func() { s.t = was }()
		part(s)
	}
}

func (s *site) gateInactive() {
	a := s.wants(0, "db2", "status")
	for _, want := range []string{"never adopted", "watchdog adopt db1"} {
		if !strings.Contains(a.out, want) {
			s.t.Errorf("status does not say %q:\n%s", want, a.out)
		}
	}
	for _, node := range []string{"db1", "db2"} {
		if err := s.Pair.Server(node).Stop(limited(s.t), demo.StopFast); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, node := range []string{"db1", "db2"} {
		if out := s.gate(node, fence.GateInactive); !strings.Contains(out, "watchdog adopt") {
			s.t.Errorf("the inactive gate of %s does not say how to make it active: %s", node, out)
		}
	}
	s.wantsRecovery("db1", false)
	s.wantsRecovery("db2", true)
	s.awaitStreams("db1", "db2")
	s.awaitState("db1", "HEALTHY")
}

func (s *site) adoptRefusals() {
	if a := s.wants(5, "db1", "adopt", "db2"); !strings.Contains(a.out, "not a healthy primary") {
		s.t.Errorf("adopting a standby: %s", a)
	}
	s.wants(5, "db1", "promote") // nothing to rest on yet
	if err := s.StopService(s.Node("db2")); err != nil {
		s.t.Fatal(err)
	}
	a := s.wants(4, "db1", "adopt", "db1", "--confirm=db1", "--no-input")
	if !strings.Contains(a.out+a.err, "start the service on db2") {
		s.t.Errorf("adopting without the other service: %s", a)
	}
	if s.exists(s.dataFile("db1", bootgate.AdoptedMark)) {
		s.t.Error("a refused adoption left its mark")
	}
	s.boot("db2")
	s.awaitState("db1", "HEALTHY")
}

func (s *site) adoptBoth() {
	a := s.wants(0, "db2", "adopt", "db1")
	if !strings.Contains(a.out, "record epoch and roles") || s.exists(s.dataFile("db1", bootgate.AdoptedMark)) {
		s.t.Errorf("a plan changes nothing and says what would be: %s", a)
	}
	s.wants(0, "db2", "adopt", "db1", "--confirm=db1", "--no-input", "--reason", "installation")
	one, two := s.durable("db1"), s.durable("db2")
	if one.Epoch.Number != 1 || !two.Epoch.Same(one.Epoch) || one.Role.String() != "primary" || two.Role.String() != "standby" {
		s.t.Errorf("durable state: %+v and %+v", one, two)
	}
	for _, node := range []string{"db1", "db2"} {
		if !s.exists(s.dataFile(node, bootgate.AdoptedMark)) {
			s.t.Errorf("%s's data directory carries no mark", node)
		}
	}
	row, err := s.ask("db2", "SELECT number || ' ' || id FROM watchdog.epoch")
	if err != nil || row != "1 "+one.Epoch.ID {
		s.t.Errorf("epoch row: %q, %v", row, err)
	}
	var done struct {
		Already bool `json:"already"`
		Changed bool `json:"changed"`
	}
	again := s.wants(0, "db1", "adopt", "db1", "--confirm=db1", "--no-input", "--json")
	if err := json.Unmarshal([]byte(again.out), &done); err != nil || !done.Already || done.Changed {
		s.t.Errorf("adopting again: %v: %s", err, again)
	}
	if again := s.durable("db1"); again.Epoch.Number != 1 {
		s.t.Errorf("adopting again made epoch %d", again.Epoch.Number)
	}
	s.wants(5, "db1", "adopt", "db2")
	s.awaitState("db2", "HEALTHY")
}

func (s *site) rebootPrimary() {
	timeline := s.timeline("db1")
	s.powerOff("db1")
	s.boot("db1")
	if out := s.gate("db1", fence.GatePrimary); !strings.Contains(out, "standby agrees") {
		s.t.Errorf("the gate does not say who agreed: %s", out)
	}
	s.wantsRecovery("db1", false)
	if now := s.timeline("db1"); now != timeline {
		s.t.Errorf("a reboot changed the timeline from %s to %s", timeline, now)
	}
	if s.exists(s.dataFile("db1", "standby.signal")) {
		s.t.Error("an allowed start left standby.signal behind")
	}
	s.awaitStreams("db1", "db2")
	s.awaitState("db1", "HEALTHY")
}

// standbyAlone restarts the standby while nobody answers: it needs no
// permission, keeps its configuration, and streams when the primary is back.
func (s *site) standbyAlone() {
	s.powerOff("db1")
	s.powerOff("db2")
	s.gate("db2", fence.GateStandby)
	s.wantsRecovery("db2", true)
	if conn, err := s.ask("db2", "SHOW primary_conninfo"); err != nil || !strings.Contains(conn, "port=") {
		s.t.Errorf("the gate took the standby's primary_conninfo away: %q, %v", conn, err)
	}
	s.boot("db2")
	s.boot("db1")
	s.gate("db1", fence.GatePrimary)
	s.awaitStreams("db1", "db2")
	if !s.exists(s.dataFile("db2", "standby.signal")) {
		s.t.Error("standby.signal is gone")
	}
}
