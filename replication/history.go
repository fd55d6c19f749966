package replication

import (
	"fmt"
	"strconv"
	"strings"
)

// HistoryEntry is one parent of a timeline: WAL of Timeline is valid up to
// SwitchPoint, where the next timeline leaves it.
type HistoryEntry struct {
	Timeline    Timeline `json:"timeline"`
	SwitchPoint LSN      `json:"switch_point"`
	Reason      string   `json:"reason,omitempty"`
}

// History is the ancestry of one timeline, oldest parent first. Timeline 1 has
// no parents and no history file.
type History struct {
	Timeline Timeline       `json:"timeline"`
	Parents  []HistoryEntry `json:"parents,omitempty"`
}

// maxHistory bounds a history text: a parent takes about 60 bytes, so this
// holds more than ten thousand promotions.
const maxHistory = 1 << 20

// ParseHistory reads the text of a timeline history file (PostgreSQL:
// readTimeLineHistory, src/backend/access/transam/timeline.c). It accepts what
// PostgreSQL writes and no more: one parent per line, number, tab, LSN, tab,
// reason; numbers grow, with gaps where a promotion skipped numbers in use;
// switch points never go back; empty lines and lines that begin with '#' are
// skipped. Carriage returns and NUL bytes are refused: a file that carries them
// was changed on its way.
//
// The text does not name its own timeline, so Timeline is 0 until Of sets it.
func ParseHistory(text string) (History, error) {
	if len(text) > maxHistory {
		return History{}, fmt.Errorf("parse timeline history: %d bytes, more than %d", len(text), maxHistory)
	}
	if i := strings.IndexAny(text, "\r\x00"); i >= 0 {
		return History{}, fmt.Errorf("parse timeline history: byte %#02x at offset %d", text[i], i)
	}
	var h History
	for n, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		e, err := parseHistoryLine(line)
		if err != nil {
			return History{}, fmt.Errorf("parse timeline history line %d: %w", n+1, err)
		}
		if err := h.follow(e); err != nil {
			return History{}, fmt.Errorf("parse timeline history line %d: %w", n+1, err)
		}
		h.Parents = append(h.Parents, e)
	}
	return h, nil
}

func parseHistoryLine(line string) (HistoryEntry, error) {
	fields := strings.SplitN(line, "\t", 3)
	if len(fields) < 2 {
		return HistoryEntry{}, fmt.Errorf("%.80q: want number, tab, LSN", line)
	}
	tl, err := ParseTimeline(fields[0])
	if err != nil {
		return HistoryEntry{}, err
	}
	at, err := ParseLSN(fields[1])
	if err != nil {
		return HistoryEntry{}, err
	}
	if at == 0 {
		return HistoryEntry{}, fmt.Errorf("timeline %d ends at 0/0", tl)
	}
	e := HistoryEntry{Timeline: tl, SwitchPoint: at}
	if len(fields) == 3 {
		e.Reason = fields[2]
	}
	return e, nil
}

// follow checks that e may stand after the parents read so far. Two parents
// may share a switch point: a recovery target may lie where the last promotion
// happened.
func (h History) follow(e HistoryEntry) error {
	if len(h.Parents) == 0 {
		return nil
	}
	last := h.Parents[len(h.Parents)-1]
	if e.Timeline <= last.Timeline {
		return fmt.Errorf("timeline %d stands after %d", e.Timeline, last.Timeline)
	}
	if e.SwitchPoint < last.SwitchPoint {
		return fmt.Errorf("timeline %d ends at %s, before its parent's end %s", e.Timeline, e.SwitchPoint, last.SwitchPoint)
	}
	return nil
}

// Of gives the history as that of timeline tl. It is an error when a parent
// does not come before tl, when timeline 1 has parents, or when a later one has
// none.
func (h History) Of(tl Timeline) (History, error) {
	switch n := len(h.Parents); {
	case tl == 0:
		return History{}, fmt.Errorf("name timeline history: timeline 0 does not exist")
	case n == 0 && tl > 1:
		return History{}, fmt.Errorf("name timeline history: timeline %d has no parent", tl)
	case n > 0 && h.Parents[n-1].Timeline >= tl:
		return History{}, fmt.Errorf("name timeline history: parent %d does not come before %d", h.Parents[n-1].Timeline, tl)
	}
	h.Timeline = tl
	return h, nil
}

// SwitchPointOf gives where this history left timeline tl; ok is false when tl
// is no parent of it.
func (h History) SwitchPointOf(tl Timeline) (at LSN, ok bool) {
	for _, e := range h.Parents {
		if e.Timeline == tl {
			return e.SwitchPoint, true
		}
	}
	return 0, false
}

// String gives the text form that ParseHistory reads.
func (h History) String() string {
	var b strings.Builder
	for _, e := range h.Parents {
		fmt.Fprintf(&b, "%d\t%s\t%s\n", e.Timeline, e.SwitchPoint, e.Reason)
	}
	return b.String()
}

// ParseTimeline reads a timeline number strictly: decimal digits, 1 to 2^32-1,
// no sign, no leading zero.
func ParseTimeline(s string) (Timeline, error) {
	v, err := strconv.ParseUint(s, 10, 32)
	if err != nil || v == 0 || s[0] == '0' || s[0] == '+' {
		return 0, fmt.Errorf("parse timeline %.40q: want a decimal number from 1 to 4294967295", s)
	}
	return Timeline(v), nil
}
