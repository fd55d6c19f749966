package alerts

import (
	"fmt"
	"strconv"
	"strings"
)

// Event is the transition that a message tells of. The zero value is none.
type Event uint8

// The events that people are told of.
const (
	EventUnknown Event = iota
	EventFiring
	EventResolved
)

var eventNames = [...]string{"unknown", "firing", "resolved"}

// String gives the name used in marks, headers and logs.
func (e Event) String() string {
	if int(e) < len(eventNames) {
		return eventNames[e]
	}
	return fmt.Sprintf("event(%d)", uint8(e))
}

// stage orders the events of one incident key: firing 1 < resolved 1 < firing 2.
// Whoever has been told a stage need not be told an earlier one.
type stage uint64

// maxInstance bounds what a peer may make us believe about the opening counter,
// so that a forged mark cannot exhaust it.
const maxInstance = 1 << 30

func stageOf(instance uint32, e Event) stage {
	if e == EventUnknown {
		return 0
	}
	return stage(instance)<<1 | stage(e-EventFiring)
}

func (s stage) instance() uint32 { return uint32(s >> 1) } //nolint:gosec // bounded by maxInstance

func (s stage) event() Event {
	if s == 0 {
		return EventUnknown
	}
	return EventFiring + Event(s&1)
}

// mark says that a recipient was told a stage. With an empty target it speaks
// for every recipient.
type mark struct {
	key    string // Key.short
	stage  stage
	target string
}

// String is the gossiped form: "key:transition.instance", with ":target"
// behind it when only that recipient was told.
func (m mark) String() string {
	s := m.key + ":" + m.stage.event().String() + "." + strconv.FormatUint(uint64(m.stage.instance()), 10)
	if m.target != "" {
		s += ":" + m.target
	}
	return s
}

// parseMark reads the gossiped form; anything else is not ours and is ignored.
func parseMark(s string) (mark, bool) {
	parts := strings.Split(s, ":")
	if len(s) > 64 || len(parts) < 2 || len(parts) > 3 || !isHex(parts[0], 16) {
		return mark{}, false
	}
	name, number, found := strings.Cut(parts[1], ".")
	n, err := strconv.ParseUint(number, 10, 32)
	if !found || err != nil || n == 0 || n > maxInstance {
		return mark{}, false
	}
	m := mark{key: parts[0]}
	switch name {
	case "firing":
		m.stage = stageOf(uint32(n), EventFiring)
	case "resolved":
		m.stage = stageOf(uint32(n), EventResolved)
	default:
		return mark{}, false
	}
	if len(parts) == 3 {
		if !isHex(parts[2], 8) {
			return mark{}, false
		}
		m.target = parts[2]
	}
	return m, true
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// maxPeerMarks bounds the work that gossip can cause in one round.
const maxPeerMarks = 1024

// peerMarks is what the peers say they have told, by Key.short.
type peerMarks map[string][]mark

func parseMarks(lines []string) peerMarks {
	out := peerMarks{}
	for _, line := range lines[:min(len(lines), maxPeerMarks)] {
		if m, ok := parseMark(line); ok {
			out[m.key] = append(out[m.key], m)
		}
	}
	return out
}

// newest is the latest stage that any peer has told of this key; 0 when none.
func (p peerMarks) newest(k Key) stage {
	var s stage
	for _, m := range p[k.short()] {
		s = max(s, m.stage)
	}
	return s
}

// joinInstance chooses the counter of an incident that opens now, so that both
// nodes agree although one may have missed earlier openings. own is the counter
// of our last opening, peer what a peer said while the condition was there, told
// the newest stage on record. A peer's firing is joined; everything older than
// that belongs to openings that are over and must not silence this one.
func joinInstance(own uint32, peer, told stage) uint32 {
	next := own + 1
	switch {
	case peer.instance() < next:
	case peer.event() == EventResolved:
		next = peer.instance() + 1
	default:
		next = peer.instance()
	}
	if told > peer && told.instance() >= next {
		next = told.instance() + 1
	}
	return next
}
