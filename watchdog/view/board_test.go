package view_test

import (
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func board(t *testing.T) (*view.Board, time.Time) {
	t.Helper()
	now := time.Now()
	return view.NewBoard("gestionale", "db1", []view.NodeInfo{{Name: "db1"}, {Name: "db2"}}, now), now
}

func told(boot string, seq uint64) view.Report { return view.Report{Node: "db2", Boot: boot, Seq: seq} }

func TestBoard_OlderReportOfTheSameBoot_IsDropped(t *testing.T) {
	b, now := board(t)
	for _, c := range []struct {
		r    view.Report
		want bool
	}{
		{told("one", 5), true}, {told("one", 4), false}, {told("one", 5), false}, {told("one", 6), true},
		{told("two", 1), true},  // the service was restarted
		{told("one", 9), false}, // a late packet of the former run
		{told("two", 2), true},
		{view.Report{Node: "stranger", Boot: "x", Seq: 1}, false},
	} {
		if got := b.Put(c.r, now); got != c.want {
			t.Errorf("%s %s/%d: taken %t, want %t", c.r.Node, c.r.Boot, c.r.Seq, got, c.want)
		}
	}
	if r := b.View(now).Reports["db2"].Report; r.Boot != "two" || r.Seq != 2 {
		t.Errorf("kept %s/%d", r.Boot, r.Seq)
	}
}

func TestBoard_View_AgesGrowOnOurClock(t *testing.T) {
	b, now := board(t)
	r := told("one", 1)
	r.Servers = []view.ServerReport{{Node: "db1", Age: 2 * sec, Since: 3 * sec, Answered: view.Never, StatusAge: 0, RoleSince: view.Never, Advanced: view.Never}}
	b.Put(r, now)
	b.SetAlive("db2", true)
	v := b.View(now.Add(5 * sec))
	s := v.Sightings("db1")
	if len(s) != 1 || s[0].Observer != "db2" || s[0].Age != 7*sec || s[0].Since != 8*sec || s[0].Answered != view.Never || s[0].StatusAge != 5*sec {
		t.Errorf("sightings %+v", s)
	}
	if v.Up != 5*sec || !v.Alive["db2"] || v.Reports["db2"].Heard != 5*sec {
		t.Errorf("up %s, alive %v, heard %s", v.Up, v.Alive, v.Reports["db2"].Heard)
	}
	if again := b.View(now.Add(6 * sec)).Sightings("db1"); again[0].Age != 8*sec {
		t.Errorf("age %s: a view changed the report", again[0].Age)
	}
}

// A node is present since it was first heard without a gap, in one run of its
// service: that of a restart or a healed cut is a moment ago.
func TestBoard_View_PresenceBeginsAnewAfterRestartAndSilence(t *testing.T) {
	b, now := board(t)
	for _, c := range []struct {
		after time.Duration
		r     view.Report
		want  time.Duration
	}{
		{0, told("one", 1), 0}, {4 * sec, told("one", 2), 4 * sec}, {8 * sec, told("one", 3), 8 * sec},
		{14 * sec, told("one", 4), 0}, // unheard for six seconds
		{16 * sec, told("one", 5), 2 * sec},
		{17 * sec, told("two", 1), 0},   // restarted
		{18 * sec, told("one", 9), sec}, // a late packet of the former run
	} {
		b.Put(c.r, now.Add(c.after))
		if got := b.View(now.Add(c.after)).Reports["db2"].Present; got != c.want {
			t.Errorf("after %s: present for %s, want %s", c.after, got, c.want)
		}
	}
}
