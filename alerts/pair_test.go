package alerts

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func threeRecipients(sink Sink) []Route {
	return []Route{{Sink: sink, To: []Recipient{{Address: "ann@example.org"}, {Address: "bob@example.org"}, {Address: "eve@example.org"}}}}
}

func TestPair_BothSeeIt_OneMailPerRecipient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, func(o *Options) { o.Routes = threeRecipients(sink) })
		c := []Condition{noPrimary()}
		p.watch(2*time.Minute, c, c)
		p.watch(2*time.Minute, nil, nil)
		told := sink.told()
		slices.Sort(told)
		wantTold(t, told,
			"firing NoPrimary ann@example.org", "firing NoPrimary bob@example.org", "firing NoPrimary eve@example.org",
			"resolved NoPrimary ann@example.org", "resolved NoPrimary bob@example.org", "resolved NoPrimary eve@example.org")
		for _, r := range sink.all() {
			if r.Message.Node != "node-a" {
				t.Errorf("%s of %s was sent by %s, want the lowest name alive", r.Message.Event, r.To, r.Message.Node)
			}
		}
		p.a.halt()
		p.b.halt()
	})
}

func TestPair_OnlyTheSecondSeesIt_ItSendsAfterTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		p.watch(15*time.Second, nil, []Condition{noPrimary()})
		p.round(nil, []Condition{noPrimary()})
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		wantTold(t, sink.told())
		time.Sleep(1)
		synctest.Wait()
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		p.a.halt()
		p.b.halt()
	})
}

func TestPair_SenderDiesBetweenIntentAndSent_OtherSends_RestartSendsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		sink.answer(func(ctx context.Context, m Message, _ Recipient) Delivery {
			if m.Node == "node-a" { // begins and never ends
				<-ctx.Done()
				return Delivery{Outcome: OutcomeUnknown, Err: ctx.Err()}
			}
			return Delivery{Outcome: OutcomeDelivered}
		})
		c := noPrimary()
		p.watch(16*time.Second, []Condition{c}, []Condition{c})
		if sink.attempts() != 1 {
			t.Fatalf("%d attempts, want the first node's one", sink.attempts())
		}
		p.a.halt() // dies in the attempt
		both := []string{"node-a", "node-b"}
		p.b.observe(PeerView{Alive: []string{"node-b"}, Configured: both}, c)
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")

		// It comes back, hears nothing at first, and must not send what it had queued.
		p.a.begin()
		p.a.observe(PeerView{Configured: both}, c)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		p.watch(5*time.Minute, []Condition{c}, []Condition{c})
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		p.a.halt()
		p.b.halt()
	})
}

func TestPair_ChannelDownTenMinutes_OneMailAfterHealing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, func(o *Options) { o.Routes = threeRecipients(sink) })
		sink.answer(fails(Delivery{Outcome: OutcomeTemporary}))
		c := []Condition{noPrimary()}
		p.watch(10*time.Minute, c, c)
		tried := sink.attempts()
		if tried < 20 {
			t.Fatalf("only %d attempts in ten minutes of both nodes for three recipients", tried)
		}
		sink.answer(nil)
		p.watch(10*time.Minute, c, c)
		told := sink.told()
		slices.Sort(told)
		wantTold(t, told, "firing NoPrimary ann@example.org", "firing NoPrimary bob@example.org", "firing NoPrimary eve@example.org")
		if late := sink.all()[0].Message.Text(); !contains(late, "Late: queued at") {
			t.Errorf("a message ten minutes late does not say so:\n%s", late)
		}
		p.a.halt()
		p.b.halt()
	})
}

func TestPair_SenderReachesOneOfThree_OtherSendsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, func(o *Options) { o.Routes = threeRecipients(sink) })
		sink.answer(func(_ context.Context, m Message, to Recipient) Delivery {
			if m.Node == "node-a" && to.Address != "ann@example.org" {
				return Delivery{Outcome: OutcomeTemporary, Err: errors.New("451 not now")}
			}
			return Delivery{Outcome: OutcomeDelivered}
		})
		c := []Condition{noPrimary()}
		p.watch(5*time.Minute, c, c)
		told := sink.told()
		slices.Sort(told)
		wantTold(t, told, "firing NoPrimary ann@example.org", "firing NoPrimary bob@example.org", "firing NoPrimary eve@example.org")
		p.a.halt()
		p.b.halt()
	})
}

func TestPair_OneMissedAnOpening_StillOneMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		p.a.watch(time.Minute, noPrimary()) // the other is down meanwhile
		p.a.watch(time.Minute)
		if n := len(sink.all()); n != 2 {
			t.Fatalf("told %v, want firing and resolved of the first opening", sink.told())
		}
		c := []Condition{noPrimary()}
		p.watch(2*time.Minute, c, c)
		p.watch(2*time.Minute, nil, nil)
		if n := len(sink.all()); n != 4 {
			t.Fatalf("told %v, want one firing and one resolved more", sink.told())
		}
		p.a.halt()
		p.b.halt()
	})
}

