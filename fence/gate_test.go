package fence

import (
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// The cluster of these tests: db1 decides, db2 is its peer, w1 the witness.
const (
	ours  = replication.SystemID(7_000_000_000_000_000_001)
	alien = replication.SystemID(7_000_000_000_000_000_002)
	data1 = "/data/db1"
)

var (
	epoch4 = Epoch{Number: 4, ID: "four", Primary: "db1"}
	epoch5 = Epoch{Number: 5, ID: "five", Primary: "db2"}
)

// primaryFacts is a former primary of epoch 4 with a healthy standby: the one
// state in which it may start as primary.
func primaryFacts(change ...func(*GateFacts)) GateFacts {
	f := GateFacts{Node: "db1", State: StateReadable, Asked: true, WaitOver: true,
		Durable: Durable{Node: "db1", SystemID: ours, DataDirectory: data1, Epoch: epoch4, Role: replication.RolePrimary},
		Data:    DataReading{Directory: data1, SystemID: ours, Adopted: true},
		Peers:   []PeerReading{standbyPeer()}}
	for _, c := range change {
		c(&f)
	}
	return f
}

func standbyPeer(change ...func(*PeerReading)) PeerReading {
	p := PeerReading{Node: "db2", Answered: true, RunningKnown: true,
		Durable: &Durable{Node: "db2", SystemID: ours, Epoch: epoch4, Role: replication.RoleStandby}}
	for _, c := range change {
		c(&p)
	}
	return p
}

func witnessPeer(change ...func(*PeerReading)) PeerReading {
	p := standbyPeer(change...)
	p.Node, p.Witness = "w1", true
	return p
}

// standbyFacts is a standby that starts as it always does.
func standbyFacts(change ...func(*GateFacts)) GateFacts {
	f := primaryFacts()
	f.Durable.Role, f.Data.StandbySignal, f.Peers, f.Asked, f.WaitOver = replication.RoleStandby, true, nil, false, false
	for _, c := range change {
		c(&f)
	}
	return f
}

// strangerFacts is a node whose state directory holds nothing.
func strangerFacts(change ...func(*GateFacts)) GateFacts {
	f := primaryFacts()
	f.State, f.Durable, f.Data.Adopted, f.Peers = StateAbsent, Durable{}, false, nil
	for _, c := range change {
		c(&f)
	}
	return f
}

func peers(p ...PeerReading) func(*GateFacts) { return func(f *GateFacts) { f.Peers = p } }
func early(f *GateFacts)                      { f.WaitOver = false }
func withMarker(m Marker) func(*GateFacts)    { return func(f *GateFacts) { f.Durable.Marker = &m } }
func withOrder(o Order) func(*GateFacts) {
	return func(f *GateFacts) { f.Durable.Orders = append(f.Durable.Orders, o) }
}
func withIntent(i Intent) func(*GateFacts) {
	return func(f *GateFacts) { f.Durable.Intents = append(f.Durable.Intents, i) }
}

func peerOrder(o Order) func(*PeerReading) {
	return func(p *PeerReading) { p.Durable.Orders = append(p.Durable.Orders, o) }
}

func peerClosed(operation string, r Result) func(*PeerReading) {
	return func(p *PeerReading) {
		p.Durable.Closed = append(p.Durable.Closed, Closed{Operation: operation, Result: r})
	}
}

func peerEpoch(e Epoch) func(*PeerReading) { return func(p *PeerReading) { p.Durable.Epoch = e } }
func peerRole(r replication.Role) func(*PeerReading) {
	return func(p *PeerReading) { p.Durable.Role = r }
}
func peerFenced(e Epoch) func(*PeerReading) {
	return func(p *PeerReading) { p.Durable.Marker = &Marker{Operation: "fence-1", Epoch: e} }
}
func peerIntent(p *PeerReading) {
	p.Durable.Intents = []Intent{{Operation: "promote-1", Kind: "promote", Owner: "db2", Target: "db2"}}
}
func silentPeer(p *PeerReading) {
	p.Answered, p.Durable, p.Why, p.RunningKnown = false, nil, "no route to host", false
}
func runsAsPrimary(p *PeerReading) { p.RunningAsPrimary = true }

var (
	fenceOrder = Order{Operation: "promote-1", Node: "db1", Issuer: "db2", Epoch: epoch5}
	plainOrder = Order{Operation: "fence-1", Node: "db1", Issuer: "db2"}
	copied     = Intent{Operation: "promote-1", Kind: "promote", Owner: "db2", Target: "db2", Epoch: epoch5}
	rejoin     = Intent{Operation: "rejoin-1", Kind: "rejoin", Owner: "db1", Target: "db1"}
)

type gateCase struct {
	name  string
	facts GateFacts
	want  GateOutcome
	says  string
}

func runGate(t *testing.T, cases []gateCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Gate(c.facts)
			if d.Outcome != c.want {
				t.Fatalf("got %s (%s), want %s", d.Outcome, d.Reason, c.want)
			}
			if d.Reason == "" || !strings.Contains(d.Reason, c.says) {
				t.Errorf("reason %q does not say %q", d.Reason, c.says)
			}
			if d.Outcome != GatePrimary && len(d.CloseIntents) > 0 {
				t.Errorf("%s closes intents", d.Outcome)
			}
		})
	}
}

