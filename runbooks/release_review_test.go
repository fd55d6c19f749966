package runbooks

import (
	"slices"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// cutShort is db1, sealed by a promotion of db2, which then went silent.
func cutShort() Facts {
	d := fence.Durable{Node: "db1", SystemID: 7, DataDirectory: "/d", Role: replication.RolePrimary,
		Epoch:   fence.Epoch{Number: 1, ID: "one", Primary: "db1"},
		Marker:  &fence.Marker{Operation: "promote-X", SystemID: 7, DataDirectory: "/d"},
		Lock:    &fence.Lock{Operation: "promote-X", Kind: "promote", Owner: "db2"},
		Intents: []fence.Intent{{Operation: "promote-X", Kind: "promote", Owner: "db2", Target: "db2", Epoch: fence.Epoch{Number: 2, ID: "two", Primary: "db2"}}}}
	return Facts{Self: "db1", At: time.Now(), Own: d, ValidFor: time.Minute, RateBytes: -1,
		Nodes: []NodeFacts{{Node: "db1", Answers: true, Durable: &d, RunningKnown: true, Advanced: -1}, {Node: "db2", Silence: "no route", Advanced: -1}}}
}

// The target of a promotion dies after the old primary was sealed: release is the
// only way out, and the dead node's lock and intent must not stand in it.
func TestRelease_OwnerOfTheOpenPromotionIsGone_PassesOver(t *testing.T) {
	f := cutShort()
	// db2 may have become primary before it fell silent (rule 8): that is accepted.
	p := PlanRelease(f, Request{Kind: KindRelease, Node: "db1", StatedOff: "db2", AcceptLossUnknown: true}, "R1")
	if p.Refusal != nil || !slices.Equal(p.Over, []string{"promote-X"}) {
		t.Fatalf("refused %+v, passes over %v", p.Refusal, p.Over)
	}
	d := f.Own
	for _, n := range []fence.Notice{
		{Lock: &fence.Lock{Operation: "release-R1", Kind: "release", Owner: "db1", Over: p.Over}},
		{Intent: &fence.Intent{Operation: "release-R1", Kind: "release", Owner: "db1", Target: "db1", Over: p.Over}},
		{Release: &fence.Release{Operation: "release-R1"}},
	} {
		var err error
		if d, err = d.Apply(n); err != nil {
			t.Fatal(err)
		}
	}
	if d.Marker != nil || len(d.Intents) != 1 {
		t.Errorf("still held: %+v", d)
	}
}

func TestRelease_OwnerAnswers_MustEndItsOperationFirst(t *testing.T) {
	f := cutShort()
	theirs := f.Own
	theirs.Node, theirs.Marker = "db2", nil
	f.Nodes[1] = NodeFacts{Node: "db2", Answers: true, Durable: &theirs, RunningKnown: true, Advanced: -1}
	if p := PlanRelease(f, Request{Kind: KindRelease, Node: "db1"}, "R1"); p.Refusal == nil || p.Refusal.Exit != ExitLocked {
		t.Errorf("not refused: %+v", p.Refusal)
	}
	// It answers and has lost its state: nobody else would ever end the copies.
	f.Nodes[1].Durable = &fence.Durable{Node: "db2"}
	if p := PlanRelease(f, Request{Kind: KindRelease, Node: "db1", StatedOff: "db2", AcceptLossUnknown: true}, "R1"); p.Refusal != nil || len(p.Over) != 1 {
		t.Errorf("refused %+v, passes over %v", p.Refusal, p.Over)
	}
}
