package fence

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// held is db1 in epoch 4 while db2 promotes itself: lock, intent and order.
func held() Durable {
	return apply(Durable{Node: "db1", SystemID: ours, DataDirectory: data1, Epoch: epoch4, Role: replication.RolePrimary},
		Notice{Lock: &Lock{Operation: "promote-1", Kind: "promote", Owner: "db2"}}, Notice{Intent: &copied}, Notice{Order: &fenceOrder})
}

func apply(d Durable, notices ...Notice) Durable {
	for _, n := range notices {
		next, err := d.Apply(n)
		if err != nil {
			panic(err)
		}
		d = next
	}
	return d
}

func closes(operation string, r Result) Notice {
	return Notice{Closed: &Closed{Operation: operation, Result: r, At: time.Unix(1, 0)}}
}

func epochNotice(e Epoch) Notice { return Notice{Epoch: &EpochNotice{SystemID: ours, Epoch: e}} }

func locks(l Lock) Notice     { return Notice{Lock: &l} }
func intends(i Intent) Notice { return Notice{Intent: &i} }
func orders(o Order) Notice   { return Notice{Order: &o} }

func TestApply_Refusals(t *testing.T) {
	second := Lock{Operation: "fence-2", Kind: "fence", Owner: "db1"}
	ended := apply(held(), closes("promote-1", ResultNotDone))
	done := apply(held(), closes("promote-1", ResultDone))
	for name, c := range map[string]struct {
		state  Durable
		notice Notice
		want   error
	}{
		"nothing":                                      {held(), Notice{}, ErrNotice},
		"two things":                                   {held(), Notice{Lock: &second, Intent: &copied}, ErrNotice},
		"a lock of nobody":                             {Durable{}, locks(Lock{Operation: "x"}), ErrNotice},
		"an intent without a name":                     {Durable{}, intends(Intent{Owner: "db2"}), ErrNotice},
		"half an epoch":                                {Durable{}, intends(Intent{Operation: "x", Owner: "db2", Epoch: Epoch{Number: 9}}), ErrNotice},
		"an order by nobody":                           {Durable{}, orders(Order{Operation: "x", Node: "db1"}), ErrNotice},
		"an unknown result":                            {held(), closes("promote-1", ResultUnknown), ErrNotice},
		"an epoch without a number":                    {Durable{Node: "db1"}, Notice{Epoch: &EpochNotice{SystemID: ours, Adopt: true}}, ErrNotice},
		"an epoch without a system identifier":         {Durable{Node: "db1"}, Notice{Epoch: &EpochNotice{Epoch: epoch4, Adopt: true}}, ErrNotice},
		"a second lock":                                {held(), locks(second), ErrLocked},
		"a second intent":                              {held(), intends(Intent{Operation: "fence-2", Kind: "fence", Owner: "db1"}), ErrLocked},
		"an intent past another's lock":                {apply(Durable{Node: "db1"}, locks(second)), intends(copied), ErrLocked},
		"a lock past another's intent":                 {apply(Durable{Node: "db1"}, intends(copied)), locks(second), ErrLocked},
		"a release that names nothing":                 {held(), locks(Lock{Operation: "release-3", Kind: "release", Owner: "db1"}), ErrLocked},
		"a release past this node's own operation":     {apply(Durable{Node: "db1"}, locks(second)), locks(Lock{Operation: "release-3", Kind: "release", Owner: "db2", Over: []string{"fence-2"}}), ErrLocked},
		"the lock of an ended operation":               {ended, locks(Lock{Operation: "promote-1", Owner: "db2"}), ErrLocked},
		"the late intent of an aborted operation":      {ended, intends(copied), ErrLocked},
		"the late intent of a done operation":          {done, intends(copied), ErrLocked},
		"the same intent with another epoch":           {held(), intends(Intent{Operation: "promote-1", Owner: "db2", Epoch: Epoch{Number: 6, ID: "six", Primary: "db2"}}), ErrLocked},
		"an intent of a lower epoch":                   {Durable{Epoch: epoch5}, intends(Intent{Operation: "x", Owner: "db2", Epoch: epoch4}), ErrLowerEpoch},
		"an intent of my number with another id":       {Durable{Epoch: epoch5}, intends(Intent{Operation: "x", Owner: "db2", Epoch: Epoch{Number: 5, ID: "other", Primary: "db2"}}), ErrLowerEpoch},
		"an order of a lower epoch":                    {Durable{Epoch: epoch5}, orders(Order{Operation: "x", Node: "db1", Issuer: "db2", Epoch: epoch4}), ErrLowerEpoch},
		"an order of my number with another id":        {Durable{Epoch: epoch5}, orders(Order{Operation: "x", Node: "db1", Issuer: "db2", Epoch: Epoch{Number: 5, ID: "other", Primary: "db2"}}), ErrEpochConflict},
		"an order about another cluster":               {Durable{SystemID: ours}, orders(Order{Operation: "x", Node: "db1", Issuer: "db2", SystemID: alien}), ErrForeign},
		"an order that somebody else issued":           {held(), orders(Order{Operation: "promote-1", Node: "db1", Issuer: "w1", Epoch: epoch5, Revoked: true}), ErrLocked},
		"the late order of an aborted operation":       {apply(Durable{Node: "db1"}, closes("promote-1", ResultNotDone)), orders(fenceOrder), ErrLocked},
		"the late order of a plain fence that is done": {apply(Durable{Node: "db1"}, closes("fence-1", ResultDone)), orders(plainOrder), ErrLocked},
		"a lower epoch":                                {Durable{SystemID: ours, Epoch: epoch5}, epochNotice(epoch4), ErrLowerEpoch},
		"my number with another id":                    {Durable{SystemID: ours, Epoch: epoch5}, epochNotice(Epoch{Number: 5, ID: "other", Primary: "db2"}), ErrEpochConflict},
		"my epoch with another primary":                {Durable{SystemID: ours, Epoch: epoch5}, epochNotice(Epoch{Number: 5, ID: "five", Primary: "db1"}), ErrEpochConflict},
		"an epoch of another cluster":                  {Durable{SystemID: alien, Epoch: epoch4}, epochNotice(epoch5), ErrForeign},
		"an epoch on a node that was never adopted":    {Durable{}, epochNotice(epoch5), ErrForeign},
		"a release that is not open":                   {held(), Notice{Release: &Release{Operation: "release-3"}}, ErrNotice},
		"a release that is no release":                 {held(), Notice{Release: &Release{Operation: "promote-1"}}, ErrNotice},
		"a release of another node":                    {apply(Durable{Node: "db1"}, intends(Intent{Operation: "release-3", Kind: "release", Owner: "db2", Target: "db2"})), Notice{Release: &Release{Operation: "release-3"}}, ErrNotice},
	} {
		t.Run(name, func(t *testing.T) {
			after, err := c.state.Apply(c.notice)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if diff := cmp.Diff(c.state, after); diff != "" {
				t.Errorf("a refused notice changed the state:\n%s", diff)
			}
		})
	}
}

