package alerts

import (
	"strconv"
	"strings"
	"time"
)

// A claim announces an attempt that is about to be made or under way, so that
// two live nodes do not attempt the same message within the time that gossip
// takes. The first in rank claims and sends; the others claim, wait for gossip,
// and give way to any claim they hear. It is advice: one that does not end is
// ignored after maxClaim.
type claim struct {
	id string // of the entry
	at time.Time
}

const (
	// claimWait must exceed a round of gossip both ways: two rounds of the
	// service and the gossip between.
	claimWait = 2 * time.Second
	// maxClaim is a send timeout and a margin.
	maxClaim = 45 * time.Second
)

// claimMark is the gossiped form of a claim.
func claimMark(en *entry) string {
	return en.Message.Key.short() + ":trying." + strconv.FormatUint(uint64(en.Stage), 10) + ":" + en.Target
}

// isClaim tells claims from marks of what was told.
func isClaim(line string) bool {
	return len(line) <= 64 && strings.Contains(line, ":trying.")
}

// hearClaims notes since when each claim of a peer has been standing.
func (e *Engine) hearClaims(lines []string, now time.Time) {
	heard := map[string]time.Time{}
	for _, line := range lines[:min(len(lines), maxPeerMarks)] {
		if !isClaim(line) {
			continue
		}
		first, known := e.peerClaims[line]
		if !known {
			first = now
		}
		heard[line] = first
	}
	e.peerClaims = heard
}

// claimed says whether a live peer is at this message now.
func (e *Engine) claimed(en *entry, now time.Time) bool {
	first, heard := e.peerClaims[claimMark(en)]
	return heard && !en.Local && now.Sub(first) < maxClaim
}

// claimNext takes or keeps the claim of a channel on an entry that is due at the
// given time, and gives how long to wait before the attempt.
func (e *Engine) claimNext(ch *channel, en *entry, due, now time.Time) time.Duration {
	ready := due
	if !en.Local && e.peer.rank() > 0 {
		if due.Sub(now) > claimWait {
			return due.Sub(now) - claimWait
		}
		if ch.claim.id != en.id() {
			ch.claim = claim{en.id(), now}
		}
		ready = laterOf(due, ch.claim.at.Add(claimWait))
	}
	return max(ready.Sub(now), 0)
}

// claims gives the marks of the attempts of this node.
func (e *Engine) claims() []string {
	var out []string
	for _, name := range sortedKeys(e.channels) {
		ch := e.channels[name]
		if en := e.spool[ch.claim.id]; en != nil && !en.Local {
			out = append(out, claimMark(en))
		}
	}
	return out
}
