package story

import (
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// TestStory_PowerCycles_NeverTwoWritable cuts the power of both nodes and lets
// them come back in every order (rule 4).
func TestStory_PowerCycles_NeverTwoWritable(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.neverTwoWritable()
	l := s.ledger()
	t.Run("both back, the old primary's server first", s.on(func(s *site) { s.cycle("db1", "db2") }))
	t.Run("both back, the old standby's server first", s.on(func(s *site) { s.cycle("db2", "db1") }))
	t.Run("only the old standby comes back: a read-only standby", s.on((*site).onlyStandbyBack))
	t.Run("only the old primary comes back: isolated until release", s.on((*site).onlyPrimaryBack))
	t.Run("and released by a statement that the other is off", s.on(func(s *site) { s.releasedByStatement(l) }))
}

// cycle brings both nodes back without any operator.
func (s *site) cycle(first, second string) {
	s.powerOff("db1")
	s.powerOff("db2")
	s.boot(first)
	s.boot(second)
	for _, node := range []string{first, second} {
		want := fence.GateStandby
		if node == "db1" {
			want = fence.GatePrimary
		}
		s.gate(node, want)
	}
	s.wantsRecovery("db1", false)
	s.awaitStreams("db1", "db2")
	if e := s.durable("db1").Epoch; e.Number != 1 {
		s.t.Errorf("a power cycle made epoch %d", e.Number)
	}
}

func (s *site) onlyStandbyBack() {
	s.powerOff("db1")
	s.powerOff("db2")
	s.boot("db2")
	s.gate("db2", fence.GateStandby)
	s.wantsRecovery("db2", true)
	s.awaitCondition("db2", "NoPrimary")
	s.powerOff("db2")
}

func (s *site) onlyPrimaryBack() {
	s.boot("db1")
	out := s.gate("db1", fence.GateIsolated)
	if !strings.Contains(out, "unproven former primary") || !strings.Contains(out, "watchdog release db1") {
		s.t.Errorf("the gate does not say why and what next: %s", out)
	}
	s.wantsRecovery("db1", true)
	if err := s.Pair.Server("db1").Exec(limited(s.t), "CREATE TABLE written_while_isolated()"); err == nil {
		s.t.Fatal("an isolated server took a write")
	}
	s.awaitCondition("db1", "NoPrimary")
	// A second start decides the same: nothing was learned in between.
	s.kill("db1")
	s.gate("db1", fence.GateIsolated)
	s.wantsRecovery("db1", true)
}
