package story

import (
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// TestStory_IntentAndWitness_HoldThePrimaryBack: a promotion was begun and its
// service died; whoever holds a copy of the intent never starts as primary
// until the owner has said how it ended (rule 3). The witness keeps copies, too.
func TestStory_IntentAndWitness_HoldThePrimaryBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, withWitness)
	s.neverTwoWritable()
	t.Run("closed while the holder is down: its gate asks for the outcome", s.on((*site).outcomeAsked))
	t.Run("open: isolated; aborted: released by the answer", s.on((*site).intentStands))
	t.Run("a copy that its owner does not know stands until release", s.on((*site).unknownToItsOwner))
	t.Run("a witness alone permits nothing", s.on((*site).witnessAlone))
	t.Run("a witness's copy of a newer epoch forbids", s.on((*site).witnessForbids))
}

// beginPromotion lets db2's service die right after the intent is durable
// everywhere and gives the operation's id. db1's server is down, its service up.
func (s *site) beginPromotion() string {
	s.t.Helper()
	if err := s.StopService(s.Node("db2")); err != nil {
		s.t.Fatal(err)
	}
	s.boot("db2", "WATCHDOG_FAILPOINT=after:intent")
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")
	s.wants(8, "db2", "promote", "--confirm=db2", "--accept-data-loss", "unknown", "--no-input", "--detach")
	var held fence.Intent
	testenv.Wait(s.t, 20*time.Second, "db2's service has died, db1 holds a copy of the intent", func() (bool, string) {
		d := s.durable("db1")
		if len(d.Intents) == 1 {
			held = d.Intents[0]
		}
		return held.Owner == "db2" && held.Target == "db2" && s.watchdog("db2", "status").exit == 4, describeState(d)
	})
	if copies := s.durable("wit").Intents; len(copies) != 1 || copies[0].Operation != held.Operation {
		s.t.Errorf("the witness holds no copy of the intent: %+v", copies)
	}
	return held.Operation
}

// abort takes the promotion back on its owner, which has come up again.
func (s *site) abort(operation string) {
	s.t.Helper()
	s.boot("db2")
	s.awaitCondition("db2", "OperationStopped")
	s.wants(0, "db2", "ops", "abort", operation)
}

func (s *site) outcomeAsked() {
	id := s.beginPromotion()
	if err := s.KillService(s.Node("db1")); err != nil {
		s.t.Fatal(err)
	}
	s.abort(id)
	if len(s.durable("db1").Intents) != 1 {
		s.t.Fatal("db1 was told: nothing is tested")
	}
	s.gate("db1", fence.GatePrimary)
	s.wantsRecovery("db1", false)
	if left := s.durable("db1").Intents; len(left) != 0 {
		s.t.Errorf("the gate left a copy that has ended: %+v", left)
	}
	s.boot("db1")
	s.awaitStreams("db1", "db2")
	s.awaitState("db2", "HEALTHY")
}

func (s *site) intentStands() {
	id := s.beginPromotion()
	if out := s.gate("db1", fence.GateIsolated); !strings.Contains(out, id) {
		s.t.Errorf("the gate does not name the operation: %s", out)
	}
	s.wantsRecovery("db1", true)
	s.boot("db2")
	s.awaitCondition("db1", "OperationStopped")
	if p := s.plan("db1", "release", "db1"); p.Refusal == nil || p.Refusal.Exit != 9 {
		s.t.Errorf("release beside an open operation: %+v", p.Refusal)
	}
	s.wants(0, "db2", "ops", "abort", id)
	testenv.Wait(s.t, 20*time.Second, "db1's copy is closed", func() (bool, string) {
		d := s.durable("db1")
		return len(d.Intents) == 0 && d.Lock == nil, describeState(d)
	})
	s.wantsRecovery("db1", true) // an abort starts nothing
	s.awaitNext("db1", "watchdog release db1")
	s.wants(0, "db1", "release", "db1", "--confirm=db1", "--no-input")
	s.wantsRecovery("db1", false)
	s.awaitStreams("db1", "db2")
}

// unknownToItsOwner: nobody but db1 remembers the operation, and everybody else
// would let it start. Silence about an outcome is no outcome.
func (s *site) unknownToItsOwner() {
	s.powerOff("db1")
	i := fence.Intent{Operation: "promote-GHOST", Kind: "promote", Owner: "db2", Target: "db2", By: "test", OpenedAt: time.Now(),
		Epoch: fence.Epoch{Number: s.durable("db1").Epoch.Number + 1, ID: "8899aabbccddeeff", Primary: "db2"}}
	if err := state.Open(s.Node("db1").StateDir, "db1").Apply(fence.Notice{Intent: &i}); err != nil {
		s.t.Fatal(err)
	}
	s.boot("db1")
	if out := s.gate("db1", fence.GateIsolated); !strings.Contains(out, i.Operation) {
		s.t.Errorf("the gate does not name the operation: %s", out)
	}
	s.wantsRecovery("db1", true)
	s.wants(0, "db1", "release", "db1", "--confirm=db1", "--no-input")
	s.wantsRecovery("db1", false)
	if left := s.durable("db1").Intents; len(left) != 0 {
		s.t.Errorf("the release left %+v", left)
	}
	s.awaitStreams("db1", "db2")
}