// Rule 4, standby: standby.signal present, durable role standby or an open
// rejoin of this node, no marker but that rejoin's; no peer is asked.
func TestGateRule4_Standby(t *testing.T) {
	primary := func(f *GateFacts) { f.Durable.Role = replication.RolePrimary }
	runGate(t, []gateCase{
		{"signal and durable role, nobody asked", standbyFacts(), GateStandby, "standby.signal"},
		{"an open intent of others does not hold a standby", standbyFacts(withIntent(copied)), GateStandby, ""},
		{"its own open promotion does not hold it before the epoch", standbyFacts(withIntent(Intent{Operation: "p", Kind: "promote", Owner: "db1", Target: "db1"})), GateStandby, ""},
		{"recovery.signal beside standby.signal is a standby", standbyFacts(func(f *GateFacts) { f.Data.RecoverySignal = true }), GateStandby, ""},
		{"backup_label with standby.signal is a fresh standby", standbyFacts(func(f *GateFacts) { f.Data.BackupLabel = true }), GateStandby, ""},
		{"an open rejoin of this node under its own marker", standbyFacts(primary, withIntent(rejoin), withMarker(Marker{Operation: "rejoin-1"})), GateStandby, "rejoin"},
		{"an open rejoin of this node without a marker", standbyFacts(primary, withIntent(rejoin)), GateStandby, "rejoin"},
		{"a directory that was never recorded does not hold a standby", standbyFacts(func(f *GateFacts) { f.Durable.DataDirectory = "" }), GateStandby, ""},

		{"the marker of another operation", standbyFacts(withIntent(rejoin), withMarker(Marker{Operation: "fence-1"})), GateIsolated, "fence-1"},
		{"a rejoin of another node", standbyFacts(primary, withIntent(Intent{Operation: "rejoin-1", Kind: "rejoin", Owner: "db2", Target: "db2"})), GateIsolated, "durable role"},
		{"a marker and no rejoin", standbyFacts(withMarker(Marker{Operation: "fence-1", Reason: "by hand"})), GateIsolated, "by hand"},
		{"the rejoin's marker without standby.signal", standbyFacts(withIntent(rejoin), withMarker(Marker{Operation: "rejoin-1"}), func(f *GateFacts) { f.Data.StandbySignal = false }), GateIsolated, "rejoin-1"},
		{"a standing order", standbyFacts(withOrder(plainOrder)), GateIsolated, "fence-1"},
		{"signal, but durable role primary", standbyFacts(primary), GateIsolated, "durable role is primary"},
		{"signal, but no durable role", standbyFacts(func(f *GateFacts) { f.Durable.Role = replication.RoleUnknown }), GateIsolated, "durable role is unknown"},
		{"durable role standby, but standby.signal is gone", standbyFacts(func(f *GateFacts) { f.Data.StandbySignal = false }), GateIsolated, "standby.signal is gone"},
	})
}

