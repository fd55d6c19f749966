package fence

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/gestionale-fullstack/watchdog/replication"
)

var genSystem1 = rapid.SampledFrom([]replication.SystemID{ours, ours, ours, ours, 0, alien})

// genNotice draws notices of few operations, so that they meet.
var genNotice = rapid.Custom(func(t *rapid.T) Notice {
	operation, owner := genOperation.Draw(t, "operation"), rapid.SampledFrom([]string{"db1", "db2", "db2"}).Draw(t, "owner")
	kind := rapid.SampledFrom([]string{"promote", "fence", "release", "rejoin"}).Draw(t, "kind")
	epoch := genEpoch.Draw(t, "epoch")
	var over []string
	if kind == "release" {
		over = rapid.SliceOfN(genOperation, 0, 2).Draw(t, "over")
	}
	switch rapid.IntRange(0, 7).Draw(t, "notice") {
	case 0:
		return Notice{Lock: &Lock{Operation: operation, Kind: kind, Owner: owner, Over: over}}
	case 1:
		return Notice{Unlock: &Lock{Operation: operation}}
	case 2:
		return Notice{Intent: &Intent{Operation: operation, Kind: kind, Owner: owner, Target: owner, Epoch: epoch, Over: over}}
	case 3:
		return Notice{Closed: &Closed{Operation: operation, Result: rapid.SampledFrom([]Result{ResultUnknown, ResultNotDone, ResultDone}).Draw(t, "result")}}
	case 4, 5:
		return Notice{Order: &Order{Operation: operation, Node: genNode.Draw(t, "ordered"), Issuer: owner, Epoch: epoch, SystemID: genSystem1.Draw(t, "system"),
			Revoked: rarely.Draw(t, "revoked"), Obeyed: rarely.Draw(t, "obeyed")}}
	case 6:
		return Notice{Release: &Release{Operation: operation}}
	}
	return Notice{Epoch: &EpochNotice{SystemID: genSystem1.Draw(t, "system"), Epoch: epoch, Adopt: rarely.Draw(t, "adopt")}}
})

// known is what must never be forgotten or taken back, gathered while notices
// are applied one after the other.
type known struct {
	d       Durable
	over    map[string]bool   // orders that were over: operation and node
	results map[string]Result // first outcome of each operation
}

func (k *known) apply(t *rapid.T, n Notice) {
	was := k.d
	kept := was.clone()
	now, err := was.Apply(n)
	if diff := cmp.Diff(kept.clone(), was.clone()); diff != "" {
		t.Fatalf("Apply changed its receiver:\n%s", diff)
	}
	if err != nil {
		known := false
		for _, want := range []error{ErrLocked, ErrLowerEpoch, ErrEpochConflict, ErrForeign, ErrNotice} {
			known = known || errors.Is(err, want)
		}
		if !known || !reflect.DeepEqual(was, now) {
			t.Fatalf("refused by %v, state %+v", err, now)
		}
		return
	}
	k.d = now
	if again, err := now.Apply(n); err == nil {
		if diff := cmp.Diff(now, again); diff != "" {
			t.Fatalf("twice is not once for %+v:\n%s", n, diff)
		}
	} else if n.Lock == nil && n.Intent == nil && n.Order == nil {
		t.Fatalf("applied once, refused at the second time: %v", err)
	}
	k.neverBack(t, was, n)
	k.oneOperation(t, was, n)
	k.whatLifts(t, was, n)
}

