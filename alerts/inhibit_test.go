package alerts

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestInhibit_RootFiring_OtherListedAndNotMailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		app := Condition{Code: CodeAppHealthFailing, Subject: "node-a", Severity: SeverityPage, Hold: time.Second, InhibitedBy: []string{CodeNoPrimary}}
		n.watch(time.Minute, noPrimary(), postgresDown(), app)
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		for _, in := range n.engine.Incidents() {
			if in.Condition.Code != CodeNoPrimary && (in.State != StateInhibited || in.Root != CodeNoPrimary) {
				t.Errorf("%s is %s under %q, want inhibited under NoPrimary", in.Condition.Code, in.State, in.Root)
			}
		}
		n.halt()
	})
}

func TestInhibit_RootResolves_OtherGetsItsOwnHoldAndMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.watch(20*time.Second, noPrimary(), postgresDown())
		n.observe(PeerView{}, postgresDown()) // the root is gone: its hold-down begins
		gone := time.Now()
		n.watch(30*time.Second, postgresDown())
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		n.watch(20*time.Second, postgresDown())
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org",
			"resolved NoPrimary ann@example.org", "firing PostgresDown ann@example.org")
		last := sink.all()[2]
		if wait := last.At.Sub(gone); wait < 45*time.Second || wait > 47*time.Second {
			t.Errorf("the other was told %v after the root went, want hold-down 30s and then its hold 15s", wait)
		}
		if !strings.Contains(last.Message.Lead, "2000-01-01 00:00:00") {
			t.Errorf("the other's mail forgot when it began: %q", last.Message.Lead)
		}
		if resolved := sink.all()[1].Message.Body; !strings.Contains(resolved, "Still there") || !strings.Contains(resolved, "PostgresDown (node-a)") {
			t.Errorf("the resolved mail does not say what remains:\n%s", resolved)
		}
		n.halt()
	})
}

func TestInhibit_EffectSeenJustBeforeCause_OneMail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.watch(2*time.Second, postgresDown())
		n.watch(time.Minute, noPrimary(), postgresDown())
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		n.halt()
	})
}

func TestInhibit_CauseMuchYounger_EffectIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.watch(9*time.Second, postgresDown())
		n.watch(7*time.Second, noPrimary(), postgresDown())
		wantTold(t, sink.told(), "firing PostgresDown ann@example.org")
		n.halt()
	})
}

func TestInhibit_CauseGoneWithinItsHold_EffectKeepsItsOwnAfterALinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.watch(14*time.Second, noPrimary(), postgresDown())
		n.watch(12*time.Second, postgresDown())
		wantTold(t, sink.told())
		n.watch(time.Second, postgresDown())
		wantTold(t, sink.told(), "firing PostgresDown ann@example.org")
		if lead := sink.all()[0].Message.Lead; !strings.Contains(lead, "2000-01-01 00:00:00") {
			t.Errorf("the mail forgot when it began: %q", lead)
		}
		n.halt()
	})
}

// A server that restarts within the hold of NoPrimary takes the application with
// it: the next probe finds both well.
func TestInhibit_CauseGoneWithinItsHold_EffectFollowsIt_NobodyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		n.watch(14*time.Second, noPrimary(), appFailing())
		n.watch(7*time.Second, appFailing()) // a period and a deadline of its probe
		n.watch(time.Minute)
		wantTold(t, sink.told())
		n.halt()
	})
}

func TestInhibit_CauseComesAndGoesWithinItsHold_EffectIsToldAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		for range 3 {
			n.watch(8*time.Second, noPrimary(), appFailing())
			n.watch(2*time.Second, appFailing())
		}
		wantTold(t, sink.told(), "firing AppHealthFailing ann@example.org")
		n.halt()
	})
}

func TestInhibit_QuieterCause_DoesNotSwallowAPage(t *testing.T) {
	for _, severity := range []Severity{SeverityInfo, SeverityWarning} {
		synctest.Test(t, func(t *testing.T) {
			sink := &fakeSink{name: "mail"}
			n := newNode(t, "node-a", sink, nil)
			cause := noPrimary()
			cause.Severity = severity
			n.watch(20*time.Second, cause, postgresDown())
			if told := strings.Join(sink.told(), ","); !strings.Contains(told, "firing PostgresDown") {
				t.Errorf("cause of severity %s: told %q, want the page too", severity, told)
			}
			n.halt()
		})
	}
}

func TestInhibit_Circle_SomebodySpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		ring := []string{"A", "B", "C"}
		var conditions []Condition
		for i, code := range ring {
			conditions = append(conditions, Condition{
				Code: code, Subject: "pair", Severity: SeverityPage, Hold: time.Second,
				InhibitedBy: []string{ring[(i+1)%3]},
			})
		}
		n.watch(time.Minute, conditions...)
		got := sink.all()
		if len(got) != 1 || !strings.Contains(got[0].Message.Body, "also:") {
			t.Fatalf("told %v, want one message that lists the others", sink.told())
		}
		n.halt()
	})
}

func TestInhibit_Chain_ListedInTheOneThatSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		n := newNode(t, "node-a", sink, nil)
		peer := Condition{Code: CodePeerUnreachable, Subject: "node-b", Severity: SeverityPage, Hold: 10 * time.Second}
		middle := Condition{Code: CodeReplicationDown, Subject: "pair", Severity: SeverityPage, Hold: 10 * time.Second, InhibitedBy: []string{CodePeerUnreachable}}
		end := Condition{Code: CodeAppHealthFailing, Subject: "node-b", Severity: SeverityPage, Hold: 10 * time.Second, InhibitedBy: []string{CodeReplicationDown}}
		n.watch(30*time.Second, end, middle, peer)
		wantTold(t, sink.told(), "firing PeerUnreachable ann@example.org")
		if body := sink.all()[0].Message.Body; !strings.Contains(body, "AppHealthFailing (node-b)") {
			t.Errorf("the end of the chain is not listed:\n%s", body)
		}
		n.halt()
	})
}