// Rule 4, primary: durable role primary, no marker, order or intent, and a peer
// answered with an epoch not higher, a durable role of standby (or fenced under
// an epoch that is mine), not running as primary, no intent.
func TestGateRule4_Primary(t *testing.T) {
	lower := Epoch{Number: 3, ID: "three", Primary: "db2"}
	fencedPrimary := standbyPeer(peerRole(replication.RolePrimary), peerEpoch(lower), peerFenced(epoch4))
	runGate(t, []gateCase{
		{"a standby of the same epoch agrees", primaryFacts(), GatePrimary, "epoch 4"},
		{"it may agree at the first asking", primaryFacts(early), GatePrimary, ""},
		{"a standby of a lower epoch agrees", primaryFacts(peers(standbyPeer(peerEpoch(lower)))), GatePrimary, ""},
		{"a former primary fenced under my epoch agrees", primaryFacts(peers(fencedPrimary)), GatePrimary, ""},
		{"a silent witness does not hold", primaryFacts(peers(standbyPeer(), witnessPeer(silentPeer))), GatePrimary, ""},
		{"an order that was revoked does not hold", primaryFacts(withOrder(Order{Operation: "f", Node: "db1", Revoked: true})), GatePrimary, ""},
		{"an order that was obeyed and lifted does not hold", primaryFacts(withOrder(Order{Operation: "f", Node: "db1", Obeyed: true})), GatePrimary, ""},
		{"an order of a lower epoch does not hold", primaryFacts(withOrder(Order{Operation: "f", Node: "db1", Epoch: lower})), GatePrimary, ""},
		{"an order against the other does not hold", primaryFacts(withOrder(Order{Operation: "f", Node: "db2", Epoch: epoch4})), GatePrimary, ""},

		{"a marker", primaryFacts(withMarker(Marker{Operation: "fence-1"})), GateIsolated, "fence-1"},
		{"an order", primaryFacts(withOrder(fenceOrder)), GateIsolated, "promote-1"},
		{"a plain order", primaryFacts(withOrder(plainOrder)), GateIsolated, "fence-1"},
		{"a copy of an intent", primaryFacts(withIntent(copied)), GateIsolated, "promote-1"},
		{"its own intent", primaryFacts(withIntent(Intent{Operation: "fence-9", Kind: "fence", Owner: "db1"})), GateIsolated, "fence-9"},
		{"its own intent, which a peer calls ended", primaryFacts(withIntent(Intent{Operation: "fence-9", Owner: "db1"}), peers(standbyPeer(peerClosed("fence-9", ResultDone)))), GateIsolated, "fence-9"},
		{"an intent whose owner says unknown", primaryFacts(withIntent(copied), peers(standbyPeer(peerClosed("promote-1", ResultUnknown)))), GateIsolated, "promote-1"},
		{"an intent that somebody else calls ended", primaryFacts(withIntent(copied), peers(standbyPeer(), witnessPeer(peerClosed("promote-1", ResultNotDone)))), GateIsolated, "promote-1"},
		{"nobody answers", primaryFacts(peers(standbyPeer(silentPeer))), GateIsolated, "no route to host"},
		{"no peer is configured", primaryFacts(peers()), GateIsolated, "no peer"},
		{"only the witness answers", primaryFacts(peers(standbyPeer(silentPeer), witnessPeer())), GateIsolated, "db2 does not answer"},
		{"only a witness is configured", primaryFacts(peers(witnessPeer())), GateIsolated, "no peer that holds data"},
		{"one of two standbys is silent", primaryFacts(peers(standbyPeer(), standbyPeer(silentPeer, func(p *PeerReading) { p.Node = "db3" }))), GateIsolated, "db3 does not answer"},
		{"an equal epoch alone is not enough", primaryFacts(peers(standbyPeer(peerRole(replication.RoleUnknown)))), GateIsolated, "durable role unknown"},
		{"the peer was fenced under another epoch", primaryFacts(peers(standbyPeer(peerRole(replication.RolePrimary), peerEpoch(lower), peerFenced(lower)))), GateIsolated, "durable role primary"},
		{"the peer claims the same epoch", primaryFacts(peers(standbyPeer(peerRole(replication.RolePrimary)))), GateIsolated, "claims to be primary"},
		{"the peer has not heard of my epoch yet", primaryFacts(early, peers(standbyPeer(peerRole(replication.RolePrimary), peerEpoch(lower)))), GateUndecided, "durable role primary"},
		{"the peer runs as primary", primaryFacts(peers(standbyPeer(runsAsPrimary))), GateIsolated, "runs as primary"},
		{"the peer cannot say what runs", primaryFacts(peers(standbyPeer(func(p *PeerReading) { p.RunningKnown = false }))), GateIsolated, "cannot say"},
		{"the peer cannot read its state", primaryFacts(peers(standbyPeer(func(p *PeerReading) { p.Durable = nil }))), GateIsolated, "cannot read its own state"},
		{"the peer's state is lost", primaryFacts(peers(standbyPeer(func(p *PeerReading) { p.Durable = &Durable{Node: "db2"} }))), GateIsolated, "knows no epoch"},
		{"the peer's state is lost and it runs as primary", primaryFacts(early, peers(standbyPeer(runsAsPrimary, func(p *PeerReading) { p.Durable = &Durable{Node: "db2"} }))), GateIsolated, "runs as primary"},
		{"the peer cannot read its state and runs as primary", primaryFacts(early, peers(standbyPeer(runsAsPrimary, func(p *PeerReading) { p.Durable = nil }))), GateIsolated, "runs as primary"},
		{"the peer belongs to another cluster", primaryFacts(peers(standbyPeer(func(p *PeerReading) { p.Durable.SystemID = alien }))), GateIsolated, "system identifier"},
		{"the peer holds an intent", primaryFacts(peers(standbyPeer(peerIntent))), GateIsolated, "open intent"},
		{"recovery.signal", primaryFacts(func(f *GateFacts) { f.Data.RecoverySignal = true }), GateIsolated, "recovery.signal"},
		{"adopted, but the directory was never recorded", primaryFacts(func(f *GateFacts) { f.Durable.DataDirectory = "" }), GateIsolated, "which data directory"},
	})
}

