package replication_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/gestionale-fullstack/watchdog/replication"
)

func history(tl replication.Timeline, points ...replication.LSN) *replication.History {
	h := replication.History{Timeline: tl}
	for i, p := range points {
		h.Parents = append(h.Parents, replication.HistoryEntry{Timeline: replication.Timeline(i + 1), SwitchPoint: p})
	}
	return &h
}

func primary(tl replication.Timeline, pos replication.LSN, h *replication.History) replication.Standing {
	return replication.Standing{SystemID: 7, Role: replication.RolePrimary, Timeline: tl, Position: pos, History: h}
}

func standby(tl replication.Timeline, received, replayed replication.LSN, h *replication.History) replication.Standing {
	return replication.Standing{SystemID: 7, Role: replication.RoleStandby, Timeline: tl, Position: received, Replay: replayed, History: h}
}

func with(s replication.Standing, change func(*replication.Standing)) replication.Standing {
	change(&s)
	return s
}

func TestRelate(t *testing.T) {
	epoch := func(n uint64, id string) func(*replication.Standing) {
		return func(s *replication.Standing) { s.Epoch = &replication.EpochRow{Number: n, ID: id} }
	}
	h2, h2b := history(2, 100), history(2, 120)
	for name, c := range map[string]struct {
		a, b replication.Standing
		want replication.Relation
	}{
		"standby behind its primary": {primary(1, 90, nil), standby(1, 80, 70, nil),
			replication.Relation{Kind: replication.RelationSameLine, Ahead: replication.SideA, Bytes: 10}},
		"level": {primary(1, 90, nil), standby(1, 90, 90, nil), replication.Relation{Kind: replication.RelationSameLine}},
		"old primary not past the switch point": {primary(1, 100, nil), primary(2, 150, h2),
			replication.Relation{Kind: replication.RelationSuperseded, Older: replication.SideA, SwitchPoint: 100, TwoPrimaries: true}},
		"old primary wrote one byte more": {primary(1, 101, nil), primary(2, 150, h2),
			replication.Relation{Kind: replication.RelationDiverged, Older: replication.SideA, SwitchPoint: 100, Ahead: replication.SideA, Bytes: 1, TwoPrimaries: true}},
		"sealed old primary can follow": {standby(1, 100, 100, nil), primary(2, 150, h2),
			replication.Relation{Kind: replication.RelationCanFollow, Older: replication.SideA, SwitchPoint: 100}},
		"sealed old primary replayed past it": {standby(1, 0, 130, nil), primary(2, 150, h2),
			replication.Relation{Kind: replication.RelationDiverged, Older: replication.SideA, SwitchPoint: 100, Ahead: replication.SideA, Bytes: 30}},
		"received past it, not replayed": {standby(1, 130, 100, nil), primary(2, 150, h2),
			replication.Relation{Older: replication.SideA, SwitchPoint: 100}},
		"received past it, replay not known": {standby(1, 130, 0, nil), primary(2, 150, h2),
			replication.Relation{Kind: replication.RelationDiverged, Older: replication.SideA, SwitchPoint: 100, Ahead: replication.SideA, Bytes: 30}},
		"ancestor two steps up": {standby(1, 100, 100, nil), primary(3, 300, history(3, 100, 200)),
			replication.Relation{Kind: replication.RelationCanFollow, Older: replication.SideA, SwitchPoint: 100}},
		"ancestor's own history differs": {standby(2, 110, 110, h2b), primary(3, 300, history(3, 100, 200)),
			replication.Relation{Kind: replication.RelationDiverged, Older: replication.SideA, SwitchPoint: 100}},
		"timeline is no ancestor": {standby(2, 110, 110, nil), primary(3, 300, &replication.History{Timeline: 3, Parents: []replication.HistoryEntry{{Timeline: 1, SwitchPoint: 100}}}),
			replication.Relation{Kind: replication.RelationUnrelated, Older: replication.SideA}},
		"history of the younger missing": {standby(1, 100, 100, nil), primary(2, 150, nil), replication.Relation{Older: replication.SideA}},
		"history of another timeline":    {standby(1, 100, 100, nil), primary(3, 150, h2), replication.Relation{Older: replication.SideA}},
		"role of the older not known": {with(standby(1, 100, 0, nil), func(s *replication.Standing) { s.Role = replication.RoleUnknown }), primary(2, 150, h2),
			replication.Relation{Older: replication.SideA, SwitchPoint: 100}},
		"position of the older not known": {standby(1, 0, 0, nil), primary(2, 150, h2), replication.Relation{Older: replication.SideA, SwitchPoint: 100}},
		"split brain, both promoted apart": {primary(2, 150, h2), primary(2, 170, h2b),
			replication.Relation{Kind: replication.RelationSplitBrain, SwitchPoint: 100, TwoPrimaries: true}},
		"split brain, equal positions": {primary(2, 150, h2), primary(2, 150, h2),
			replication.Relation{Kind: replication.RelationSplitBrain, TwoPrimaries: true}},
		"same number, other switch point": {primary(2, 150, h2), standby(2, 150, 150, h2b),
			replication.Relation{Kind: replication.RelationDiverged, SwitchPoint: 100}},
		"same timeline, history missing": {primary(2, 150, h2), standby(2, 150, 150, nil), replication.Relation{}},
		"same LSN promoted twice, epoch rows differ": {with(primary(2, 150, h2), epoch(5, "x")), with(standby(2, 150, 150, h2), epoch(5, "y")),
			replication.Relation{Kind: replication.RelationDiverged, SwitchPoint: 100}},
		"standby has not replayed the newest epoch row": {with(primary(2, 150, h2), epoch(5, "x")), with(standby(2, 140, 140, h2), epoch(4, "y")),
			replication.Relation{Kind: replication.RelationSameLine, Ahead: replication.SideA, Bytes: 10}},
		"other data": {primary(1, 90, nil), with(standby(1, 90, 90, nil), func(s *replication.Standing) { s.SystemID = 8 }),
			replication.Relation{Kind: replication.RelationUnrelated}},
		"nothing known":       {replication.Standing{}, primary(1, 90, nil), replication.Relation{}},
		"timeline not known":  {primary(0, 90, nil), primary(1, 90, nil), replication.Relation{TwoPrimaries: true}},
		"role not known":      {primary(1, 90, nil), with(standby(1, 90, 90, nil), func(s *replication.Standing) { s.Role = replication.RoleUnknown }), replication.Relation{}},
		"position not known":  {primary(1, 0, nil), standby(1, 90, 90, nil), replication.Relation{}},
		"standby ahead of it": {primary(1, 90, nil), standby(1, 95, 90, nil), replication.Relation{Kind: replication.RelationSameLine, Ahead: replication.SideB, Bytes: 5}},
	} {
		got := replication.Relate(c.a, c.b)
		if d := cmp.Diff(c.want, got, cmpopts.IgnoreFields(replication.Relation{}, "Reason", "OnlyA", "OnlyB")); d != "" {
			t.Errorf("%s (%s): %s", name, got.Reason, d)
		}
		if got.Kind == replication.RelationUnknown && got.Reason == "" {
			t.Errorf("%s: unknown without a reason", name)
		}
		if d := cmp.Diff(c.want, swap(replication.Relate(c.b, c.a)), cmpopts.IgnoreFields(replication.Relation{}, "Reason", "OnlyA", "OnlyB")); d != "" {
			t.Errorf("%s, exchanged: %s", name, d)
		}
	}
}

