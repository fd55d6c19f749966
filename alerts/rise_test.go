package alerts

import (
	"testing"
	"testing/synctest"
	"time"
)

func lagging(past bool) Condition {
	c := Condition{Code: CodeReplicationLagBytes, Subject: "node-b", Severity: SeverityWarning, Hold: 2 * time.Minute}
	if past {
		c.Rise = &Rise{Severity: SeverityPage, Hold: 5 * time.Minute}
	}
	return c
}

// rising is a node with a mailbox for everything and a pager for pages.
func rising(t *testing.T) (n *node, mail, pager *fakeSink) {
	t.Helper()
	mail, pager = &fakeSink{name: "mail"}, &fakeSink{name: "pager"}
	n = newNode(t, "node-a", mail, func(o *Options) {
		o.Routes = append(o.Routes, Route{Sink: pager, To: []Recipient{{Address: "oncall"}}, Min: SeverityPage})
	})
	return n, mail, pager
}

func TestObserve_PastTheGraverThreshold_WarnsAfterItsHoldAndPagesAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, mail, pager := rising(t)
		n.watch(119*time.Second, lagging(true))
		wantTold(t, mail.told())
		n.watch(2*time.Second, lagging(true))
		wantTold(t, mail.told(), "firing ReplicationLagBytes ann@example.org")
		wantTold(t, pager.told())
		n.watch(178*time.Second, lagging(true))
		wantTold(t, pager.told())
		n.watch(2*time.Second, lagging(true))
		wantTold(t, pager.told(), "firing ReplicationLagBytes oncall")
		n.halt()
	})
}

func TestObserve_GraverThresholdPassedLater_ItsHoldCountsFromThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, pager := rising(t)
		n.watch(10*time.Minute, lagging(false))
		n.watch(4*time.Minute, lagging(true))
		n.watch(time.Second, lagging(false)) // a break begins it anew
		n.watch(299*time.Second, lagging(true))
		wantTold(t, pager.told())
		n.watch(3*time.Second, lagging(true))
		wantTold(t, pager.told(), "firing ReplicationLagBytes oncall")
		n.halt()
	})
}

func TestObserve_GoneForGood_TheGraverThresholdIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, pager := rising(t)
		n.watch(290*time.Second, lagging(true))
		n.watch(20 * time.Second)
		n.watch(30*time.Second, lagging(true))
		wantTold(t, pager.told())
		n.halt()
	})
}
