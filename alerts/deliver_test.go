package alerts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func observedLog() (*zap.Logger, *observer.ObservedLogs) {
	core, lines := observer.New(zapcore.DebugLevel)
	return zap.New(core), lines
}

func (n *node) metrics(channel string) ChannelMetrics {
	n.t.Helper()
	for _, m := range n.engine.Metrics() {
		if m.Channel == channel {
			return m
		}
	}
	n.t.Fatalf("no metrics of channel %q", channel)
	return ChannelMetrics{}
}

func TestDeliver_RefusedRecipient_OthersKeepTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		log, lines := observedLog()
		n := newNode(t, "node-a", sink, func(o *Options) { o.Routes, o.Log = threeRecipients(sink), log })
		sink.answer(func(_ context.Context, _ Message, to Recipient) Delivery {
			if to.Address == "bob@example.org" {
				return Delivery{Outcome: OutcomePermanent, Err: errors.New("550 no such user")}
			}
			return Delivery{Outcome: OutcomeDelivered}
		})
		n.watch(time.Hour, noPrimary())
		told := sink.told()
		slices.Sort(told)
		wantTold(t, told, "firing NoPrimary ann@example.org", "firing NoPrimary eve@example.org")
		if sink.attempts() != 3 {
			t.Errorf("%d attempts, want 3: a refusal for good is not repeated", sink.attempts())
		}
		m := n.metrics("mail")
		if m.Delivered != 2 || m.Dropped != 1 || m.Spooled != 0 || m.LastSuccess.IsZero() {
			t.Errorf("metrics %+v", m)
		}
		if f := n.engine.ChannelFaults(); len(f) != 1 || f[0].Subject() != "mail to bob@example.org" {
			t.Errorf("faults %v, want the refused recipient", f)
		}
		if lines.FilterMessageSnippet("message dropped").FilterLevelExact(zapcore.ErrorLevel).Len() != 1 {
			t.Errorf("the dropped page was not logged as an error")
		}
		n.halt()
	})
}

func TestDeliver_LoginRefused_KeptAndHookTold_HealsWithoutLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		var mu sync.Mutex
		var hooks []string
		n := newNode(t, "node-a", sink, func(o *Options) {
			o.OnChannelFault = func(channel string, err error) {
				mu.Lock()
				defer mu.Unlock()
				hooks = append(hooks, fmt.Sprintf("%s: %v", channel, err))
			}
		})
		sink.answer(fails(Delivery{Outcome: OutcomePermanent, ChannelFault: true, Err: errors.New("535 5.7.8 bad credentials")}))
		n.watch(2*time.Hour, noPrimary())
		if f := n.engine.ChannelFaults(); len(f) != 1 || f[0].Channel != "mail" {
			t.Fatalf("faults %v, want the mail channel", f)
		}
		if sink.attempts() > 5 {
			t.Errorf("%d logins in two hours with a refused password: the account may be locked", sink.attempts())
		}
		sink.answer(nil)
		n.watch(31*time.Minute, noPrimary())
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		mu.Lock()
		defer mu.Unlock()
		wantTold(t, hooks, "mail: 535 5.7.8 bad credentials", "mail: <nil>")
		n.halt()
	})
}

func TestDeliver_TemporaryTooLong_ChannelIsFaulty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		sink.answer(fails(Delivery{Outcome: OutcomeTemporary}))
		n.watch(9*time.Minute, noPrimary())
		if f := n.engine.ChannelFaults(); len(f) != 0 {
			t.Fatalf("faults %v before the limit", f)
		}
		n.watch(5*time.Minute, noPrimary())
		if f := n.engine.ChannelFaults(); len(f) != 1 {
			t.Fatalf("no fault although nothing left for more than ten minutes")
		}
		n.halt()
	})
}

func TestDeliver_OutcomeUnknown_RepeatedUnderTheSameIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		var ids []string
		sink.answer(func(_ context.Context, m Message, to Recipient) Delivery {
			ids = append(ids, m.ID("mail", to))
			if len(ids) < 3 {
				return Delivery{} // the zero value, without even a reason
			}
			return Delivery{Outcome: OutcomeDelivered}
		})
		n.watch(time.Minute, noPrimary())
		if len(ids) != 3 || len(slices.Compact(slices.Clone(ids))) != 1 {
			t.Errorf("attempts %v, want three of one identity", ids)
		}
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		n.halt()
	})
}

func TestDeliver_EndBeforeBeginningWasDelivered_OrderIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		sink.answer(fails(Delivery{Outcome: OutcomeTemporary}))
		n.watch(20*time.Second, noPrimary())
		n.watch(5 * time.Minute)
		sink.answer(nil)
		n.watch(5 * time.Minute)
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org", "resolved NoPrimary ann@example.org")
		n.halt()
	})
}

func TestDeliver_NeverDelivered_DroppedAfterDaysInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		log, lines := observedLog()
		n := newNode(t, "node-a", sink, func(o *Options) { o.Log = log })
		sink.answer(fails(Delivery{Outcome: OutcomeTemporary}))
		c := noPrimary()
		c.Severity = SeverityWarning // tried every half hour
		n.watch(time.Minute, c)
		time.Sleep(71 * time.Hour)
		if m := n.metrics("mail"); m.Spooled != 1 {
			t.Fatalf("spool holds %d messages after 71 h, want 1", m.Spooled)
		}
		time.Sleep(2 * time.Hour)
		if m := n.metrics("mail"); m.Spooled != 0 || m.Dropped != 1 {
			t.Fatalf("metrics %+v after 73 h, want the message dropped", m)
		}
		if lines.FilterMessageSnippet("not delivered in time").Len() != 1 {
			t.Error("the drop was not logged")
		}
		if warned := lines.FilterMessage("message not delivered").Len(); warned > 15 {
			t.Errorf("%d log lines about one message", warned)
		}
		n.halt()
	})
}

