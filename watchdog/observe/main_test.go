package observe_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gestionale-fullstack/watchdog/testenv"
)

func TestMain(m *testing.M) {
	testenv.OfferSmallDisk()
	testenv.Main(m)
}

// noLeaks checks when the test ends that it left no goroutine behind. Bubbles
// need it not: they do not end while a goroutine of theirs lives.
func noLeaks(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before, testenv.IgnoreServers()) })
}

// box hands a value between the test and the loops.
type box[T any] struct {
	mu sync.Mutex
	v  T
}

func (b *box[T]) set(v T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.v = v
}

func (b *box[T]) get() T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.v
}

// pass lets the bubble's time go by, and the loops end what they began.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