// neverBack holds: epochs only grow, a revocation is never undone, the first
// outcome of an operation is its outcome.
func (k *known) neverBack(t *rapid.T, was Durable, n Notice) {
	now := k.d
	if now.Epoch.Number < was.Epoch.Number || (now.Epoch.Number == was.Epoch.Number && now.Epoch != was.Epoch) {
		t.Fatalf("epoch went from %+v to %+v", was.Epoch, now.Epoch)
	}
	if was.SystemID != 0 && now.SystemID != was.SystemID {
		t.Fatalf("system identifier changed")
	}
	for _, o := range now.Orders {
		key := fmt.Sprint(o.Operation, " ", o.Node, " ", o.Epoch.Number, o.Epoch.ID) // an operation has one epoch
		if k.over[key] && o.Stands(now.Epoch.Number) {
			t.Fatalf("the order %s stands again after %+v", key, n)
		}
		k.over[key] = k.over[key] || o.Revoked || o.Obeyed
	}
	for _, c := range now.Closed {
		if had, ok := k.results[c.Operation]; ok && had != c.Result {
			t.Fatalf("operation %s was %s, is %s", c.Operation, had, c.Result)
		}
		k.results[c.Operation] = c.Result
		if _, open := now.OpenIntent(c.Operation); open {
			t.Fatalf("operation %s has ended and is open", c.Operation)
		}
	}
}

// oneOperation holds rule 10: what is open stays open until it is ended, and a
// second one comes only as a release that names the first.
func (k *known) oneOperation(t *rapid.T, was Durable, n Notice) {
	for _, i := range k.d.Intents {
		if _, had := was.OpenIntent(i.Operation); had || len(was.Intents) == 0 {
			continue
		}
		for _, other := range was.Intents {
			if !slices.Contains(i.Over, other.Operation) || other.Owner == k.d.Node {
				t.Fatalf("%s was opened beside %s", i.Operation, other.Operation)
			}
		}
	}
	for _, i := range was.Intents {
		if _, open := k.d.OpenIntent(i.Operation); !open && n.Closed == nil && n.Release == nil {
			t.Fatalf("%+v ended the operation %s", n, i.Operation)
		}
	}
	if was.Lock != nil && k.d.Lock == nil && n.Unlock == nil && n.Closed == nil && n.Release == nil {
		t.Fatalf("%+v took the lock", n)
	}
}

// whatLifts holds rules 5, 6 and 9: an order that stood ends only by its
// operation's end, a release, its issuer's word or a higher epoch.
func (k *known) whatLifts(t *rapid.T, was Durable, n Notice) {
	for _, o := range was.Orders {
		if !o.Stands(was.Epoch.Number) {
			continue
		}
		stands := slices.ContainsFunc(k.d.Orders, func(have Order) bool {
			return have.Operation == o.Operation && have.Node == o.Node && have.Stands(k.d.Epoch.Number)
		})
		ended := n.Closed != nil || n.Release != nil || (n.Order != nil && n.Order.Issuer == o.Issuer) || (n.Epoch != nil && o.Epoch.Number > 0 && o.Epoch.Number < k.d.Epoch.Number)
		if !stands && !ended {
			t.Fatalf("%+v ended the order %+v", n, o)
		}
	}
	if was.Marker != nil && k.d.Marker == nil && n.Release == nil && (n.Closed == nil || n.Closed.Operation != was.Marker.Operation) {
		t.Fatalf("%+v lifted the marker of %s", n, was.Marker.Operation)
	}
	if len(k.d.Closed) > keepClosed || len(k.d.Intents) > keepIntents {
		t.Fatalf("the state grows: %d outcomes, %d intents", len(k.d.Closed), len(k.d.Intents))
	}
}

func TestApply_WhateverComes_NothingIsTakenBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := &known{d: Durable{Node: "db1"}, over: map[string]bool{}, results: map[string]Result{}}
		if rapid.Bool().Draw(t, "adopted") {
			k.d = primaryFacts().Durable
			k.d.Epoch = Epoch{Number: 1, ID: "x", Primary: "db1"}
		}
		for _, n := range rapid.SliceOfN(genNotice, 1, 12).Draw(t, "notices") {
			k.apply(t, n)
			if rarely.Draw(t, "obey") {
				if o, stands := k.d.StandingOrder("db1"); stands {
					k.d = k.d.Obey(o, Marker{Operation: o.Operation, Epoch: o.Epoch})
				}
			}
		}
	})
}