// Rule 4: it asks for gate.peer_wait; what time cannot mend is decided at once.
func TestGateRule4_Waiting(t *testing.T) {
	runGate(t, []gateCase{
		{"a silent peer is waited for", primaryFacts(early, peers(standbyPeer(silentPeer))), GateUndecided, "does not answer"},
		{"an open intent may be closed meanwhile", primaryFacts(early, withIntent(copied)), GateUndecided, "promote-1"},
		{"a peer's intent may be closed meanwhile", primaryFacts(early, peers(standbyPeer(peerIntent))), GateUndecided, "open intent"},
		{"nobody was asked yet", primaryFacts(early, peers(), func(f *GateFacts) { f.Asked = false }), GateUndecided, "no peer"},
		{"a marker is not waited for", primaryFacts(early, withMarker(Marker{Operation: "fence-1"})), GateIsolated, ""},
		{"a higher epoch is not waited for", primaryFacts(early, peers(standbyPeer(peerEpoch(epoch5)))), GateIsolated, "superseded"},
	})
}

// Rule 4: a witness keeps copies of epochs, orders and intents; its answer can
// only forbid.
func TestGateRule4_WitnessForbids(t *testing.T) {
	runGate(t, []gateCase{
		{"a higher epoch", primaryFacts(peers(standbyPeer(), witnessPeer(peerEpoch(epoch5)))), GateIsolated, "w1 knows epoch 5"},
		{"another epoch of my number", primaryFacts(peers(standbyPeer(), witnessPeer(peerEpoch(Epoch{Number: 4, ID: "other"})))), GateIsolated, "two histories"},
		{"an order", primaryFacts(peers(standbyPeer(), witnessPeer(peerOrder(fenceOrder)))), GateIsolated, "w1 holds a fence order"},
		{"an intent", primaryFacts(peers(standbyPeer(), witnessPeer(peerIntent))), GateIsolated, "w1 holds the open intent"},
		{"an order of a witness that was never adopted", primaryFacts(peers(standbyPeer(), witnessPeer(peerOrder(plainOrder), func(p *PeerReading) { p.Durable.SystemID, p.Durable.Epoch = 0, Epoch{} }))), GateIsolated, "fence-1"},
	})
}

// Rule 4, isolated standby: everything else that is readable.
func TestGateRule4_Isolated(t *testing.T) {
	knows := func(p *PeerReading) {}
	runGate(t, []gateCase{
		{"superseded", primaryFacts(peers(standbyPeer(peerEpoch(epoch5), peerRole(replication.RolePrimary)))), GateIsolated, "superseded"},
		{"unproven former primary", primaryFacts(peers(standbyPeer(silentPeer))), GateIsolated, "unproven former primary"},
		{"lost state in an adopted directory", strangerFacts(func(f *GateFacts) { f.Data.Adopted = true }), GateIsolated, "state beside it is gone"},
		{"lost state, and a peer knows the identifier", strangerFacts(peers(standbyPeer(knows))), GateIsolated, "this node has no state"},
		{"lost state, and the witness knows the identifier", strangerFacts(peers(witnessPeer())), GateIsolated, "w1 knows"},
		{"lost epoch.json beside a marker", strangerFacts(func(f *GateFacts) { f.State = StateReadable }, withMarker(Marker{Operation: "fence-1"})), GateIsolated, "fence-1"},
		{"lost epoch.json beside an order", strangerFacts(func(f *GateFacts) { f.State = StateReadable }, withOrder(plainOrder)), GateIsolated, "fence-1"},
		{"lost state of a standby", strangerFacts(func(f *GateFacts) { f.Data.Adopted, f.Data.StandbySignal = true, true }), GateIsolated, ""},
	})
}