// Rule 6: an abort revokes durably, and lifts only its own marker (rule 9).
func TestApply_Abort_RevokesOrdersAndLiftsOwnMarker(t *testing.T) {
	d := held().Obey(fenceOrder, Marker{Operation: "promote-1", Epoch: epoch5})
	d = apply(d, closes("promote-1", ResultNotDone))
	if d.Marker != nil || d.Lock != nil || len(d.Intents) > 0 {
		t.Errorf("left over: %+v", d)
	}
	if _, stands := d.StandingOrder("db1"); stands {
		t.Error("the order stands after the abort")
	}
	other := held()
	other.Marker = &Marker{Operation: "fence-7"}
	if d := apply(other, closes("promote-1", ResultNotDone)); d.Marker == nil {
		t.Error("the abort of one operation lifted another's marker")
	}
}

// A fence that is done is not undone by a late or foreign word of an abort.
func TestApply_DoneThenLateAbort_MarkerAndOrderStay(t *testing.T) {
	d := held().Obey(fenceOrder, Marker{Operation: "promote-1", Epoch: epoch5})
	d = apply(d, closes("promote-1", ResultDone))
	after := apply(d, closes("promote-1", ResultNotDone))
	if diff := cmp.Diff(d, after); diff != "" {
		t.Errorf("the late abort changed:\n%s", diff)
	}
}

