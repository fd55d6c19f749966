package alerts

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestKey_SameOnEveryNode_DiffersByEveryPart(t *testing.T) {
	k := NewKey("7300", "NoPrimary", "pair")
	// Fixed for ever, and computed by another program: printf 'wd1|7300|NoPrimary|pair' | sha256sum
	if want := Key("a268dde54015cf72c6310e7e4bb2fd70966dc2f6afd7a3198064ced02d3e2ade"); k != want || k.ID() != "A268" {
		t.Errorf("key %s, id %s, want %s", k, k.ID(), want)
	}
	for _, other := range []Key{NewKey("7301", "NoPrimary", "pair"), NewKey("7300", "PostgresDown", "pair"), NewKey("7300", "NoPrimary", "node-a")} {
		if other == k {
			t.Errorf("two things share the key %s", k)
		}
	}
}

func TestMark_RoundTrip(t *testing.T) {
	key := NewKey("1", "NoPrimary", "pair").short()
	for _, m := range []mark{
		{key, stageOf(1, EventFiring), ""},
		{key, stageOf(3, EventResolved), "0123abcd"},
		{key, stageOf(maxInstance, EventFiring), ""},
	} {
		if got, ok := parseMark(m.String()); !ok || got != m {
			t.Errorf("%s reads as %+v (%v), want %+v", m, got, ok, m)
		}
	}
	if got := (mark{key, stageOf(2, EventFiring), ""}).String(); got != key+":firing.2" {
		t.Errorf("mark reads %q, want key:transition", got)
	}
}

func FuzzParseMark(f *testing.F) {
	for _, s := range []string{"0123456789abcdef:firing.1", "0123456789abcdef:resolved.2:0123abcd", "", ":", "x:firing.1", "0123456789abcdef:firing.0", "0123456789abcdef:firing.99999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, ok := parseMark(s)
		if !ok {
			return
		}
		if m.stage.instance() == 0 || m.stage.instance() > maxInstance || m.stage.event() == EventUnknown {
			t.Errorf("%q reads as %+v", s, m)
		}
		if again, ok := parseMark(m.String()); !ok || again != m {
			t.Errorf("%q reads as %+v, written and read again as %+v", s, m, again)
		}
	})
}

func TestJoinInstance(t *testing.T) {
	firing := func(n uint32) stage { return stageOf(n, EventFiring) }
	resolved := func(n uint32) stage { return stageOf(n, EventResolved) }
	for _, c := range []struct {
		why        string
		own        uint32
		peer, told stage
		want       uint32
	}{
		{"first opening, nobody speaks", 0, 0, 0, 1},
		{"second opening", 1, 0, resolved(1), 2},
		{"the peer has told this opening", 0, firing(1), 0, 1},
		{"the peer is ahead and open: join it", 1, firing(5), 0, 5},
		{"the peer is ahead and over: the next one", 1, resolved(5), 0, 6},
		{"the peer is behind", 7, firing(3), 0, 8},
		{"a dead peer told an opening we missed, over", 1, 0, resolved(2), 3},
		{"a dead peer told an opening we missed, never ended", 1, 0, firing(2), 3},
		{"heard while it was pending: that is this opening", 1, firing(2), firing(2), 2},
	} {
		if got := joinInstance(c.own, c.peer, c.told); got != c.want {
			t.Errorf("%s: instance %d, want %d", c.why, got, c.want)
		}
	}
}

func TestNotified_BoundedAndOpenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, "node-a", &fakeSink{name: "mail"}, nil)
		var over []Condition
		for i := range 100 {
			over = append(over, Condition{Code: "Over", Subject: fmt.Sprint(i), Severity: SeverityPage})
		}
		n.watch(5*time.Second, noPrimary())
		n.watch(12*time.Second, append(over, noPrimary())...)
		n.watch(15*time.Second, noPrimary())
		in, err := n.engine.Find(CodeNoPrimary, "pair")
		if err != nil {
			t.Fatal(err)
		}
		marks := n.engine.Notified()
		want := []string{"open.page:" + CodeNoPrimary, mark{key: in.Key.short(), stage: stageOf(1, EventFiring)}.String()}
		if len(marks) != 64 || !slices.Equal(marks[:2], want) {
			t.Errorf("%d marks, first %q: want 64, the open incident %q first", len(marks), marks[:2], want)
		}
		n.halt()
	})
}

func TestObserve_AbsurdMarks_AreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		key := NewKey("7300000000000000001", CodeNoPrimary, "pair").short()
		bad := []string{"", "x", key, key + ":firing", key + ":firing.0", key + ":gone.1", key + ":firing.4294967295", key + ":firing.1:zz", strings.Repeat("a", 1<<20)}
		for range 40 {
			n.observe(PeerView{Notified: bad}, noPrimary())
			time.Sleep(500 * time.Millisecond)
		}
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		n.halt()
	})
}

func TestRetry_GrowsToItsLimits(t *testing.T) {
	p := RetryPolicy{}.withDefaults()
	if first := p.after(1, SeverityPage); first < 800*time.Millisecond || first > 1200*time.Millisecond {
		t.Errorf("first wait %v, want about 1 s", first)
	}
	for severity, limit := range map[Severity]time.Duration{SeverityPage: 2 * time.Minute, SeverityWarning: 30 * time.Minute} {
		last := p.after(1_000_000, severity)
		if last < limit*8/10 || last > limit*12/10 {
			t.Errorf("wait of a %s after many attempts is %v, want about %v", severity, last, limit)
		}
	}
}

func TestTurn(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	queued := start.Add(time.Hour)
	for _, c := range []struct {
		why  string
		peer PeerView
		at   time.Time // queued
		want time.Time
	}{
		{"nobody else is configured", PeerView{Self: "b", Alive: []string{"b"}}, start, start},
		{"lowest name alive", PeerView{Self: "a", Alive: []string{"b", "a"}}, queued, queued},
		{"second", PeerView{Self: "b", Alive: []string{"a", "b"}}, queued, queued.Add(10 * time.Second)},
		{"third", PeerView{Self: "c", Alive: []string{"a", "b", "c", "b"}}, queued, queued.Add(20 * time.Second)},
		{"lower names are not alive", PeerView{Self: "c", Alive: []string{"c"}, Configured: []string{"a", "b", "c"}}, queued, queued},
		{"just started and alone", PeerView{Self: "a", Alive: []string{"a"}, Configured: []string{"a", "b"}}, start, start.Add(10 * time.Second)},
		{"second, queued by an earlier run", PeerView{Self: "b", Alive: []string{"a", "b"}}, start.Add(-time.Hour), start.Add(10 * time.Second)},
	} {
		if got := c.peer.turn(c.at, start, 10*time.Second); !got.Equal(c.want) {
			t.Errorf("%s: turn at %v, want %v", c.why, got.Sub(start), c.want.Sub(start))
		}
	}
}
