package fence

import (
	"flag"
	"testing"

	"pgregory.net/rapid"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// One decision takes microseconds: the default of 100 draws would hardly ever
// reach a start as primary.
func init() { _ = flag.Set("rapid.checks", "4000") }

// Small ranges on purpose: epochs, operations and nodes have to meet.
var (
	genEpoch = rapid.Custom(func(t *rapid.T) Epoch {
		n := rapid.Uint64Range(0, 3).Draw(t, "epoch")
		if n == 0 {
			return Epoch{}
		}
		return Epoch{Number: n, ID: rapid.SampledFrom([]string{"x", "x", "x", "y"}).Draw(t, "id"), Primary: rapid.SampledFrom([]string{"db1", "db2"}).Draw(t, "primary")}
	})
	genSystem    = rapid.SampledFrom([]replication.SystemID{ours, ours, ours, ours, 0, alien})
	genRole      = rapid.SampledFrom([]replication.Role{replication.RolePrimary, replication.RolePrimary, replication.RoleStandby, replication.RoleStandby, replication.RoleUnknown})
	genOperation = rapid.SampledFrom([]string{"op-1", "op-2"})
	genNode      = rapid.SampledFrom([]string{"db1", "db2", "w1"})
	rarely       = rapid.SampledFrom([]bool{true, false, false, false, false})
	mostly       = rapid.SampledFrom([]bool{true, true, true, true, false})
	genOrder     = rapid.Custom(func(t *rapid.T) Order {
		return Order{Operation: genOperation.Draw(t, "operation"), Node: genNode.Draw(t, "node"), Issuer: genNode.Draw(t, "issuer"), Epoch: genEpoch.Draw(t, "epoch"),
			Revoked: rapid.Bool().Draw(t, "revoked"), Obeyed: rapid.Bool().Draw(t, "obeyed"), SystemID: rapid.SampledFrom([]replication.SystemID{0, ours, alien}).Draw(t, "system")}
	})
	genIntent = rapid.Custom(func(t *rapid.T) Intent {
		return Intent{Operation: genOperation.Draw(t, "operation"), Kind: rapid.SampledFrom([]string{"promote", "fence", "rejoin", "release"}).Draw(t, "kind"),
			Owner: genNode.Draw(t, "owner"), Target: genNode.Draw(t, "target"), Epoch: genEpoch.Draw(t, "epoch")}
	})
	genClosed = rapid.Custom(func(t *rapid.T) Closed {
		return Closed{Operation: genOperation.Draw(t, "operation"), Result: rapid.SampledFrom([]Result{ResultUnknown, ResultNotDone, ResultDone}).Draw(t, "result")}
	})
)

func few[V any](g *rapid.Generator[V]) *rapid.Generator[[]V] {
	return rapid.Custom(func(t *rapid.T) []V {
		if !rarely.Draw(t, "any") {
			return nil
		}
		return rapid.SliceOfN(g, 1, 2).Draw(t, "some")
	})
}

func genDurable(node string) *rapid.Generator[Durable] {
	return rapid.Custom(func(t *rapid.T) Durable {
		d := Durable{Node: node, SystemID: genSystem.Draw(t, "system"), Epoch: genEpoch.Draw(t, "epoch"), Role: genRole.Draw(t, "role"),
			Orders: few(genOrder).Draw(t, "orders"), Intents: few(genIntent).Draw(t, "intents"), Closed: few(genClosed).Draw(t, "closed")}
		if mostly.Draw(t, "bound") {
			d.DataDirectory = data1
		}
		if rarely.Draw(t, "marked") {
			d.Marker = &Marker{Operation: genOperation.Draw(t, "marker"), Epoch: genEpoch.Draw(t, "marker epoch")}
		}
		return d
	})
}

var genPeer = rapid.Custom(func(t *rapid.T) PeerReading {
	p := PeerReading{Node: rapid.SampledFrom([]string{"db2", "db2", "db3", "w1"}).Draw(t, "peer")}
	p.Witness = p.Node == "w1"
	if !mostly.Draw(t, "answers") {
		return p
	}
	p.Answered, p.RunningKnown, p.RunningAsPrimary = true, mostly.Draw(t, "running known"), rarely.Draw(t, "runs")
	if mostly.Draw(t, "state readable") {
		d := genDurable(p.Node).Draw(t, "durable")
		p.Durable = &d
	}
	return p
})

// genFacts are half the time wild, half the time a permitted start with one
// part of it replaced.
var genFacts = rapid.Custom(func(t *rapid.T) GateFacts {
	if rapid.Bool().Draw(t, "wild") {
		return genWild.Draw(t, "facts")
	}
	f, wild := consenting.Draw(t, "facts"), genWild.Draw(t, "replacement")
	switch rapid.IntRange(0, 4).Draw(t, "replaced") {
	case 0:
		f.Durable = wild.Durable
	case 1:
		f.Data = wild.Data
	case 2:
		f.Peers[0] = genPeer.Draw(t, "peer")
	case 3:
		f.Peers = wild.Peers
	}
	f.WaitOver = wild.WaitOver
	return f
})

var genWild = rapid.Custom(func(t *rapid.T) GateFacts {
	f := GateFacts{Node: "db1", State: StateReadable, Durable: genDurable("db1").Draw(t, "own"), Asked: mostly.Draw(t, "asked"), WaitOver: rapid.Bool().Draw(t, "wait over")}
	f.State = rapid.SampledFrom([]StateReading{StateReadable, StateReadable, StateReadable, StateAbsent, StateUnreadable}).Draw(t, "state")
	if f.State != StateReadable {
		f.Durable = Durable{Node: "db1"}
	}
	f.Data = DataReading{Directory: rapid.SampledFrom([]string{data1, data1, data1, "/other"}).Draw(t, "dir"), SystemID: rapid.SampledFrom([]replication.SystemID{ours, ours, ours, alien}).Draw(t, "system"),
		Empty: rarely.Draw(t, "empty"), StandbySignal: rarely.Draw(t, "standby.signal"), RecoverySignal: rarely.Draw(t, "recovery.signal"),
		BackupLabel: rarely.Draw(t, "label"), Adopted: mostly.Draw(t, "mark")}
	if f.Asked {
		f.Peers = rapid.SliceOfN(genPeer, 0, 3).Draw(t, "peers")
	}
	return f
})

// mayBePrimary is rule 4 once more in other words: what must be true of every
// start as primary, listed by what would be wrong.
func mayBePrimary(f GateFacts) string {
	d := f.Durable
	switch {
	case f.State != StateReadable || d.Epoch.Zero():
		return "no readable state"
	case d.Role != replication.RolePrimary:
		return "not the durable primary"
	case d.Marker != nil:
		return "a marker"
	case d.SystemID != f.Data.SystemID || f.Data.Empty || d.DataDirectory != f.Data.Directory:
		return "other data"
	case f.Data.StandbySignal || f.Data.RecoverySignal || f.Data.BackupLabel:
		return "a signal file"
	}
	for _, o := range d.Orders {
		if o.Node == f.Node && !o.Revoked && !o.Obeyed && (o.Epoch.Number == 0 || o.Epoch.Number >= d.Epoch.Number) {
			return "an own order"
		}
	}
	for _, i := range d.Intents {
		if !endedByOwner(f, i) {
			return "an own intent or copy"
		}
	}
	consent := false
	for _, p := range f.Peers {
		if why := objects(f, p); why != "" {
			return p.Node + ": " + why
		}
		consent = consent || (p.Answered && !p.Witness)
	}
	if !consent {
		return "nobody with data consents"
	}
	return ""
}

func endedByOwner(f GateFacts, i Intent) bool {
	if i.Owner == f.Node {
		return false
	}
	for _, p := range f.Peers {
		if p.Node != i.Owner || p.Durable == nil || (p.Durable.SystemID != 0 && p.Durable.SystemID != ours) {
			continue
		}
		for _, c := range p.Durable.Closed {
			if c.Operation == i.Operation && c.Result != ResultUnknown {
				return true
			}
		}
	}
	return false
}

func objects(f GateFacts, p PeerReading) string {
	d, o := f.Durable, p.Durable
	switch {
	case p.RunningAsPrimary:
		return "runs as primary"
	case o != nil && len(o.Intents) > 0:
		return "holds an intent"
	case o != nil && o.SystemID == ours && o.Epoch.Number > d.Epoch.Number:
		return "knows a higher epoch"
	case o != nil && (o.SystemID == 0 || o.SystemID == ours) && o.Epoch.Number == d.Epoch.Number && o.Epoch.ID != d.Epoch.ID:
		return "two histories" // a witness's word forbids, too
	case p.Witness:
		return ""
	case !p.Answered || o == nil || !p.RunningKnown:
		return "does not say what it is"
	case o.SystemID != ours:
		return "another system"
	case o.Epoch.Number == 0:
		return "knows no epoch"
	case o.Role == replication.RolePrimary && o.Epoch.Same(d.Epoch):
		return "claims this very epoch, fenced or not"
	case o.Role != replication.RoleStandby && (o.Marker == nil || o.Marker.Epoch.Number != d.Epoch.Number || o.Marker.Epoch.ID != d.Epoch.ID):
		return "is neither standby nor fenced under my epoch"
	}
	for _, order := range o.Orders {
		if order.Node == f.Node && order.SystemID != alien && !order.Revoked && !order.Obeyed && (order.Epoch.Number == 0 || order.Epoch.Number >= d.Epoch.Number) {
			return "holds an order against me"
		}
	}
	return ""
}

func TestGateRule4_PrimaryOnlyWhenEverySentenceHolds(t *testing.T) {
	seen := map[GateOutcome]int{}
	rapid.Check(t, func(t *rapid.T) {
		f := genFacts.Draw(t, "facts")
		d := Gate(f)
		seen[d.Outcome]++
		if why := mayBePrimary(f); why != "" && d.Outcome == GatePrimary {
			t.Fatalf("primary in spite of %s: %+v", why, f)
		} else if why == "" && d.Outcome != GatePrimary {
			t.Fatalf("%s (%s), although every sentence holds", d.Outcome, d.Reason)
		}
		if d.Outcome == GateUndecided && f.WaitOver && f.Asked {
			t.Fatalf("undecided for ever: %s", d.Reason)
		}
		if d.Outcome == GateInactive && (!f.Durable.Epoch.Zero() || f.Durable.Marker != nil || (f.Data.Adopted && !f.Data.Empty)) {
			t.Fatalf("inactive on a node that was adopted: %s", d.Reason)
		}
		if d.Outcome == GateStandby && (!f.Data.StandbySignal || f.State != StateReadable || f.Data.SystemID != f.Durable.SystemID) {
			t.Fatalf("standby without standby.signal or of other data: %s", d.Reason)
		}
	})
	t.Logf("outcomes: %v", seen)
}

// consenting are facts under which the start is permitted, so that one change
// at a time shows what each rule is worth.
var consenting = rapid.Custom(func(t *rapid.T) GateFacts {
	e := Epoch{Number: 3, ID: "x", Primary: "db1"}
	f := primaryFacts(func(f *GateFacts) { f.Durable.Epoch = e })
	peer := standbyPeer(peerEpoch(Epoch{Number: rapid.Uint64Range(1, 3).Draw(t, "peer epoch"), ID: "x"}))
	if rapid.Bool().Draw(t, "peer fenced") {
		peerRole(replication.RolePrimary)(&peer)
		peerEpoch(Epoch{Number: 2, ID: "x"})(&peer)
		peerFenced(e)(&peer)
	}
	f.Peers = []PeerReading{peer}
	if rapid.Bool().Draw(t, "witness") {
		f.Peers = append(f.Peers, witnessPeer(peerEpoch(Epoch{Number: 2, ID: "x"})))
	}
	return f
})

func TestGateRule4_AnySingleObstacleForbids(t *testing.T) {
	obstacles := map[string]func(*GateFacts){
		"marker":          withMarker(Marker{Operation: "m"}),
		"plain order":     withOrder(Order{Operation: "o", Node: "db1"}),
		"order of now":    withOrder(Order{Operation: "o", Node: "db1", Epoch: Epoch{Number: 3, ID: "x"}}),
		"order to come":   withOrder(Order{Operation: "o", Node: "db1", Epoch: Epoch{Number: 4, ID: "z"}}),
		"copy":            withIntent(Intent{Operation: "i", Owner: "db2"}),
		"own intent":      withIntent(Intent{Operation: "i", Owner: "db1"}),
		"foreign data":    func(f *GateFacts) { f.Data.SystemID = alien },
		"other directory": func(f *GateFacts) { f.Data.Directory = "/other" },
		"empty":           func(f *GateFacts) { f.Data.Empty = true },
		"recovery.signal": func(f *GateFacts) { f.Data.RecoverySignal = true },
		"standby.signal":  func(f *GateFacts) { f.Data.StandbySignal = true },
		"backup_label":    func(f *GateFacts) { f.Data.BackupLabel = true },
		"role":            func(f *GateFacts) { f.Durable.Role = replication.RoleStandby },
		"lost state":      func(f *GateFacts) { f.State, f.Durable = StateAbsent, Durable{} },
		"unreadable":      func(f *GateFacts) { f.State = StateUnreadable },
		"peer silent":     func(f *GateFacts) { silentPeer(&f.Peers[0]) },
		"peer running":    func(f *GateFacts) { f.Peers[0].RunningAsPrimary = true },
		"peer unsure":     func(f *GateFacts) { f.Peers[0].RunningKnown = false },
		"peer intent":     func(f *GateFacts) { peerIntent(&f.Peers[0]) },
		"peer order":      func(f *GateFacts) { peerOrder(Order{Operation: "o", Node: "db1"})(&f.Peers[0]) },
		"peer ahead":      func(f *GateFacts) { peerEpoch(Epoch{Number: 4, ID: "x"})(&f.Peers[0]) },
		"peer forked":     func(f *GateFacts) { peerEpoch(Epoch{Number: 3, ID: "y"})(&f.Peers[0]) },
		"peer foreign":    func(f *GateFacts) { f.Peers[0].Durable.SystemID = alien },
		"peer lost":       func(f *GateFacts) { f.Peers[0].Durable = &Durable{Node: "db2"} },
		"peer unreadable": func(f *GateFacts) { f.Peers[0].Durable = nil },
		"peer roleless": func(f *GateFacts) {
			f.Peers[0].Durable.Marker, f.Peers[0].Durable.Role = nil, replication.RoleUnknown
		},
		"only a witness": func(f *GateFacts) { f.Peers[0].Node, f.Peers[0].Witness = "w1", true },
	}
	for name, obstacle := range obstacles {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				f := consenting.Draw(t, "facts")
				if d := Gate(f); d.Outcome != GatePrimary {
					t.Fatalf("the starting point is %s (%s)", d.Outcome, d.Reason)
				}
				obstacle(&f)
				if d := Gate(f); d.Outcome == GatePrimary || d.Outcome == GateInactive {
					t.Fatalf("starts writable as %s: %s", d.Outcome, d.Reason)
				}
			})
		})
	}
}

