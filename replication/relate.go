package replication

import "fmt"

// Standing is where one server stands in WAL history: all that Relate looks
// at. The zero value says nothing, and Relate answers RelationUnknown to it.
type Standing struct {
	SystemID SystemID
	Role     Role
	Timeline Timeline
	// Position is the flush LSN of a primary, the received LSN of a standby.
	Position LSN
	// Replay is how far a standby has replayed; 0 when not known.
	Replay LSN
	// History is the ancestry of Timeline; nil when not known. Timeline 1
	// needs none.
	History *History
	// Epoch is the newest row of watchdog.epoch on that server; nil when not
	// known.
	Epoch *EpochRow
}

// RelationKind says how two servers stand to each other.
type RelationKind uint8

// The kinds. RelationUnknown is the zero value and permits nothing.
const (
	RelationUnknown    RelationKind = iota
	RelationSameLine                // same timeline, same history: positions may be subtracted
	RelationCanFollow               // the older one is a standby within the younger one's ancestry
	RelationDiverged                // WAL past the switch point on the older line: rewind or clone
	RelationSuperseded              // the older one is still primary; nothing lost yet: fence it now
	RelationSplitBrain              // two primaries on one timeline
	RelationUnrelated               // other data, or branches without a common line
)

var relationNames = [...]string{
	"unknown", "same_line", "can_follow", "diverged", "superseded", "split_brain", "unrelated",
}

// String gives the name used in output and JSON.
func (k RelationKind) String() string {
	if int(k) < len(relationNames) {
		return relationNames[k]
	}
	return fmt.Sprintf("relation(%d)", uint8(k))
}