// Rule 6: the order of a promotion stands with its epoch; that of a plain fence
// ends with it, save on the node that has not obeyed yet.
func TestApply_Done_WhatStillStands(t *testing.T) {
	promoted := apply(held(), closes("promote-1", ResultDone))
	if _, stands := promoted.StandingOrder("db1"); !stands {
		t.Error("the order of a promotion ended with it")
	}
	if _, stands := apply(promoted, epochNotice(epoch5), epochNotice(Epoch{Number: 6, ID: "six", Primary: "db1"})).StandingOrder("db1"); stands {
		t.Error("an order of epoch 5 commands in epoch 6")
	}
	fence := []Notice{intends(Intent{Operation: "fence-1", Kind: "fence", Owner: "db2"}), orders(plainOrder), closes("fence-1", ResultDone)}
	issuer := apply(Durable{Node: "db2", Epoch: epoch4}, fence...)
	if _, stands := issuer.StandingOrder("db1"); stands {
		t.Error("the issuer goes on repeating a fence that is done")
	}
	target := apply(Durable{Node: "db1", Epoch: epoch4}, fence...)
	if _, stands := target.StandingOrder("db1"); !stands {
		t.Error("the node that was switched off forgot that it is fenced before it obeyed")
	}
	if _, stands := target.Obey(plainOrder, Marker{Operation: "fence-1"}).StandingOrder("db1"); stands {
		t.Error("an obeyed order stands")
	}
}

func TestApply_Epoch_TellsTheRoles(t *testing.T) {
	for node, want := range map[string]replication.Role{"db1": replication.RoleStandby, "db2": replication.RolePrimary, "w1": replication.RoleStandby} {
		d := apply(Durable{Node: node}, Notice{Epoch: &EpochNotice{SystemID: ours, Epoch: epoch5, Adopt: true}})
		if d.Role != want || d.SystemID != ours || d.Epoch != epoch5 {
			t.Errorf("%s became %+v", node, d)
		}
	}
	// What holds a node outlives the epoch that it hears of.
	d := held()
	d.Marker = &Marker{Operation: "promote-1"}
	if d = apply(d, epochNotice(epoch5)); d.Marker == nil || len(d.Intents) != 1 || d.Lock == nil {
		t.Errorf("an epoch lifted what holds this node: %+v", d)
	}
}

// Rule 3 and 4: release is the way out where the owner of an operation is gone.
func TestApply_Release_EndsWhatASilentNodeLeft(t *testing.T) {
	d := held().Obey(fenceOrder, Marker{Operation: "promote-1", Epoch: epoch5})
	r := Intent{Operation: "release-3", Kind: "release", Owner: "db1", Target: "db1", Epoch: Epoch{Number: 104, ID: "rel", Primary: "db1"}, Over: []string{"promote-1"}}
	d = apply(d, locks(Lock{Operation: r.Operation, Kind: r.Kind, Owner: "db1", Over: r.Over}), intends(r), Notice{Release: &Release{Operation: r.Operation}})
	if _, stands := d.StandingOrder("db1"); stands || d.Marker != nil {
		t.Errorf("still held: %+v", d)
	}
	if len(d.Intents) != 1 || d.Intents[0].Operation != "release-3" || d.Lock.Operation != "release-3" {
		t.Errorf("the release is not what is left: %+v", d)
	}
	if _, err := d.Apply(intends(copied)); !errors.Is(err, ErrLocked) {
		t.Errorf("the dead operation's intent came back: %v", err)
	}
	if _, err := d.Apply(orders(fenceOrder)); err == nil {
		if _, stands := apply(d, orders(fenceOrder)).StandingOrder("db1"); stands {
			t.Error("the dead operation's order came back")
		}
	}
}

