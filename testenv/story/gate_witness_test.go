package story

import (
	"strings"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// witnessAlone: the third party's word can hold a former primary back, and
// cannot let it start (rule 4).
func (s *site) witnessAlone() {
	if err := s.KillService(s.Node("db2")); err != nil {
		s.t.Fatal(err)
	}
	s.powerOff("db1")
	s.boot("db1")
	if out := s.gate("db1", fence.GateIsolated); !strings.Contains(out, "db2 does not answer") {
		s.t.Errorf("the gate does not say whose word is missing: %s", out)
	}
	s.wantsRecovery("db1", true)
	s.boot("db2")
	s.wants(0, "db1", "release", "db1", "--confirm=db1", "--no-input")
	s.awaitStreams("db1", "db2")
	if !s.durable("wit").Epoch.Same(s.durable("db1").Epoch) {
		s.t.Errorf("the witness keeps no copy of the epoch: %+v", s.durable("wit"))
	}
}

// witnessForbids ends with both servers cut off from a primary.
func (s *site) witnessForbids() {
	s.powerOff("db1")
	s.awaitCondition("db2", "NoPrimary")
	s.wants(0, "db2", "promote", "--i-have-powered-off", "db1", "--accept-data-loss", "unknown", "--confirm=db2", "--no-input")
	s.wantsRecovery("db2", false)
	s.powerOff("db2")
	out := s.gate("db1", fence.GateIsolated)
	if !strings.Contains(out, "wit knows epoch") || strings.Contains(out, "gate: waiting") {
		s.t.Errorf("the witness's copy does not forbid at once: %s", out)
	}
	s.wantsRecovery("db1", true)
}