func TestDeliver_SpoolFull_PagesOutliveWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		log, lines := observedLog()
		n := newNode(t, "node-a", sink, func(o *Options) { o.SpoolLimit, o.Log = 5, log })
		sink.answer(fails(Delivery{Outcome: OutcomeTemporary}))
		var conditions []Condition
		for i := range 5 {
			conditions = append(conditions,
				Condition{Code: "Loud", Subject: fmt.Sprint(i), Severity: SeverityPage},
				Condition{Code: "Quiet", Subject: fmt.Sprint(i), Severity: SeverityWarning})
		}
		n.watch(10*time.Second, conditions...)
		sink.answer(nil)
		n.watch(time.Minute, conditions...)
		told := sink.told()
		slices.Sort(told)
		if len(told) != 5 || len(slices.Compact(told)) != 1 || sink.all()[0].Message.Code != "Loud" {
			t.Errorf("told %v, want the five pages", told)
		}
		if m := n.metrics("mail"); m.Dropped != 5 || lines.FilterMessageSnippet("spool is full").Len() != 5 {
			t.Errorf("dropped %d, logged %d, want 5 and 5", m.Dropped, lines.FilterMessageSnippet("spool is full").Len())
		}
		n.halt()
	})
}

func TestDeliver_OneChannelHangs_OtherGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung, other := &fakeSink{name: "mail"}, &fakeSink{name: "pager"}
		hung.answer(func(ctx context.Context, _ Message, _ Recipient) Delivery {
			<-ctx.Done()
			return Delivery{Outcome: OutcomeTemporary, Err: ctx.Err()}
		})
		n := newNode(t, "node-a", hung, func(o *Options) {
			o.Routes = append(o.Routes, Route{Sink: other, To: []Recipient{{Address: "oncall"}}})
		})
		c := noPrimary()
		c.Hold = 0
		n.observe(PeerView{}, c)
		wantTold(t, other.told(), "firing NoPrimary oncall")
		n.halt()
	})
}

func TestDeliver_LocalRoute_EveryNodeWritesItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logA := &fakeSink{name: "log"}
		p := newPair(t, logA, func(o *Options) { o.Routes[0].Local = true })
		c := []Condition{noPrimary()}
		p.watch(time.Minute, c, c)
		wantTold(t, logA.told(), "firing NoPrimary ann@example.org", "firing NoPrimary ann@example.org")
		if marks := p.a.engine.Notified(); len(marks) != 0 {
			t.Errorf("marks %v of a local route are gossiped", marks)
		}
		p.a.halt()
		p.b.halt()
	})
}

func TestDeliver_ChannelHeals_WhatWaitedGoesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		sink.answer(fails(Delivery{Outcome: OutcomePermanent, ChannelFault: true}))
		n.watch(time.Minute, noPrimary()) // parked for half an hour
		sink.answer(nil)
		n.observe(PeerView{}, noPrimary(), Condition{Code: CodeTwoPrimaries, Subject: "pair", Severity: SeverityPage})
		wantTold(t, sink.told(), "firing TwoPrimaries ann@example.org", "firing NoPrimary ann@example.org")
		n.halt()
	})
}

func TestDeliver_PageBehindManyWarnings_GoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		sink.answer(func(context.Context, Message, Recipient) Delivery {
			time.Sleep(time.Second) // a slow server
			return Delivery{Outcome: OutcomeDelivered}
		})
		var conditions []Condition
		for i := range 20 {
			conditions = append(conditions, Condition{Code: "Quiet", Subject: fmt.Sprint(i), Severity: SeverityWarning})
		}
		n.watch(2*time.Second, conditions...)
		n.watch(time.Minute, append(conditions, Condition{Code: "Loud", Subject: "pair", Severity: SeverityPage})...)
		for i, told := range sink.told() {
			if told == "firing Loud ann@example.org" && i > 3 {
				t.Errorf("the page was number %d to leave", i+1)
			}
		}
		if len(sink.told()) != 21 {
			t.Errorf("%d messages left, want 21", len(sink.told()))
		}
		n.halt()
	})
}

func TestObserve_NothingChanges_NothingIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, &fakeSink{name: "mail"}, nil)
		c := []Condition{noPrimary(), postgresDown()}
		p.watch(time.Minute, c, c)
		before := [2]int64{p.a.writes(), p.b.writes()}
		p.watch(10*time.Minute, c, c)
		if after := [2]int64{p.a.writes(), p.b.writes()}; after != before {
			t.Errorf("%v transactions before, %v after ten quiet minutes", before, after)
		}
		p.a.halt()
		p.b.halt()
	})
}

// writes counts the transactions that the store has taken.
func (n *node) writes() int64 {
	n.t.Helper()
	var id int
	if err := n.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		n.t.Fatal(err)
	}
	return int64(id)
}
