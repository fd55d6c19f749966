package alerts

import (
	"testing"
	"testing/synctest"
	"time"
)

// endedAtA brings a pair to where the first node has told the end of an incident
// and the second, which saw it go a little later, still waits.
func endedAtA(p pair) {
	c := []Condition{noPrimary()}
	p.watch(20*time.Second, c, c)
	p.watch(2*time.Second, nil, c)
	p.watch(29*time.Second, nil, nil) // the first has 31 s of hold-down behind it, the second 29
}

// The primary dies together with the service that has just said it is back.
// Nobody may be left with "resolved" in the mailbox.
func TestPair_EndToldThenConditionAndTellerDie_TheOtherTellsANewOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		endedAtA(p)
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org", "resolved NoPrimary ann@example.org")
		p.a.halt()
		for range 60 {
			p.b.observe(PeerView{Alive: []string{"node-b"}, Configured: []string{"node-a", "node-b"}}, noPrimary())
			time.Sleep(500 * time.Millisecond)
		}
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org", "resolved NoPrimary ann@example.org", "firing NoPrimary ann@example.org")
		p.b.halt()
	})
}

// The same, but the second never heard that the end was told: its peer was killed
// before the next report. It is told all the same: twice is better than never.
func TestPair_TellerDiesUnheardWithinTheHoldDown_TheOtherTellsANewOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		c := []Condition{noPrimary()}
		p.watch(20*time.Second, c, c)
		p.watch(10*time.Second, nil, nil)
		p.a.halt()
		// For some seconds the dead one still counts as alive.
		both := []string{"node-a", "node-b"}
		for range 10 {
			p.b.observe(PeerView{Alive: both, Configured: both}, noPrimary())
			time.Sleep(500 * time.Millisecond)
		}
		for range 60 {
			p.b.observe(PeerView{Alive: []string{"node-b"}, Configured: both}, noPrimary())
			time.Sleep(500 * time.Millisecond)
		}
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org", "firing NoPrimary ann@example.org")
		p.b.halt()
	})
}

// A condition that comes and goes within its hold-down stays one incident while
// both services live, and on one that has been alone all the time.
func TestPair_FlapsWhileBothLive_StaysOneOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		c := []Condition{noPrimary()}
		p.watch(20*time.Second, c, c)
		for range 4 {
			p.watch(10*time.Second, nil, nil)
			p.watch(10*time.Second, c, c)
		}
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		p.a.halt()
		alone := PeerView{Alive: []string{"node-b"}, Configured: []string{"node-a", "node-b"}}
		step := func(d time.Duration, c ...Condition) {
			for end := time.Now().Add(d); time.Now().Before(end); {
				p.b.observe(alone, c...)
				time.Sleep(500 * time.Millisecond)
			}
		}
		step(10*time.Minute, noPrimary()) // long after the other has died
		before := len(sink.told())
		for range 4 {
			step(10 * time.Second)
			step(10*time.Second, noPrimary())
		}
		if now := sink.told(); len(now) != before {
			t.Errorf("told again: %v", now)
		}
		p.b.halt()
	})
}
