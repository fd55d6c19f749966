package watchdog

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// fencedDB1 is db1, sealed by db2's open promotion, of which it holds lock,
// intent, order and marker.
func fencedDB1(t *testing.T) *Service {
	t.Helper()
	s := &Service{cfg: &config.Config{Node: "db1"}, store: state.Open(t.TempDir(), "db1"), log: zaptest.NewLogger(t), now: time.Now}
	two := fence.Epoch{Number: 2, ID: "two", Primary: "db2"}
	for _, n := range []fence.Notice{
		{Epoch: &fence.EpochNotice{SystemID: 7, Epoch: fence.Epoch{Number: 1, ID: "one", Primary: "db1"}, Adopt: true}},
		{Lock: &fence.Lock{Operation: "promote-X", Kind: "promote", Owner: "db2"}},
		{Intent: &fence.Intent{Operation: "promote-X", Kind: "promote", Owner: "db2", Target: "db2", Epoch: two}},
		{Order: &fence.Order{Operation: "promote-X", Node: "db1", Issuer: "db2", Epoch: two}},
	} {
		if err := s.store.Apply(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.store.SetMarker(fence.Marker{Operation: "promote-X", Epoch: two, SystemID: 7}); err != nil {
		t.Fatal(err)
	}
	return s
}

// A node speaks for itself alone: whoever has a key that is let in can neither
// fence in another's name nor end what another began, and so lift its fence.
func TestRule14_NodeSpeaksForAnother_Refused(t *testing.T) {
	three := fence.Epoch{Number: 3, ID: "three", Primary: "db2"}
	for name, n := range map[string]fence.Notice{
		"a lock":           {Lock: &fence.Lock{Operation: "promote-Y", Kind: "promote", Owner: "db2"}},
		"an intent":        {Intent: &fence.Intent{Operation: "promote-Y", Kind: "promote", Owner: "db2", Target: "db2", Epoch: three}},
		"an order":         {Order: &fence.Order{Operation: "promote-Y", Node: "db1", Issuer: "db2", Epoch: three}},
		"an end, aborted":  {Closed: &fence.Closed{Operation: "promote-X", Result: fence.ResultNotDone}},
		"an end, done":     {Closed: &fence.Closed{Operation: "promote-X", Result: fence.ResultDone}},
		"a lock let go":    {Unlock: &fence.Lock{Operation: "promote-X"}},
		"a release of db1": {Release: &fence.Release{Operation: "promote-X"}},
	} {
		s := fencedDB1(t)
		was, err := s.store.Read()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.told(t.Context(), "wit", n); refusalOf(err).Exit != runbooks.ExitRefused || refusalOf(err).Rule != "14" {
			t.Errorf("%s: %v", name, err)
		}
		now, err := s.store.Read()
		if err != nil || now.Marker == nil || len(now.Orders) != len(was.Orders) || len(now.Intents) != 1 || now.Lock == nil || len(now.Closed) > 0 {
			t.Errorf("%s changed the state to %+v, %v", name, now, err)
		}
	}
	// Its owner may, even where only the order is left of the operation.
	s := fencedDB1(t)
	if err := s.told(t.Context(), "db2", fence.Notice{Closed: &fence.Closed{Operation: "promote-X", Result: fence.ResultNotDone}}); err != nil {
		t.Fatal(err)
	}
	if d, err := s.store.Read(); err != nil || d.Marker != nil || len(d.Intents) > 0 || d.Lock != nil {
		t.Errorf("aborted by its owner: %+v, %v", d, err)
	}
}

// Whatever copy is left of an operation says whose it is.
func TestRule14_OneCopyIsLeft_OnlyItsOwnerEndsIt(t *testing.T) {
	two := fence.Epoch{Number: 2, ID: "two", Primary: "db2"}
	for name, n := range map[string]fence.Notice{
		"the lock":   {Lock: &fence.Lock{Operation: "promote-X", Kind: "promote", Owner: "db2"}},
		"the intent": {Intent: &fence.Intent{Operation: "promote-X", Kind: "promote", Owner: "db2", Target: "db2", Epoch: two}},
		"the order":  {Order: &fence.Order{Operation: "promote-X", Node: "db1", Issuer: "db2", Epoch: two}},
	} {
		s := &Service{cfg: &config.Config{Node: "db1"}, store: state.Open(t.TempDir(), "db1"), log: zaptest.NewLogger(t), now: time.Now}
		if err := s.store.Apply(n); err != nil {
			t.Fatal(err)
		}
		if err := s.mayEnd("wit", "promote-X"); refusalOf(err).Rule != "14" {
			t.Errorf("%s: another node may end it: %v", name, err)
		}
		if err := s.mayEnd("db2", "promote-X"); err != nil {
			t.Errorf("%s: its owner may not: %v", name, err)
		}
	}
}

// The call that seals is held to the same: an order comes from its issuer.
func TestRule14_SealInTheNameOfAnother_Refused(t *testing.T) {
	s := fencedDB1(t)
	r := control.NewRouter(zap.NewNop())
	s.nodeAPI(r)
	path := filepath.Join(t.TempDir(), "run", "s")
	l, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	c := control.NewLocalClient(path) // a caller without any node's key
	defer func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	_, err = control.Call(t.Context(), c, control.NodeSeal, "", fence.Order{Operation: "fence-Z", Node: "db1", Issuer: "db2"})
	if refusalOf(err).Rule != "14" {
		t.Errorf("got %v", err)
	}
}