func swap(r replication.Relation) replication.Relation {
	other := map[replication.Side]replication.Side{replication.SideA: replication.SideB, replication.SideB: replication.SideA}
	r.Older, r.Ahead = other[r.Older], other[r.Ahead]
	r.OnlyA, r.OnlyB = r.OnlyB, r.OnlyA
	return r
}

func TestRelate_Parted_CountsWhatEachSideHoldsAlone(t *testing.T) {
	h2, h2b := history(2, 100), history(2, 120)
	for name, c := range map[string]struct {
		a, b replication.Standing
		a1   uint64
		b1   uint64
	}{
		"same number, other switch point":     {primary(2, 150, h2), standby(2, 170, 160, h2b), 50, 70},
		"two primaries of one number":         {primary(2, 150, h2), primary(2, 130, h2b), 50, 30},
		"old primary past the switch point":   {primary(1, 101, nil), primary(2, 150, h2), 1, 50},
		"superseded, nothing lost":            {primary(1, 100, nil), primary(2, 150, h2), 0, 50},
		"replayed further than received":      {standby(1, 0, 130, nil), primary(2, 150, h2), 30, 50},
		"ancestors parted two steps before":   {primary(3, 300, history(3, 90, 200)), standby(2, 140, 140, h2), 210, 50},
		"one line":                            {primary(2, 150, h2), standby(2, 140, 140, h2), 0, 0},
		"two primaries, histories are equal":  {primary(2, 150, h2), primary(2, 130, h2), 0, 0},
		"two primaries, one history unknown":  {primary(2, 150, h2), primary(2, 130, nil), 0, 0},
		"position of one side not known (0)":  {primary(2, 0, h2), standby(2, 170, 160, h2b), 0, 70},
		"unrelated, no switch point is known": {standby(2, 110, 110, nil), primary(3, 300, &replication.History{Timeline: 3, Parents: []replication.HistoryEntry{{Timeline: 1, SwitchPoint: 100}}}), 0, 0},
	} {
		if r := replication.Relate(c.a, c.b); r.OnlyA != c.a1 || r.OnlyB != c.b1 {
			t.Errorf("%s: %d and %d bytes past %s, want %d and %d", name, r.OnlyA, r.OnlyB, r.SwitchPoint, c.a1, c.b1)
		}
	}
}