// Rule 4, refuse: another system identifier or data directory; an empty data
// directory on a node whose state knows an identifier; backup_label without
// standby.signal; unreadable control file or state.
func TestGateRule4_Refuse(t *testing.T) {
	label := func(f *GateFacts) { f.Data.BackupLabel = true }
	empty := func(f *GateFacts) { f.Data = DataReading{Directory: data1, Empty: true} }
	readable := func(f *GateFacts) { f.State = StateReadable }
	runGate(t, []gateCase{
		{"another system identifier", primaryFacts(func(f *GateFacts) { f.Data.SystemID = alien }), GateRefuse, "system identifier"},
		{"another system identifier on a standby", standbyFacts(func(f *GateFacts) { f.Data.SystemID = alien }), GateRefuse, "system identifier"},
		{"another data directory", primaryFacts(func(f *GateFacts) { f.Data.Directory = "/data/copy" }), GateRefuse, "/data/copy"},
		{"an empty data directory", primaryFacts(empty), GateRefuse, "initdb"},
		{"an empty data directory of a standby", standbyFacts(empty), GateRefuse, "initdb"},
		{"an empty data directory beside a lone marker", strangerFacts(readable, empty, withMarker(Marker{Operation: "fence-1", SystemID: ours})), GateRefuse, "initdb"},
		{"an empty data directory beside a lone order", strangerFacts(readable, empty, withOrder(plainOrder)), GateRefuse, "initdb"},
		{"backup_label without standby.signal", primaryFacts(label), GateRefuse, "backup_label"},
		{"backup_label under a marker", primaryFacts(label, withMarker(Marker{Operation: "fence-1"})), GateRefuse, "backup_label"},
		{"backup_label on a standby that lost its signal", standbyFacts(label, func(f *GateFacts) { f.Data.StandbySignal = false }), GateRefuse, "backup_label"},
		{"backup_label with recovery.signal", primaryFacts(label, func(f *GateFacts) { f.Data.RecoverySignal = true }), GateRefuse, "backup_label"},
		{"backup_label and lost state", strangerFacts(label, func(f *GateFacts) { f.Data.Adopted = true }), GateRefuse, "backup_label"},
		{"backup_label where a peer knows the identifier", strangerFacts(label, peers(standbyPeer())), GateRefuse, "backup_label"},
		{"backup_label beside a lone marker", strangerFacts(label, readable, withMarker(Marker{Operation: "fence-1"})), GateRefuse, "backup_label"},
		{"an unreadable control file", primaryFacts(func(f *GateFacts) { f.Data.Fault = "global/pg_control: bad checksum" }), GateRefuse, "pg_control"},
		{"an unreadable control file on a standby", standbyFacts(func(f *GateFacts) { f.Data.Fault = "global/pg_control: bad checksum" }), GateRefuse, "pg_control"},
		{"unreadable state", primaryFacts(func(f *GateFacts) { f.State, f.StateFault = StateUnreadable, "epoch.json: torn" }), GateRefuse, "epoch.json"},
		{"unreadable state on what looks like a standby", standbyFacts(func(f *GateFacts) { f.State, f.StateFault = StateUnreadable, "fence.json: torn" }), GateRefuse, "fence.json"},
		{"facts that nobody gathered", GateFacts{}, GateRefuse, "state"},
	})
}

// Rule 4: installing leaves the gate inactive, and it says so.
func TestGateRule4_NeverAdopted_StartsAsConfigured(t *testing.T) {
	runGate(t, []gateCase{
		{"no state at all", strangerFacts(), GateInactive, "never adopted"},
		{"an empty data directory before initdb", strangerFacts(func(f *GateFacts) { f.Data = DataReading{Directory: data1, Empty: true} }), GateInactive, "empty"},
		{"a backup being restored before adopt", strangerFacts(func(f *GateFacts) { f.Data.BackupLabel = true }), GateInactive, "never adopted"},
		{"a peer of another cluster answers", strangerFacts(peers(standbyPeer(func(p *PeerReading) { p.Durable.SystemID = alien }))), GateInactive, ""},
		{"the peer was never adopted either", strangerFacts(peers(standbyPeer(func(p *PeerReading) { p.Durable = &Durable{Node: "db2"} }))), GateInactive, ""},
		{"not before the peers were asked", strangerFacts(func(f *GateFacts) { f.Asked = false }), GateUndecided, "asking"},
	})
}

