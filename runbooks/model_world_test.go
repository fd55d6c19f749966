package runbooks

import (
	"fmt"
	"slices"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// The model: two nodes whose durable state, gate, plans, steps and runner are
// the shipped ones; server, power, link and services are toys that may fail at
// any moment (research/reliability.md 5). Events come from a chooser, so that
// rapid can shrink a story and a plain seed can search for one.

type pgState int

const (
	pgOff pgState = iota
	pgStandby
	pgPrimary
)

// mnode is one host: its power, its service, its server, and its disk.
type mnode struct {
	name      string
	up, svc   bool
	pg        pgState
	signal    bool // standby.signal
	d         fence.Durable
	journal   map[string][]Record
	pending   bool // the gate let a start as primary pass, and it has not happened yet
	running   *mrun
	exclusive bool
}

// mrun is an operation that a service carries out; dead once it was killed.
type mrun struct {
	id   string
	dead bool
}

// died unwinds an operation whose service or host is gone.
type died struct{ run *mrun }

// broken switches one guard off, to show that the model would notice.
type broken struct {
	intents bool // the gate forgets intents, and the orders that follow them
	tie     bool // the gate takes any answer of the peer for a permission
	free    bool // a former primary starts alone
	token   bool // an operation goes on although its node was fenced
	lie     bool // a power device says off and does nothing
	witness bool // stated off is not put on record
}

type world struct {
	choose   func(n int) int
	node     [2]*mnode
	link     bool
	override bool // a proof was stated that was not true
	broken   broken
	depth    int
	left     int // events until the story ends
	ids      int
	story    []string
	bad      string // the violated invariant
}

const modelSystem = replication.SystemID(7)

func newWorld(choose func(int) int, b broken) *world {
	w := &world{choose: choose, link: true, left: 60, broken: b}
	e := fence.Epoch{Number: 1, ID: "e0", Primary: "db1"}
	for i, name := range []string{"db1", "db2"} {
		w.node[i] = &mnode{name: name, up: true, svc: true, pg: pgStandby, signal: true, journal: map[string][]Record{},
			d: fence.Durable{Node: name, SystemID: modelSystem, DataDirectory: "/data", Epoch: e, Role: replication.RoleStandby}}
	}
	w.node[0].pg, w.node[0].signal, w.node[0].d.Role = pgPrimary, false, replication.RolePrimary
	return w
}

func (w *world) other(n *mnode) *mnode {
	if n == w.node[0] {
		return w.node[1]
	}
	return w.node[0]
}

func (w *world) named(name string) *mnode {
	return w.node[slices.IndexFunc(w.node[:], func(n *mnode) bool { return n.name == name })]
}

// reach says whether the services of both nodes hear each other.
func (w *world) reach() bool { return w.link && w.node[0].svc && w.node[1].svc }

func (w *world) tell(format string, a ...any) {
	w.story = append(w.story, fmt.Sprintf(format, a...))
	a0, b0 := w.node[0], w.node[1]
	if a0.pg == pgPrimary && b0.pg == pgPrimary && !w.override && w.bad == "" {
		w.bad = "two nodes run as primary"
	}
	for _, n := range w.node {
		if n.pg == pgPrimary && n.d.Marker != nil && w.bad == "" {
			w.bad = n.name + " runs as primary under its fence marker"
		}
	}
}

func (n *mnode) stopService() {
	n.svc, n.exclusive = false, false
	if n.running != nil {
		n.running.dead = true
	}
	n.running = nil
}

func (n *mnode) powerOff() {
	n.stopService()
	n.up, n.pg, n.pending = false, pgOff, false
}

// seal is what the service of a node does with an order against it.
func (w *world) seal(n *mnode, o fence.Order) fence.Outcome {
	out := fence.Outcome{Node: n.name, Device: "peer", Result: fence.ResultNotDone}
	if n.exclusive {
		out.Result, out.Problem = fence.ResultUnknown, "no answer in time"
		return out
	}
	if n.running != nil && n.running.id != o.Operation {
		n.running.dead = true
		n.running = nil
	}
	d, err := n.d.Apply(fence.Notice{Order: &o})
	if err != nil {
		out.Problem = err.Error()
		return out
	}
	for _, have := range d.Orders {
		if have.Operation == o.Operation && have.Node == o.Node && (have.Revoked || (!have.Epoch.Zero() && have.Epoch.Number < d.Epoch.Number)) {
			out.Problem = "the order does not stand"
			return out
		}
	}
	n.d = d.Obey(o, fence.Marker{Operation: o.Operation, Epoch: o.Epoch, SystemID: modelSystem})
	n.signal, n.pg = true, pgOff
	w.tell("%s is sealed under %s", n.name, o.Operation)
	out.Result, out.Grade = fence.ResultDone, fence.GradeSealed
	return out
}

// gate asks the shipped decision; a start as primary happens later, when much
// may have changed.
func (w *world) gate(n *mnode) {
	if !n.up || n.pg != pgOff || n.pending {
		return
	}
	other := w.other(n)
	peer := fence.PeerReading{Node: other.name, Why: "silent"}
	if w.link && other.svc {
		theirs := other.d
		peer.Answered, peer.Durable, peer.RunningKnown, peer.RunningAsPrimary = true, &theirs, true, other.pg == pgPrimary
	}
	f := fence.GateFacts{Node: n.name, State: fence.StateReadable, Durable: n.d, Asked: true, WaitOver: w.choose(2) == 0,
		Data:  fence.DataReading{Directory: "/data", SystemID: modelSystem, StandbySignal: n.signal, Adopted: true},
		Peers: []fence.PeerReading{peer}}
	w.breakFacts(&f)
	d := fence.Gate(f)
	for _, c := range d.CloseIntents {
		if err := n.apply(fence.Notice{Closed: &c}); err != nil {
			return
		}
	}
	if d.Obey != nil {
		n.d = n.d.Obey(*d.Obey, fence.Marker{Operation: d.Obey.Operation, Epoch: d.Obey.Epoch})
	}
	switch d.Outcome {
	case fence.GatePrimary:
		n.pending = true
	case fence.GateIsolated:
		n.signal, n.pg = true, pgStandby
	case fence.GateStandby:
		n.pg = pgStandby
	}
	w.tell("gate of %s: %s (%s)", n.name, d.Outcome, d.Reason)
}

func (w *world) breakFacts(f *fence.GateFacts) {
	p := &f.Peers[0]
	if w.broken.intents {
		f.Durable.Intents, f.Durable.Orders = nil, nil
		if p.Durable != nil {
			p.Durable.Intents, p.Durable.Orders = nil, nil
		}
	}
	if w.broken.tie && p.Durable != nil {
		p.Durable.Role, p.Durable.Epoch, p.Durable.Marker, p.Durable.Orders, p.RunningAsPrimary = replication.RoleStandby, f.Durable.Epoch, nil, nil, false
	}
	if w.broken.free && !p.Answered {
		p.Answered, p.RunningKnown = true, true
		p.Durable = &fence.Durable{SystemID: modelSystem, Epoch: f.Durable.Epoch, Role: replication.RoleStandby}
	}
}

// start is the moment after the gate: the server reads its signal file.
func (w *world) start(n *mnode) {
	if !n.up || !n.pending || n.pg != pgOff {
		return
	}
	n.pending, n.pg = false, pgPrimary
	if n.signal {
		n.pg = pgStandby
	}
	w.tell("%s starts", n.name)
}

// apply is State.Apply with the errors that a durable rule gives.
func (n *mnode) apply(notice fence.Notice) error {
	d, err := n.d.Apply(notice)
	if err == nil {
		n.d = d
	}
	return err
}

// chores does what the service of a node does every two seconds.
func (w *world) chores(n *mnode) {
	if !n.svc {
		return
	}
	for id, recs := range n.journal {
		if r, closed := Replay(recs).Closed(); closed {
			_ = n.apply(fence.Notice{Closed: &fence.Closed{Operation: id, Result: r}})
		}
	}
	if !w.reach() {
		return
	}
	o := w.other(n)
	if o.d.Epoch.Number < n.d.Epoch.Number {
		_ = o.apply(fence.Notice{Epoch: &fence.EpochNotice{SystemID: modelSystem, Epoch: n.d.Epoch}})
	}
	w.repeatOrders(n, o)
	w.closeCopies(n, o)
	w.obeyOwn(n, o)
	w.tell("chores of %s", n.name)
}

func (w *world) repeatOrders(n, o *mnode) {
	for _, order := range n.d.Orders {
		if order.Node != o.name || order.Issuer != n.name || !order.Stands(n.d.Epoch.Number) {
			continue
		}
		if o.d.Marker != nil && o.d.Marker.Operation == order.Operation {
			order.Obeyed = true
			_ = n.apply(fence.Notice{Order: &order})
		} else if _, open := n.d.OpenIntent(order.Operation); !open {
			_ = o.apply(fence.Notice{Order: &order})
		}
	}
}

func (w *world) closeCopies(n, owner *mnode) {
	for _, c := range owner.d.Closed {
		i, open := n.d.OpenIntent(c.Operation)
		issued := slices.ContainsFunc(n.d.Orders, func(o fence.Order) bool {
			return o.Operation == c.Operation && o.Issuer == owner.name && !o.Revoked && c.Result == fence.ResultNotDone
		})
		locked := n.d.Lock != nil && n.d.Lock.Operation == c.Operation && n.d.Lock.Owner == owner.name
		if (open && i.Owner == owner.name) || locked || issued {
			_ = n.apply(fence.Notice{Closed: &c})
		}
	}
}

func (w *world) obeyOwn(n, issuer *mnode) {
	o, stands := n.d.StandingOrder(n.name)
	if !stands || o.Issuer == n.name {
		return
	}
	_, open := issuer.d.OpenIntent(o.Operation)
	done := slices.ContainsFunc(issuer.d.Closed, func(c fence.Closed) bool {
		return c.Operation == o.Operation && c.Result == fence.ResultDone && !o.Epoch.Zero()
	})
	if open || done {
		w.seal(n, o)
	}
}

// rejoin is the coming one, as the rules speak of it: the marker is lifted when
// the node streams from the primary of its epoch.
func (w *world) rejoin(n *mnode) {
	o := w.other(n)
	if !w.reach() || n.d.Marker == nil || o.pg != pgPrimary || o.d.Role != replication.RolePrimary || len(n.openOps()) > 0 || n.d.Epoch.Number > o.d.Epoch.Number {
		return
	}
	_ = n.apply(fence.Notice{Epoch: &fence.EpochNotice{SystemID: modelSystem, Epoch: o.d.Epoch}})
	if !n.d.Epoch.Same(o.d.Epoch) {
		return
	}
	n.d.Marker, n.signal, n.pg = nil, true, pgStandby
	w.tell("%s rejoins", n.name)
}

// openOps are the operations of a node that are neither done nor aborted.
func (n *mnode) openOps() []string {
	var open []string
	for id, recs := range n.journal {
		if _, closed := Replay(recs).Closed(); !closed {
			open = append(open, id)
		}
	}
	slices.Sort(open)
	return open
}
