package alerts

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestObserve_OneNanosecondBeforeHold_Nothing_AtHold_ExactlyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		c := noPrimary()
		wantTold(t, states(n.observe(PeerView{}, c)), "NoPrimary none>pending")
		time.Sleep(c.Hold - 1)
		wantTold(t, states(n.observe(PeerView{}, c)))
		wantTold(t, sink.told())
		time.Sleep(1)
		wantTold(t, states(n.observe(PeerView{}, c)), "NoPrimary pending>firing")
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		n.watch(time.Hour, c)
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		n.halt()
	})
}

func TestObserve_NoHold_FiresInTheSameRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		c := Condition{Code: CodeTwoPrimaries, Subject: "pair", Severity: SeverityPage}
		wantTold(t, states(n.observe(PeerView{}, c)), "TwoPrimaries none>firing")
		wantTold(t, sink.told(), "firing TwoPrimaries ann@example.org")
		n.halt()
	})
}

func TestObserve_GoneWithinHold_NobodyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.watch(14*time.Second, noPrimary())
		wantTold(t, states(n.observe(PeerView{})), "NoPrimary pending>none")
		n.watch(14*time.Second, noPrimary())
		n.watch(time.Minute)
		wantTold(t, sink.told())
		if open := n.engine.Incidents(); len(open) != 0 {
			t.Fatalf("incidents left: %+v", open)
		}
		n.halt()
	})
}

func TestObserve_ComesAndGoesWithinHoldDown_OneIncident(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.watch(16*time.Second, noPrimary())
		for range 5 {
			n.watch(20 * time.Second)
			n.watch(20*time.Second, noPrimary())
		}
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")

		n.observe(PeerView{}) // gone for good; the hold-down is twice the hold
		time.Sleep(30*time.Second - 1)
		wantTold(t, states(n.observe(PeerView{})))
		time.Sleep(1)
		wantTold(t, states(n.observe(PeerView{})), "NoPrimary resolving>resolved")
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org", "resolved NoPrimary ann@example.org")
		n.halt()
	})
}

func TestObserve_ShortHold_HoldDownHasItsFloor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.observe(PeerView{}, Condition{Code: CodeTwoPrimaries, Subject: "pair", Severity: SeverityPage})
		n.observe(PeerView{})
		time.Sleep(10*time.Second - 1)
		n.observe(PeerView{})
		wantTold(t, sink.told(), "firing TwoPrimaries ann@example.org")
		time.Sleep(1)
		n.observe(PeerView{})
		wantTold(t, sink.told(), "firing TwoPrimaries ann@example.org", "resolved TwoPrimaries ann@example.org")
		n.halt()
	})
}

func TestObserve_SecondOpening_NewThreadSameKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		for range 2 {
			n.watch(16*time.Second, noPrimary())
			n.watch(40 * time.Second)
		}
		got := sink.all()
		if len(got) != 4 {
			t.Fatalf("got %d messages, want 4: %v", len(got), sink.told())
		}
		first, second := got[0].Message, got[2].Message
		if first.Key != second.Key || first.ThreadID() == second.ThreadID() {
			t.Errorf("keys %s and %s, threads %s and %s: want one key, two threads", first.Key, second.Key, first.ThreadID(), second.ThreadID())
		}
		if got[0].Message.ThreadID() != got[1].Message.ThreadID() || got[0].Message.Title != got[1].Message.Title {
			t.Errorf("firing and resolved differ in thread or title: %q, %q", got[0].Message.Title, got[1].Message.Title)
		}
		if !strings.Contains(second.Lead, "Opening number 2") {
			t.Errorf("lead does not say it is the second opening: %q", second.Lead)
		}
		n.halt()
	})
}

func TestObserve_WarningBecomesPage_PageRouteIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, pager := &fakeSink{name: "mail"}, &fakeSink{name: "pager"}
		n := newNode(t, "node-a", sink, func(o *Options) {
			o.Routes = append(o.Routes, Route{Sink: pager, To: []Recipient{{Address: "oncall"}}, Min: SeverityPage})
		})
		c := Condition{Code: CodeReplicationDown, Subject: "pair", Severity: SeverityWarning}
		n.watch(5*time.Second, c)
		wantTold(t, pager.told())
		c.Severity = SeverityPage
		n.watch(5*time.Second, c)
		wantTold(t, pager.told(), "firing ReplicationDown oncall")
		wantTold(t, sink.told(), "firing ReplicationDown ann@example.org")
		n.halt()
	})
}

func TestObserve_Info_TrackedButTellsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.watch(time.Minute, Condition{Code: CodePeerUnreachable, Subject: "node-b", Hold: time.Second})
		wantTold(t, sink.told())
		if open := n.engine.Incidents(); len(open) != 1 || open[0].State != StateFiring {
			t.Fatalf("incidents: %+v, want one that fires", open)
		}
		n.halt()
	})
}

func TestObserve_Message_SaysWhatAnOperatorNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, func(o *Options) {
			o.Details = func(Condition) []string { return []string{"NODE    ROLE", "node-a  primary"} }
		})
		n.watch(16*time.Second, noPrimary(), postgresDown())
		got := sink.all()
		if len(got) != 1 {
			t.Fatalf("told %v, want one message", sink.told())
		}
		m := got[0].Message
		if want := "FIRING since 2000-01-01 00:00:00 UTC (00:00:00 UTC), for 15s."; !strings.HasPrefix(m.Body, want) {
			t.Errorf("body begins with %q, want %q", m.Lead, want)
		}
		for _, want := range []string{
			"[PAGE] NoPrimary: no writable server in prod (" + m.Incident + ")", "node-a is down, node-b is a standby",
			"does not promote by itself", "refused, 0.2s ago", "also:\n  PostgresDown (node-a): connection refused",
			"node-a  primary", "watchdog status", "watchdog promote node-b",
			"Sent by node-a; services alive: node-a.", "told after 15s",
		} {
			if !strings.Contains(m.Title+"\n"+m.Text(), want) {
				t.Errorf("message lacks %q:\n%s", want, m.Text())
			}
		}
		n.halt()
	})
}
