package testenv

import (
	"context"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// Allowed is what an operation said beforehand that it may cost. The zero
// value allows nothing.
type Allowed struct {
	// Lost acknowledged rows.
	Lost int
	// WaysBack is how often the role was given back, on purpose, to a node that
	// had it before.
	WaysBack int
}

// StartLedger runs a ledger with pinned clients on the pair and returns when a
// hundred rows are acknowledged, so that its sessions are older than any fault
// the test then makes. The ledger ends with stop, or with the test.
func StartLedger(t testing.TB, p *demo.Pair) (l *demo.Ledger, stop func()) {
	t.Helper()
	l, err := demo.NewLedger(demo.LedgerOptions{Servers: p.Servers[:], Pinned: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- l.Run(ctx) }()
	var ended bool
	stop = func() {
		cancel()
		if ended {
			return
		}
		ended = true
		if err := <-over; err != nil {
			t.Errorf("ledger: %v", err)
		}
	}
	t.Cleanup(stop)
	AwaitAcks(t, l, 100)
	return l, stop
}

// AwaitAcks waits until the ledger has n more acknowledged rows than now.
func AwaitAcks(t testing.TB, l *demo.Ledger, n int) {
	t.Helper()
	before := l.Acked()
	Wait(t, 30*time.Second, "acknowledged rows", func() (bool, string) {
		r := l.Report()
		return r.Acked >= before+n, describe(r)
	})
}

// CheckLedger holds the two promises: never two nodes acknowledging at once,
// and no acknowledged row missing on the server beyond what was allowed. A row
// that a client was told had failed must not be there either.
func CheckLedger(t testing.TB, l *demo.Ledger, s *demo.Server, allowed Allowed) demo.LedgerReport {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := l.Compare(ctx, s)
	if err != nil {
		t.Fatalf("compare ledger: %v", err)
	}
	judge(t, r, allowed)
	return r
}

// judge is the part of CheckLedger that needs no server.
func judge(t testing.TB, r demo.LedgerReport, allowed Allowed) {
	t.Helper()
	if r.Acked == 0 {
		t.Error("the ledger acknowledged nothing: it proves nothing")
	}
	if r.Overlaps > allowed.WaysBack {
		t.Errorf("two nodes acknowledged: %s; want at most %d returns of a node", describe(r), allowed.WaysBack)
	}
	if len(r.Lost) > allowed.Lost {
		t.Errorf("%d acknowledged rows lost, at most %d allowed: %v", len(r.Lost), allowed.Lost, r.Lost)
	}
	if len(r.Phantom) > 0 {
		t.Errorf("%d refused rows are there: %v", len(r.Phantom), r.Phantom)
	}
}
