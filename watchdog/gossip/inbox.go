package gossip

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// oldBoots is how many former runs of a peer are remembered, so that a late
// report of one is not taken for a restart.
const oldBoots = 8

// inbox takes reports and liveness changes from memberlist, under whatever locks
// it holds, and keeps the newest of each peer until the dispatcher takes it. No
// method blocks.
type inbox struct {
	self  string
	addr  netip.AddrPort
	peers map[string]netip.AddrPort
	count *counters
	say   func(kind, text, about string) // once per kind and about
	wake  chan struct{}                  // capacity 1

	mu      sync.Mutex
	senders map[string]*sender
	members []Member // changes, in order
}

// sender is what is known of one peer's reports.
type sender struct {
	boot, seq uint64
	seen      bool
	old       []uint64
	waiting   []byte // newest report that was not handed over
}

func newInbox(r resolved, c *counters, say func(kind, text, about string)) *inbox {
	in := &inbox{
		self: r.Node, addr: r.advertise, peers: r.peers, count: c, say: say,
		wake: make(chan struct{}, 1), senders: map[string]*sender{},
	}
	for name := range r.peers {
		in.senders[name] = &sender{}
	}
	return in
}

// put takes one envelope. It copies what it keeps: memberlist reuses b.
func (in *inbox) put(b []byte) {
	f, err := decodeFrame(b)
	if err != nil {
		in.reject(err)
		return
	}
	if !in.admitted(f.from, f.addr) {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	s := in.senders[f.from]
	if !s.newer(f) {
		in.count.stale.Add(1)
		return
	}
	if s.waiting != nil {
		in.count.overtaken.Add(1)
	}
	s.waiting = append(make([]byte, 0, len(f.body)), f.body...)
	in.count.received.Add(1)
	in.ring()
}

func (in *inbox) reject(err error) {
	switch {
	case errors.Is(err, errOversize):
		in.count.oversize.Add(1)
	case errors.Is(err, errVersion):
		in.count.foreign.Add(1)
	default:
		in.count.malformed.Add(1)
	}
}

// admitted reports whether name and address are a configured pair.
func (in *inbox) admitted(name string, addr netip.AddrPort) bool {
	want, known := in.peers[name]
	switch {
	case name == in.self:
		in.count.conflict.Add(1)
		in.say("conflict", "another process runs under this node's name: two configurations say the same node", addr.String())
		return false
	case !known:
		in.count.unknown.Add(1)
		in.say("unknown", "a node that is not configured tries to join", name)
		return false
	case want != addr:
		in.count.conflict.Add(1)
		in.say("conflict", "a configured name is used at another address: a clone, or an address that was changed on one node only",
			name+" at "+addr.String()+", configured "+want.String())
		return false
	}
	return true
}

// newer takes the report's place in the order of its sender.
func (s *sender) newer(f frame) bool {
	switch {
	case s.seen && f.boot == s.boot:
		if f.seq <= s.seq {
			return false
		}
	case slices.Contains(s.old, f.boot):
		return false
	case s.seen:
		s.old = append(s.old, s.boot)
		if len(s.old) > oldBoots {
			s.old = slices.Delete(s.old, 0, 1)
		}
	}
	s.seen, s.boot, s.seq = true, f.boot, f.seq
	return true
}

// change notes a change of liveness.
func (in *inbox) change(m Member) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.members = append(in.members, m)
	in.ring()
}

func (in *inbox) ring() {
	select {
	case in.wake <- struct{}{}:
	default: // it rings already
	}
}

// take gives what came in since the last time, by name of sender.
func (in *inbox) take() (members []Member, reports []received) {
	in.mu.Lock()
	defer in.mu.Unlock()
	members, in.members = in.members, nil
	for name, s := range in.senders {
		if s.waiting != nil {
			reports = append(reports, received{from: name, body: s.waiting})
			s.waiting = nil
		}
	}
	slices.SortFunc(reports, func(a, b received) int { return strings.Compare(a.from, b.from) })
	return members, reports
}

type received struct {
	from string
	body []byte
}
