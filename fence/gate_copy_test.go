package fence

import "testing"

// A server that runs already is never isolated by a second gate: standby.signal
// beneath it would turn it read-only at its next crash.
func TestGateRule4_ServerRunsAlready_RefusedAndNothingWritten(t *testing.T) {
	for name, f := range map[string]GateFacts{
		"former primary, peer silent": primaryFacts(peers(PeerReading{Node: "db2", Why: "silent"}), func(f *GateFacts) { f.Data.Holders = 7 }),
		"former primary, peer agrees": primaryFacts(func(f *GateFacts) { f.Data.Holders = 1 }),
		"standby":                     standbyFacts(func(f *GateFacts) { f.Data.Holders = 7 }),
	} {
		if d := Gate(f); d.Outcome != GateRefuse {
			t.Errorf("%s: %s (%s), want refuse", name, d.Outcome, d.Reason)
		}
	}
}

// A copy of a node, with its state and its key, is permitted nothing while the
// original runs: the peer's own probe sees it.
func TestGateRule4_PeerSeesAPrimaryAtThisAddress_CopyDoesNotStart(t *testing.T) {
	seen := peers(standbyPeer(func(p *PeerReading) { p.SeesPrimary = true }))
	if d := Gate(primaryFacts(seen, early)); d.Outcome != GateUndecided {
		t.Errorf("while waiting: %s (%s)", d.Outcome, d.Reason)
	}
	if d := Gate(primaryFacts(seen)); d.Outcome != GateIsolated {
		t.Errorf("wait over: %s (%s)", d.Outcome, d.Reason)
	}
}
