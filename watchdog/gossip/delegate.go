package gossip

import (
	"errors"
	"net/netip"
	"sync/atomic"

	"github.com/hashicorp/memberlist"
)

// delegate is what memberlist calls. It does so under its own locks and in the
// goroutine that reads all packets: nothing here may block or call back.
type delegate struct {
	in   *inbox
	book *book
	own  *atomic.Pointer[[]byte] // newest own envelope; nil before the first
	said func()                  // forget what was said once: a peer is in again
}

var (
	_ memberlist.Delegate         = (*delegate)(nil)
	_ memberlist.EventDelegate    = (*delegate)(nil)
	_ memberlist.AliveDelegate    = (*delegate)(nil)
	_ memberlist.MergeDelegate    = (*delegate)(nil)
	_ memberlist.ConflictDelegate = (*delegate)(nil)
)

// NodeMeta gives nothing: reports carry all there is to say.
func (d *delegate) NodeMeta(int) []byte { return nil }

// NotifyMsg takes a report that was sent to us.
func (d *delegate) NotifyMsg(b []byte) { d.in.put(b) }

// GetBroadcasts gives nothing: reports are too large for packets.
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState gives the newest own report to a push/pull.
func (d *delegate) LocalState(bool) []byte {
	if b := d.own.Load(); b != nil {
		return *b
	}
	return nil
}

// MergeRemoteState takes the report that came with a push/pull.
func (d *delegate) MergeRemoteState(b []byte, _ bool) {
	if len(b) > 0 {
		d.in.put(b)
	}
}

// NotifyJoin and NotifyLeave keep the book of members. memberlist gives the same
// event for a death and a farewell; only our own report tells them apart.
func (d *delegate) NotifyJoin(n *memberlist.Node) {
	if m, ok := d.book.set(n.Name, true); ok {
		d.in.change(m)
		d.said()
	}
}

// NotifyLeave is NotifyJoin's opposite.
func (d *delegate) NotifyLeave(n *memberlist.Node) {
	if m, ok := d.book.set(n.Name, false); ok {
		d.in.change(m)
	}
}

// NotifyUpdate has nothing to tell: nodes carry no metadata.
func (d *delegate) NotifyUpdate(*memberlist.Node) {}

var errNotConfigured = errors.New("name and address are not a configured pair")

// NotifyAlive admits configured name and address pairs only, ourselves included.
func (d *delegate) NotifyAlive(n *memberlist.Node) error {
	addr := addrOf(n)
	if n.Name == d.in.self && addr == d.in.addr {
		return nil
	}
	if !d.in.admitted(n.Name, addr) {
		return errNotConfigured
	}
	return nil
}

// NotifyMerge refuses to merge with somebody who does not know a single
// configured pair of ours, or who claims one of our names. Entries beyond that
// are left to NotifyAlive: a node that already knows of a third member, while we
// do not yet, must not be shut out during a change of configuration.
func (d *delegate) NotifyMerge(nodes []*memberlist.Node) error {
	known := false
	for _, n := range nodes {
		addr := addrOf(n)
		switch want, configured := d.in.peers[n.Name]; {
		case n.Name == d.in.self && addr == d.in.addr:
		case configured && want == addr:
			known = true
		case n.Name == d.in.self || configured:
			d.in.admitted(n.Name, addr) // counts and says it
			return errNotConfigured
		}
	}
	if !known {
		for _, n := range nodes {
			if n.Name != d.in.self {
				d.in.admitted(n.Name, addrOf(n))
			}
		}
		return errNotConfigured
	}
	return nil
}

// NotifyConflict is memberlist's own notice of one name at two addresses; the
// delegates above let none come so far, unless memberlist changes.
func (d *delegate) NotifyConflict(_, other *memberlist.Node) {
	d.in.admitted(other.Name, addrOf(other))
}

func addrOf(n *memberlist.Node) netip.AddrPort {
	a, ok := netip.AddrFromSlice(n.Addr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Unmap(), n.Port)
}
