package pgctl_test

import (
	"context"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

func TestMain(m *testing.M) { testenv.Main(m, activatedHelper) }

const limit = 30 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// primary is the first server of a pair of its own; the standby is ended, so that
// it does not disturb.
func primary(t *testing.T) *demo.Server {
	t.Helper()
	pair := testenv.NewPair(t)
	if err := pair.Servers[1].Kill(within(t)); err != nil {
		t.Fatal(err)
	}
	return pair.Servers[0]
}
