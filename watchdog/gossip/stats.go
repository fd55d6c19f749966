package gossip

import "sync/atomic"

// Stats are counters since New, for metrics and tests.
type Stats struct {
	Sent       uint64 // reports delivered to a member
	SendFailed uint64
	Replaced   uint64 // own reports dropped unsent because a newer one came
	Received   uint64 // reports taken in
	Stale      uint64 // older or repeated reports, dropped
	Overtaken  uint64 // reports dropped because a newer one came before OnReport was free
	Oversize   uint64 // reports rejected for their size
	Malformed  uint64 // messages that are no envelope of ours
	Foreign    uint64 // envelopes of another version
	Unknown    uint64 // members or reports of nodes that are not configured
	Conflict   uint64 // a configured name at another address, our own included
	WrongKey   uint64 // packets and streams that none of our keys opens, and peers that refused ours
	WrongLabel uint64
	Outside    uint64 // packets and streams from outside Options.Networks, or over a limit
	Rejoins    uint64 // tries to join a member that is not alive
	Refuted    uint64 // times that a member took us for dead or suspect
	OverTCP    uint64 // probes that got through over TCP only: UDP is lost or filtered
	LogDropped uint64 // lines of memberlist that the log could not take
}

// counters is Stats while it is counted.
type counters struct {
	sent, sendFailed, replaced                     atomic.Uint64
	received, stale, overtaken                     atomic.Uint64
	oversize, malformed, foreign                   atomic.Uint64
	unknown, conflict, wrongKey, wrongLabel        atomic.Uint64
	outside, rejoins, refuted, overTCP, logDropped atomic.Uint64
}

func (c *counters) stats() Stats {
	return Stats{
		Sent: c.sent.Load(), SendFailed: c.sendFailed.Load(), Replaced: c.replaced.Load(),
		Received: c.received.Load(), Stale: c.stale.Load(), Overtaken: c.overtaken.Load(),
		Oversize: c.oversize.Load(), Malformed: c.malformed.Load(), Foreign: c.foreign.Load(),
		Unknown: c.unknown.Load(), Conflict: c.conflict.Load(), WrongKey: c.wrongKey.Load(),
		WrongLabel: c.wrongLabel.Load(), Outside: c.outside.Load(), Rejoins: c.rejoins.Load(),
		Refuted: c.refuted.Load(), OverTCP: c.overTCP.Load(), LogDropped: c.logDropped.Load(),
	}
}