func TestApply_Release_EndsTheCopiesOfAWitnessWhenDone(t *testing.T) {
	w := held()
	w.Node = "w1"
	r := Intent{Operation: "release-3", Kind: "release", Owner: "db1", Target: "db1", Over: []string{"promote-1"}}
	w = apply(w, locks(Lock{Operation: r.Operation, Kind: r.Kind, Owner: "db1", Over: r.Over}), intends(r))
	if len(w.Intents) != 2 {
		t.Errorf("the copy was dropped before the release was done: %+v", w.Intents)
	}
	if aborted := apply(w, closes("release-3", ResultNotDone)); len(aborted.Intents) != 1 || aborted.Intents[0].Operation != "promote-1" {
		t.Errorf("an aborted release left %+v", aborted.Intents)
	}
	w = apply(w, closes("release-3", ResultDone))
	if _, stands := w.StandingOrder("db1"); stands || len(w.Intents) > 0 || w.Lock != nil {
		t.Errorf("still held: %+v", w)
	}
}

// A release that is told to the owner of what it passes over ends nothing there:
// that node's own journal decides.
func TestApply_Release_DoneNeverEndsTheOwnersOperation(t *testing.T) {
	d := apply(Durable{Node: "db1"}, intends(Intent{Operation: "release-3", Kind: "release", Owner: "db2", Target: "db2", Over: []string{"fence-2"}}))
	d.Intents = append(d.Intents, Intent{Operation: "fence-2", Kind: "fence", Owner: "db1"})
	if d = apply(d, closes("release-3", ResultDone)); len(d.Intents) != 1 || d.Intents[0].Operation != "fence-2" {
		t.Errorf("left: %+v", d.Intents)
	}
}

// The files do not grow for ever, and what stands is never forgotten.
func TestApply_ManyOperations_StateStaysSmall(t *testing.T) {
	d := Durable{Node: "db1", SystemID: ours, Epoch: epoch4}
	for n := range 500 {
		i := Intent{Operation: fmt.Sprintf("fence-%d", n), Kind: "fence", Owner: "db2"}
		d = apply(d, locks(Lock{Operation: i.Operation, Owner: "db2"}), intends(i), orders(Order{Operation: i.Operation, Node: "db2", Issuer: "db2"}),
			closes(i.Operation, []Result{ResultDone, ResultNotDone}[n%2]))
	}
	if len(d.Orders) > 0 || len(d.Closed) != keepClosed || len(d.Intents) > 0 || d.Lock != nil {
		t.Errorf("%d orders, %d outcomes, %d intents", len(d.Orders), len(d.Closed), len(d.Intents))
	}
	for n := range 200 { // revoked without a word of how the operation ended
		d = apply(d, orders(Order{Operation: fmt.Sprintf("lost-%d", n), Node: "db2", Issuer: "db2", Revoked: true}))
	}
	if len(d.Orders) != keepVoid || d.Orders[keepVoid-1].Operation != "lost-199" {
		t.Errorf("%d void orders are kept", len(d.Orders))
	}
	for n := range 200 {
		d = apply(d, orders(Order{Operation: fmt.Sprintf("stands-%d", n), Node: "db1", Issuer: "db2"}))
	}
	if len(d.Orders) != keepVoid+200 {
		t.Errorf("%d orders: one that stands was forgotten", len(d.Orders))
	}
	over := []string{}
	for n := range keepIntents {
		name := fmt.Sprintf("release-%d", n)
		d = apply(d, intends(Intent{Operation: name, Kind: "release", Owner: "db2", Over: over}))
		over = append(over, name)
	}
	if _, err := d.Apply(intends(Intent{Operation: "one-more", Kind: "release", Owner: "db2", Over: over})); !errors.Is(err, ErrLocked) {
		t.Errorf("intents are not bounded: %v", err)
	}
}

func TestApply_Unlock_OnlyOfTheLocksOwnOperation(t *testing.T) {
	if d := apply(held(), Notice{Unlock: &Lock{Operation: "fence-2"}}); d.Lock == nil {
		t.Error("another operation's unlock took the lock")
	}
	if d := apply(held(), Notice{Unlock: &Lock{Operation: "promote-1"}}); d.Lock != nil || len(d.Intents) != 1 {
		t.Errorf("after the unlock: %+v", d)
	}
}