// A witness alone never permits, only forbids; and what is refused without
// waiting stays refused whatever else becomes known.
func TestGateRule4_MoreKnowledgeNeverTurnsARefusalIntoPrimary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := genFacts.Draw(t, "facts")
		before := Gate(f)
		more := f
		more.Asked = true
		more.Peers = append(append([]PeerReading(nil), f.Peers...), genPeer.Draw(t, "one more answer"))
		added := more.Peers[len(more.Peers)-1]
		early, late := f, more
		early.WaitOver = false
		after := Gate(late)
		if after.Outcome != GatePrimary {
			return
		}
		if added.Witness && before.Outcome != GatePrimary && !closesHere(f, added) && f.Asked {
			t.Fatalf("%s (%s) became primary by a witness's answer", before.Outcome, before.Reason)
		}
		if g := Gate(early); g.Outcome == GateIsolated || g.Outcome == GateRefuse {
			t.Fatalf("%s (%s) became primary by one more answer", g.Outcome, g.Reason)
		}
	})
}

// closesHere says whether the peer is the owner of an intent that it ended:
// the one permission that a witness can give is to forget its own operation.
func closesHere(f GateFacts, p PeerReading) bool {
	for _, i := range f.Durable.Intents {
		if i.Owner == p.Node {
			return true
		}
	}
	return false
}