// Rule 6: a starting node obeys any copy of an order.
func TestGateRule6_StartingNodeObeysAnyCopy(t *testing.T) {
	fromPeer := func(o Order) GateFacts { return primaryFacts(peers(standbyPeer(peerOrder(o)))) }
	old := Order{Operation: "old", Node: "db1", Issuer: "db2", Epoch: Epoch{Number: 3, ID: "three"}}
	foreignOrder := plainOrder
	foreignOrder.SystemID = alien
	for name, c := range map[string]struct {
		facts GateFacts
		obeys string
	}{
		"own copy":                         {primaryFacts(withOrder(fenceOrder)), "promote-1"},
		"own copy on a standby":            {standbyFacts(withOrder(plainOrder)), "fence-1"},
		"own copy when the epoch is lost":  {strangerFacts(withOrder(plainOrder)), "fence-1"},
		"the peer's copy":                  {fromPeer(fenceOrder), "promote-1"},
		"the peer's second order":          {primaryFacts(peers(standbyPeer(peerEpoch(Epoch{Number: 3, ID: "three"}), peerOrder(old), peerOrder(plainOrder)))), "fence-1"},
		"the witness's copy":               {primaryFacts(peers(standbyPeer(silentPeer), witnessPeer(peerOrder(plainOrder)))), "fence-1"},
		"revoked at the peer":              {fromPeer(Order{Operation: "r", Node: "db1", Revoked: true}), ""},
		"against the peer itself":          {fromPeer(Order{Operation: "r", Node: "db2"}), ""},
		"a lower epoch never commands":     {fromPeer(old), ""},
		"an order about another's cluster": {fromPeer(foreignOrder), ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := Gate(c.facts)
			switch {
			case c.obeys == "" && (d.Obey != nil || d.Outcome != GatePrimary):
				t.Errorf("got %s, obeying %+v (%s)", d.Outcome, d.Obey, d.Reason)
			case c.obeys != "" && (d.Obey == nil || d.Obey.Operation != c.obeys || d.Outcome != GateIsolated):
				t.Errorf("got %s, obeying %+v (%s), want %s obeyed", d.Outcome, d.Obey, d.Reason, c.obeys)
			}
		})
	}
}

// Rule 3: a copy is closed by a durable outcome from its owner, which the gate
// asks for.
func TestGateRule3_OwnerSaysThatTheOperationEnded_CopyIsClosed(t *testing.T) {
	aborted := peers(standbyPeer(peerClosed("promote-1", ResultNotDone)))
	d := Gate(primaryFacts(withIntent(copied), aborted))
	if d.Outcome != GatePrimary || len(d.CloseIntents) != 1 || d.CloseIntents[0].Operation != "promote-1" || d.CloseIntents[0].Result != ResultNotDone {
		t.Fatalf("got %+v", d)
	}
	second := Intent{Operation: "fence-2", Kind: "fence", Owner: "db2"}
	if d := Gate(primaryFacts(withIntent(copied), withIntent(second), aborted)); d.Outcome != GateIsolated || !strings.Contains(d.Reason, "fence-2") {
		t.Errorf("one of two intents closed: got %s (%s)", d.Outcome, d.Reason)
	}
	owner := standbyPeer(peerClosed("promote-1", ResultNotDone), func(p *PeerReading) { p.Durable.SystemID = alien })
	if d := Gate(primaryFacts(withIntent(copied), peers(owner, standbyPeer(func(p *PeerReading) { p.Node = "db3" })))); d.Outcome == GatePrimary {
		t.Errorf("an owner of another cluster closed the copy: %s", d.Reason)
	}
}

func TestGateOutcome_EveryNameIsSaid_ZeroPermitsNothing(t *testing.T) {
	var zero GateOutcome
	if zero != GateUndecided || zero.String() != "undecided" || GateOutcome(9).String() != "gate(9)" || GateInactive.String() != "inactive" {
		t.Errorf("zero is %s", zero)
	}
}
