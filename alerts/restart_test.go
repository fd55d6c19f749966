package alerts

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func TestRestart_KeepsFirstSeen_DoesNotResend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.watch(20*time.Second, noPrimary())
		n.restart()
		n.watch(time.Minute, noPrimary())
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		in, err := n.engine.Find(CodeNoPrimary, "pair")
		if err != nil || !in.FirstSeen.Equal(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("first seen %v (%v), want the start of the test", in.FirstSeen, err)
		}
		n.restart()
		n.watch(time.Minute)
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org", "resolved NoPrimary ann@example.org")
		n.halt()
	})
}

func TestRestart_WithinHold_HoldGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.observe(PeerView{}, noPrimary())
		time.Sleep(10 * time.Second)
		n.restart()
		n.observe(PeerView{}) // the first round knows nothing yet
		time.Sleep(5*time.Second - 1)
		n.observe(PeerView{}, noPrimary())
		wantTold(t, sink.told())
		time.Sleep(1)
		n.observe(PeerView{}, noPrimary())
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		n.halt()
	})
}

func TestRestart_PendingNeverSeenAgain_IsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, "node-a", &fakeSink{name: "mail"}, nil)
		n.observe(PeerView{}, noPrimary())
		n.restart()
		n.watch(31 * time.Second)
		if open := n.engine.Incidents(); len(open) != 0 {
			t.Fatalf("incidents: %+v, want none after the hold-down", open)
		}
		n.halt()
	})
}

func TestRestart_QueuedMessage_IsSentOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		sink.answer(fails(Delivery{Outcome: OutcomeTemporary}))
		n := newNode(t, "node-a", sink, nil)
		n.watch(time.Hour, noPrimary())
		n.halt()
		sink.answer(nil)
		n.begin()
		n.observe(PeerView{}, noPrimary())
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		n.watch(time.Hour, noPrimary())
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		n.halt()
	})
}

func TestRestart_ClockSetBack_HoldIsNotStretched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.observe(PeerView{}, noPrimary())
		n.restart()
		back := time.Now().Add(-time.Hour)
		for _, at := range []time.Duration{0, 15 * time.Second} {
			if _, err := n.engine.Observe(back.Add(at), []Condition{noPrimary()}, PeerView{}); err != nil {
				t.Fatal(err)
			}
		}
		if in, _ := n.engine.Find(CodeNoPrimary, "pair"); in.State != StateFiring {
			t.Errorf("state %s 15 s after a restart with the clock an hour back, want firing", in.State)
		}
		n.halt()
	})
}

func TestRestart_RecipientRemoved_ItsMessagesAreDroppedInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		sink.answer(fails(Delivery{Outcome: OutcomeTemporary}))
		log, lines := observedLog()
		n := newNode(t, "node-a", sink, func(o *Options) { o.Log = log })
		n.watch(20*time.Second, noPrimary())
		n.edit = func(o *Options) {
			o.Log = log
			o.Routes = []Route{{Sink: sink, To: []Recipient{{Address: "new@example.org"}}}}
		}
		n.restart()
		sink.answer(nil)
		n.watch(time.Minute, noPrimary())
		wantTold(t, sink.told())
		if lines.FilterMessageSnippet("no longer configured").Len() != 1 {
			t.Errorf("the drop was not logged: %v", lines.All())
		}
		n.halt()
	})
}

// Only a time with a monotonic reading keeps its age when the clock is set; what
// comes from disk has none. (Nor has a bubble's clock: this test takes the real one.)
func TestRebase_GivesStoredTimesTheClockOfThisRun(t *testing.T) {
	now := time.Now()
	stored := now.Add(-time.Hour).Round(0)
	in := rebased(Incident{FirstSeen: stored, HoldFrom: stored, FiredAt: stored, CauseGone: stored, GoneSince: stored}, now)
	for what, at := range map[string]time.Time{
		"first seen": in.FirstSeen, "hold from": in.HoldFrom, "fired": in.FiredAt, "cause gone": in.CauseGone, "gone": in.GoneSince,
	} {
		if !contains(at.String(), " m=") || !at.Equal(stored) {
			t.Errorf("%s is %s, want %s with a monotonic reading", what, at, stored)
		}
	}
	if !in.ResolvedAt.IsZero() {
		t.Errorf("what never was is %s", in.ResolvedAt)
	}
	if got := rebase(now.Add(time.Hour), now); !got.Equal(now) {
		t.Errorf("a time ahead is %s, want now", got)
	}
}
