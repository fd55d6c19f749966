package testenv

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// pairLimit bounds the making of a pair; two seconds are usual, but the first
// one of a machine runs initdb, and eight test binaries may share two cores.
const pairLimit = 2 * time.Minute

// Option changes the pair that NewPair makes.
type Option func(*demo.Options)

// Sync makes each server the other's synchronous standby.
func Sync() Option { return func(o *demo.Options) { o.Sync = true } }

// Fresh gives the pair a system identifier of its own; all others share one.
func Fresh() Option { return func(o *demo.Options) { o.Fresh = true } }

// Names names the two nodes instead of db1 and db2.
func Names(primary, standby string) Option {
	return func(o *demo.Options) { o.Names = [2]string{primary, standby} }
}

// Ready runs prepare on the primary when the standby streams.
func Ready(prepare func(ctx context.Context, primary *demo.Server) error) Option {
	return func(o *demo.Options) { o.Ready = prepare }
}

// NewPair makes a pair of real servers that ends with the test. When the test
// has failed by then, the end of both server logs is printed.
func NewPair(t testing.TB, options ...Option) *demo.Pair {
	t.Helper()
	NeedPostgres(t)
	var o demo.Options
	for _, option := range options {
		option(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), pairLimit)
	defer cancel()
	p, err := demo.NewPair(ctx, o)
	if err != nil {
		t.Fatalf("make pair: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			dumpLogs(t, p)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func dumpLogs(t testing.TB, p *demo.Pair) {
	for _, s := range p.Servers {
		t.Logf("end of the log of %s:\n%s", s.Name, s.LogTail(6000))
	}
}

// NeedPostgres skips the test when PostgreSQL is not installed, and fails it
// where it has to be: with CI=true or WATCHDOG_REQUIRE_POSTGRES=1.
func NeedPostgres(t testing.TB) {
	t.Helper()
	_, err := demo.FindBinaries(context.Background())
	if err == nil {
		_, err = demo.FindOwner()
	}
	switch {
	case err == nil:
	case Required():
		t.Fatalf("PostgreSQL is required here: %v", err)
	default:
		t.Skipf("skipped without PostgreSQL: %v", err)
	}
}

// Required is true where a test that cannot run has to fail.
func Required() bool {
	return os.Getenv("CI") == "true" || os.Getenv("WATCHDOG_REQUIRE_POSTGRES") == "1"
}

// shared is the pair of SharedPair; Main closes it.
var shared struct {
	once sync.Once
	pair *demo.Pair
	err  error
}

// SharedPair gives all tests of one binary the same asynchronous pair. It is
// for tests that only read: whoever stops, promotes or fills a server needs
// NewPair. Main ends it.
func SharedPair(t testing.TB) *demo.Pair {
	t.Helper()
	NeedPostgres(t)
	shared.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), pairLimit)
		defer cancel()
		shared.pair, shared.err = demo.NewPair(ctx, demo.Options{})
	})
	if shared.err != nil {
		t.Fatalf("make shared pair: %v", shared.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			dumpLogs(t, shared.pair)
		}
	})
	return shared.pair
}