func TestPair_OldMarkOfADeadPeer_DoesNotSilenceANewIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		c := []Condition{noPrimary()}
		p.watch(time.Minute, c, c)
		p.watch(time.Minute, nil, nil)
		p.a.watch(time.Minute, noPrimary()) // seen and told by the first alone
		p.watch(10*time.Second, c, nil)     // its mark is heard
		p.a.halt()                          // and it dies with the incident open
		before := len(sink.all())
		p.b.watch(time.Hour)
		p.b.watch(time.Minute, noPrimary())
		if got := sink.told()[before:]; len(got) != 1 || got[0] != "firing NoPrimary ann@example.org" {
			t.Fatalf("told %v, want the new incident", got)
		}
		p.b.halt()
	})
}

func TestPair_Partitioned_BothSendTheSameIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		both := []string{"node-a", "node-b"}
		for range 60 {
			p.a.observe(PeerView{Configured: both}, noPrimary())
			p.b.observe(PeerView{Configured: both}, noPrimary())
			time.Sleep(500 * time.Millisecond)
		}
		got := sink.all()
		if len(got) != 2 {
			t.Fatalf("told %v, want one of each side", sink.told())
		}
		to := Recipient{Address: "ann@example.org"}
		if a, b := got[0].Message.ID("mail", to), got[1].Message.ID("mail", to); a != b {
			t.Errorf("message ids %q and %q differ", a, b)
		}
		if !contains(got[1].Message.Text(), "Sent without hearing from node-") {
			t.Errorf("a mail sent while partitioned does not say so:\n%s", got[1].Message.Text())
		}
		p.a.halt()
		p.b.halt()
	})
}

func TestPair_ToldWithinOurHold_SenderDies_NotToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		c := []Condition{noPrimary()}
		p.watch(5*time.Second, c, nil)
		p.watch(12*time.Second, c, c) // told by the first while pending at the second
		p.a.halt()
		p.b.watch(time.Minute, noPrimary())
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		p.b.watch(time.Minute)
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org", "resolved NoPrimary ann@example.org")
		p.b.halt()
	})
}

func TestPair_EndOfAnOpeningWasRefused_NextOneIsToldByTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		c := []Condition{noPrimary()}
		p.watch(30*time.Second, c, nil)
		sink.answer(fails(Delivery{Outcome: OutcomePermanent}))
		p.watch(time.Minute, nil, nil)
		sink.answer(nil)
		p.watch(time.Minute, nil, c)
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org", "firing NoPrimary ann@example.org")
		p.a.halt()
		p.b.halt()
	})
}

func TestPair_HealsWhileBothAreOpen_OneThreadAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		for range 3 { // cut off, the first sees openings that the other does not
			p.a.watch(20*time.Second, noPrimary())
			p.a.watch(40 * time.Second)
		}
		p.a.watch(20*time.Second, noPrimary())
		p.b.watch(20*time.Second, noPrimary())
		c := []Condition{noPrimary()}
		p.watch(10*time.Second, c, c)
		a, errA := p.a.engine.Find(CodeNoPrimary, "pair")
		b, errB := p.b.engine.Find(CodeNoPrimary, "pair")
		if errA != nil || errB != nil || a.Instance != 4 || b.Instance != 4 {
			t.Errorf("openings %d (%v) and %d (%v), want 4 on both", a.Instance, errA, b.Instance, errB)
		}
		before := len(sink.all())
		p.watch(time.Minute, nil, nil)
		if got := sink.told()[before:]; len(got) != 1 {
			t.Errorf("told %v of the end, want it once", got)
		}
		p.a.halt()
		p.b.halt()
	})
}

func TestPair_SlowServer_OtherDoesNotTakeOverAnAttemptUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := newPair(t, sink, nil)
		sink.answer(func(context.Context, Message, Recipient) Delivery {
			time.Sleep(25 * time.Second) // takes it, slowly
			return Delivery{Outcome: OutcomeDelivered}
		})
		c := []Condition{noPrimary()}
		p.watch(2*time.Minute, c, c)
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		p.a.halt()
		p.b.halt()
	})
}

func TestPair_ClaimThatNeverEnds_IsIgnoredAfterItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		en := &entry{Message: Message{Key: NewKey("7300000000000000001", CodeNoPrimary, "pair")},
			Stage: stageOf(1, EventFiring), Target: targetOf("mail", "ann@example.org")}
		stuck := PeerView{Alive: []string{"node-a", "node-b"}, Notified: []string{claimMark(en)}}
		for range 2 * 40 {
			n.observe(stuck, noPrimary())
			time.Sleep(500 * time.Millisecond)
		}
		wantTold(t, sink.told())
		for range 2 * 25 {
			n.observe(stuck, noPrimary())
			time.Sleep(500 * time.Millisecond)
		}
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		n.halt()
	})
}
