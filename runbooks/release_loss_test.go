package runbooks

import (
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// A release ends in pg_promote. On an ordinary standby it would be a promotion
// without anything that promote weighs: the loss, a paused replay, the timeline.
func TestPlanReleaseRule8_OrdinaryStandby_IsPromotesBusiness(t *testing.T) {
	f := pairFacts(func(f *Facts) {
		f.Nodes[0].Answers, f.Nodes[0].Durable = false, nil
		f.Nodes[1].Status.ReplayPaused, f.Nodes[1].Status.Replay = true, 10
	})
	r := Request{Kind: KindRelease, Node: "db2", StatedOff: "db1", AcceptLossUnknown: true}
	wantRefusal(t, PlanRelease(f, r, "X"), ExitRefused, "8", "held")
	// Fenced, it is held, and what it lacks has to be accepted all the same.
	f.Own.Marker = &fence.Marker{Operation: "fence-1"}
	r.AcceptLossUnknown = false
	wantRefusal(t, PlanRelease(f, r, "X"), ExitRefused, "8", "loss")
}

// db1 was replaced by db2, which acknowledged rows for a day and then died: going
// back to db1 drops that day, and nobody but the operator may say so.
func TestPlanReleaseRule8_LaterPrimaryIsDropped_OnlyWhenAccepted(t *testing.T) {
	second := fence.Epoch{Number: 5, ID: "five", Primary: "db2"}
	superseded := func(change func(*Facts)) Facts {
		return pairFacts(func(f *Facts) {
			f.Self, f.Own = "db1", *f.Nodes[0].Durable
			f.Nodes[0].Seen[0].Verdict, f.Nodes[0].Seen[0].Role = replication.VerdictHealthy, replication.RoleStandby
			f.Nodes[1].Answers, f.Nodes[1].Durable, f.Nodes[1].Seen, f.Nodes[1].Status = false, nil, nil, nil
			change(f)
		})
	}
	for name, c := range map[string]struct {
		change func(*Facts)
		asks   bool
	}{
		"it heard of the epoch": {func(f *Facts) {
			f.Own.Epoch, f.Own.Role, f.Own.Marker = second, replication.RoleStandby, &fence.Marker{Operation: "promote-1", Epoch: second}
		}, true},
		"it was sealed, and heard no more": {func(f *Facts) { f.Own.Marker = &fence.Marker{Operation: "promote-1", Epoch: second} }, true},
		"it holds the order": {func(f *Facts) {
			f.Own.Orders = []fence.Order{{Operation: "promote-1", Node: "db1", Issuer: "db2", Epoch: second}}
		}, true},
		"the order was revoked": {func(f *Facts) {
			f.Own.Orders = []fence.Order{{Operation: "promote-1", Node: "db1", Issuer: "db2", Epoch: second, Revoked: true}}
		}, false},
		"it holds the intent": {func(f *Facts) {
			f.Own.Intents = []fence.Intent{{Operation: "promote-1", Owner: "db2", Target: "db2", Epoch: second}}
		}, true},
		"nothing is known of one": {func(*Facts) {}, false},
		"the other answers: it never was": {func(f *Facts) {
			f.Own.Marker = &fence.Marker{Operation: "promote-1", Epoch: second}
			f.Nodes[1].Answers, f.Nodes[1].RunningKnown = true, true
			f.Nodes[1].Durable = &fence.Durable{Node: "db2", SystemID: planSystem, Epoch: f.Own.Epoch, Role: replication.RoleStandby}
		}, false},
		"the other answers: sealed, and the primary of a later epoch": {func(f *Facts) {
			f.Nodes[1].Answers, f.Nodes[1].RunningKnown = true, true
			f.Nodes[1].Durable = &fence.Durable{Node: "db2", SystemID: planSystem, Epoch: second, Role: replication.RolePrimary, Marker: &fence.Marker{Operation: "fence-9"}}
		}, true},
	} {
		r := Request{Kind: KindRelease, Node: "db1", StatedOff: "db2"}
		p := PlanRelease(superseded(c.change), r, "X")
		if !c.asks {
			if p.Refusal != nil {
				t.Errorf("%s: refused %+v", name, p.Refusal)
			}
			continue
		}
		if p.Refusal == nil || p.Refusal.Exit != ExitRefused || p.Refusal.Rule != "8" || !strings.Contains(p.Next, "--accept-data-loss unknown") || p.Loss.AtMostBytes != nil {
			t.Errorf("%s: refusal %+v, loss %+v, next %q", name, p.Refusal, p.Loss, p.Next)
		}
		r.AcceptLossUnknown = true
		if p := PlanRelease(superseded(c.change), r, "X"); p.Refusal != nil {
			t.Errorf("%s, accepted: refused %+v", name, p.Refusal)
		}
	}
}