// MarshalText implements encoding.TextMarshaler.
func (k RelationKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Side names one of the two servers given to Relate.
type Side uint8

// The sides.
const (
	SideNone Side = iota
	SideA
	SideB
)

// String gives "none", "a" or "b".
func (s Side) String() string {
	switch s {
	case SideA:
		return "a"
	case SideB:
		return "b"
	}
	return "none"
}

// MarshalText implements encoding.TextMarshaler.
func (s Side) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Relation is the answer of Relate.
type Relation struct {
	Kind RelationKind
	// Older is the server on the older timeline; SideNone on one timeline.
	Older Side
	// SwitchPoint is where the lines part; 0 where none applies.
	SwitchPoint LSN
	// Ahead is who holds more WAL, by Bytes. On RelationSameLine both count
	// from each other's position; on RelationDiverged Bytes is what the older
	// one holds past SwitchPoint.
	Ahead Side
	Bytes uint64
	// OnlyA and OnlyB are the bytes past SwitchPoint that one side holds and the
	// other lacks; both 0 when SwitchPoint is. A standby counts what it received.
	OnlyA, OnlyB uint64
	// TwoPrimaries is true when both are out of recovery, whatever Kind says.
	TwoPrimaries bool
	Reason       string
}

// Relate says how servers a and b stand to each other, by the only rule that
// makes two LSNs comparable: through timeline history. It is pure, and answers
// the same with a and b exchanged, sides exchanged.
func Relate(a, b Standing) Relation {
	r := relate(a, b)
	if r.SwitchPoint != 0 {
		r.OnlyA, r.OnlyB = a.reached().Since(r.SwitchPoint), b.reached().Since(r.SwitchPoint)
	}
	r.TwoPrimaries = a.Role == RolePrimary && b.Role == RolePrimary && a.SystemID == b.SystemID && a.SystemID != 0
	return r
}

// reached is the end of the WAL that the server is known to hold.
func (s Standing) reached() LSN {
	if s.Role == RoleStandby {
		return max(s.Position, s.Replay)
	}
	return s.Position
}

func relate(a, b Standing) Relation {
	switch {
	case a.SystemID == 0 || b.SystemID == 0:
		return Relation{Reason: "system identifier not known"}
	case a.SystemID != b.SystemID:
		return Relation{Kind: RelationUnrelated, Reason: "system identifiers differ"}
	case a.Timeline == 0 || b.Timeline == 0:
		return Relation{Reason: "timeline not known"}
	case a.Timeline < b.Timeline:
		return ancestry(a, b, SideA)
	case a.Timeline > b.Timeline:
		return ancestry(b, a, SideB)
	default:
		return sameTimeline(a, b)
	}
}

// ancestry judges old on a lower timeline against young on a higher one.
func ancestry(old, young Standing, side Side) Relation {
	r := Relation{Older: side}
	h := young.History
	if h == nil || h.Timeline != young.Timeline {
		r.Reason = fmt.Sprintf("history of timeline %d not known", young.Timeline)
		return r
	}
	fork, ok := h.SwitchPointOf(old.Timeline)
	if !ok {
		r.Kind = RelationUnrelated
		r.Reason = fmt.Sprintf("timeline %d is no ancestor of %d: both diverged", old.Timeline, young.Timeline)
		return r
	}
	r.SwitchPoint = fork
	if old.History != nil {
		if at, differ := parting(old.History.Parents, parentsBefore(h, old.Timeline)); differ {
			r.Kind, r.SwitchPoint = RelationDiverged, at
			r.Reason = fmt.Sprintf("timeline %d has two different histories", old.Timeline)
			return r
		}
	}
	return judgeFork(r, old, side)
}

// judgeFork decides once the lines are known to part at r.SwitchPoint.
func judgeFork(r Relation, old Standing, side Side) Relation {
	reached := old.reached()
	past := reached.Since(r.SwitchPoint)
	switch {
	case reached == 0:
		r.Reason = "position not known"
	case past > 0 && old.Role == RoleStandby && old.Replay != 0 && old.Replay <= r.SwitchPoint:
		// What was received and not replayed may still be discarded, or be
		// replayed in the next moment: wait until it has settled.
		r.Reason = fmt.Sprintf("received %d bytes past switch point %s, not replayed past it", past, r.SwitchPoint)
	case past > 0:
		r.Kind, r.Ahead, r.Bytes = RelationDiverged, side, past
		r.Reason = fmt.Sprintf("%d bytes past switch point %s", past, r.SwitchPoint)
	case old.Role == RoleStandby:
		r.Kind = RelationCanFollow
		r.Reason = fmt.Sprintf("ends at %s, not past switch point %s", reached, r.SwitchPoint)
	case old.Role == RolePrimary:
		r.Kind = RelationSuperseded
		r.Reason = fmt.Sprintf("still primary on timeline %d", old.Timeline)
	default:
		r.Reason = "role not known"
	}
	return r
}

// sameTimeline judges two servers that show the same timeline number, which by
// itself proves nothing: two promotions apart take the same number.
func sameTimeline(a, b Standing) Relation {
	switch {
	case a.Role == RolePrimary && b.Role == RolePrimary:
		r := Relation{Kind: RelationSplitBrain, Reason: fmt.Sprintf("two primaries on timeline %d", a.Timeline)}
		if at, differ := apart(a, b); differ {
			r.SwitchPoint = at
		}
		return r
	case a.Role == RoleUnknown || b.Role == RoleUnknown:
		return Relation{Reason: "role not known"}
	}
	if a.Timeline > 1 {
		if !a.knowsHistory() || !b.knowsHistory() {
			return Relation{Reason: fmt.Sprintf("history of timeline %d not known", a.Timeline)}
		}
		if at, differ := apart(a, b); differ {
			return Relation{Kind: RelationDiverged, SwitchPoint: at, Reason: fmt.Sprintf("timeline %d has two different histories", a.Timeline)}
		}
	}
	if r, differ := epochsDiffer(a, b); differ {
		return r
	}
	if a.Position == 0 || b.Position == 0 {
		return Relation{Reason: "position not known"}
	}
	return ahead(a.Position, b.Position)
}

func (s Standing) knowsHistory() bool { return s.History != nil && s.History.Timeline == s.Timeline }

// apart says where two servers of one timeline number parted: both were promoted
// to it, from different points. Equal histories prove nothing.
func apart(a, b Standing) (at LSN, differ bool) {
	if !a.knowsHistory() || !b.knowsHistory() {
		return 0, false
	}
	return parting(a.History.Parents, b.History.Parents)
}

// epochsDiffer finds two promotions that took the same timeline at the same
// LSN: nothing in PostgreSQL's own answers tells them apart, our row does. A
// standby that only lags shows a lower number, which proves nothing.
func epochsDiffer(a, b Standing) (Relation, bool) {
	if a.Epoch == nil || b.Epoch == nil || a.Epoch.Number != b.Epoch.Number || a.Epoch.ID == b.Epoch.ID {
		return Relation{}, false
	}
	r := Relation{Kind: RelationDiverged, Reason: fmt.Sprintf("epoch %d was made twice: %s and %s", a.Epoch.Number, a.Epoch.ID, b.Epoch.ID)}
	if a.History != nil && len(a.History.Parents) > 0 {
		r.SwitchPoint = a.History.Parents[len(a.History.Parents)-1].SwitchPoint
	}
	return r, true
}

func ahead(a, b LSN) Relation {
	r := Relation{Kind: RelationSameLine}
	switch {
	case a > b:
		r.Ahead, r.Bytes = SideA, a.Since(b)
	case b > a:
		r.Ahead, r.Bytes = SideB, b.Since(a)
	}
	return r
}

func parentsBefore(h *History, tl Timeline) []HistoryEntry {
	for i, e := range h.Parents {
		if e.Timeline >= tl {
			return h.Parents[:i]
		}
	}
	return h.Parents
}

// parting compares two ancestries and gives the smaller switch point at the
// first difference. Reasons are words and do not count.
func parting(a, b []HistoryEntry) (at LSN, differ bool) {
	for i := 0; i < len(a) || i < len(b); i++ {
		switch {
		case i >= len(a):
			return b[i].SwitchPoint, true
		case i >= len(b):
			return a[i].SwitchPoint, true
		case a[i].Timeline != b[i].Timeline || a[i].SwitchPoint != b[i].SwitchPoint:
			return min(a[i].SwitchPoint, b[i].SwitchPoint), true
		}
	}
	return 0, false
}