// TestRelate_Symmetric_NeverCallsTwoPrimariesOneLine holds for any standings.
func TestRelate_Symmetric_NeverCallsTwoPrimariesOneLine(t *testing.T) {
	lsn := rapid.Custom(func(t *rapid.T) replication.LSN { return replication.LSN(rapid.Uint64Range(0, 6).Draw(t, "lsn")) })
	standing := rapid.Custom(func(t *rapid.T) replication.Standing {
		s := replication.Standing{
			SystemID: replication.SystemID(rapid.Uint64Range(0, 2).Draw(t, "system")),
			Role:     replication.Role(rapid.Uint8Range(0, 2).Draw(t, "role")),
			Timeline: replication.Timeline(rapid.Uint32Range(0, 4).Draw(t, "timeline")),
			Position: lsn.Draw(t, "position"), Replay: lsn.Draw(t, "replay"),
		}
		if rapid.Bool().Draw(t, "known") {
			h := replication.History{Timeline: s.Timeline}
			for i := replication.Timeline(1); i < s.Timeline; i++ {
				h.Parents = append(h.Parents, replication.HistoryEntry{Timeline: i, SwitchPoint: lsn.Draw(t, "switch")})
			}
			s.History = &h
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := standing.Draw(t, "a"), standing.Draw(t, "b")
		r := replication.Relate(a, b)
		back := swap(replication.Relate(b, a))
		back.Reason, r.Reason = "", ""
		if back != r {
			t.Fatalf("%+v, exchanged %+v", r, back)
		}
		if a.Role == replication.RolePrimary && b.Role == replication.RolePrimary &&
			(r.Kind == replication.RelationSameLine || r.Kind == replication.RelationCanFollow) {
			t.Fatalf("two primaries: %+v", r)
		}
	})
}
