package fence

import (
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// The marker of a released node is lifted before its server starts. Were it
// started as configured then, an archive could lead it over to the timeline that
// replaced it, past what only its own disk holds.
func TestGate_ReleaseOfThisNodeIsOpen_StartsCutOff(t *testing.T) {
	f := primaryFacts()
	f.Data.StandbySignal, f.Durable.Role = true, replication.RoleStandby
	if d := Gate(f); d.Outcome != GateStandby {
		t.Fatalf("an ordinary standby: %s (%s)", d.Outcome, d.Reason)
	}
	f.Durable.Intents = []Intent{{Operation: "release-1", Kind: "release", Owner: "db1", Target: "db1"}}
	if d := Gate(f); d.Outcome != GateIsolated {
		t.Errorf("%s (%s)", d.Outcome, d.Reason)
	}
	f.Durable.Intents[0].Target = "db2"
	if d := Gate(f); d.Outcome != GateStandby {
		t.Errorf("the release of another node: %s (%s)", d.Outcome, d.Reason)
	}
}

// A former primary that finds itself replaced holds a marker from then on
// (reliability.md 5: "I was replaced" sets fenced): hearing of the epoch alone
// would make an ordinary standby of it at the next start.
func TestGate_Superseded_TakesAMarker(t *testing.T) {
	f := primaryFacts(peers(standbyPeer(peerEpoch(epoch5), peerRole(replication.RolePrimary))))
	d := Gate(f)
	if d.Outcome != GateIsolated || d.Obey == nil || d.Obey.Node != f.Node || !d.Obey.Epoch.Same(epoch5) || d.Obey.Operation == "" {
		t.Fatalf("%s, obeys %+v", d.Outcome, d.Obey)
	}
	next := f.Durable.Obey(*d.Obey, Marker{Operation: d.Obey.Operation, Epoch: d.Obey.Epoch})
	next, err := next.Apply(Notice{Epoch: &EpochNotice{SystemID: next.SystemID, Epoch: epoch5}})
	if err != nil {
		t.Fatal(err)
	}
	f.Durable, f.Data.StandbySignal = next, true
	if d := Gate(f); d.Outcome != GateIsolated {
		t.Errorf("after it heard of the epoch: %s (%s)", d.Outcome, d.Reason)
	}
	f.Peers[0].Durable.Orders = []Order{{Operation: "promote-1", Node: f.Node, Issuer: "db2", Epoch: epoch5}}
	f.Durable, f.Data.StandbySignal = primaryFacts().Durable, false
	if d := Gate(f); d.Obey == nil || d.Obey.Operation != "promote-1" {
		t.Errorf("the order of that epoch is at hand, obeys %+v", d.Obey)
	}
}
