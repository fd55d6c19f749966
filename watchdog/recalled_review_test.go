package watchdog

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// issuer is db2 as it answers whether an operation stands.
func issuer(t *testing.T, answer func() (control.Standing, error)) *Service {
	t.Helper()
	r := control.NewRouter(zap.NewNop())
	control.Handle(r, control.NodeAsk, func(context.Context, control.Caller, string, control.None) (control.Standing, error) { return answer() })
	return &Service{others: answering(t, "db2", r)}
}

// answering is one other node whose service answers by the router.
func answering(t *testing.T, node string, r *control.Router) *others {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "s")
	l, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	c := control.NewLocalClient(path)
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &others{clients: map[string]*control.Client{node: c}}
}

// A service that was stopped for minutes finds the seal that was asked for, and
// given up and aborted, long ago (rule 6): it asks back before it stops a primary.
func TestSeal_CallOfAnAbortedOperation_IsRefused(t *testing.T) {
	epoch := fence.Epoch{Number: 2, ID: "two", Primary: "db2"}
	promote := fence.Order{Operation: "promote-X", Node: "db1", Issuer: "db2", Epoch: epoch}
	plain := fence.Order{Operation: "fence-X", Node: "db1", Issuer: "db2"}
	for name, c := range map[string]struct {
		order  fence.Order
		answer control.Standing
		err    error
		over   bool
	}{
		"open":                           {promote, control.Standing{Open: true, Known: true}, nil, false},
		"aborted":                        {promote, control.Standing{Known: true, Result: fence.ResultNotDone}, nil, true},
		"never heard of":                 {promote, control.Standing{}, nil, true},
		"done, its epoch exists":         {promote, control.Standing{Known: true, Result: fence.ResultDone}, nil, false},
		"a plain fence that is done":     {plain, control.Standing{Known: true, Result: fence.ResultDone}, nil, true},
		"the issuer cannot read its own": {promote, control.Standing{}, errors.New("damaged"), false},
	} {
		s := issuer(t, func() (control.Standing, error) { return c.answer, c.err })
		if got := s.recalled(t.Context(), c.order); (got != "") != c.over {
			t.Errorf("%s: %q", name, got)
		}
	}
	// A cut that lets calls through one way only: the call itself is the word.
	s := &Service{others: &others{}}
	if got := s.recalled(t.Context(), promote); got != "" {
		t.Errorf("nobody to ask: %q", got)
	}
}
