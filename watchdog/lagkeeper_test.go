package watchdog

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/watchdog/state"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// lagBook counts what a keeper adds and writes.
type lagBook struct {
	mu      sync.Mutex
	points  []state.LagPoint
	flushes int
	err     error
}

func (b *lagBook) Add(p ...state.LagPoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.points = append(b.points, p...)
}

func (b *lagBook) Flush(time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flushes++
	return b.err
}

func (b *lagBook) counts() (points, flushes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.points), b.flushes
}

func lagStatus() view.Status {
	zero := uint64(0)
	return view.Status{At: time.Now(), Nodes: []view.NodeStatus{{Node: "db1"}, {Node: "db2", Lag: &view.Lag{FlushBytes: &zero}}}}
}

// keeping runs a keeper in a bubble and gives the way to end it.
func keeping(t *testing.T, b *lagBook, status func() view.Status) (end func()) {
	t.Helper()
	k := &lagKeeper{history: b, status: status, now: time.Now, log: zap.NewNop()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestLagKeeper_SamplesEveryTenSecondsAndWritesOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &lagBook{}
		end := keeping(t, b, lagStatus)
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		points, flushes := b.counts()
		if points != 60 || flushes < 9 || flushes > 10 {
			t.Errorf("%d points and %d writes in ten minutes", points, flushes)
		}
		end()
		if _, after := b.counts(); after != flushes+1 {
			t.Error("what was gathered is not written at the end")
		}
		if p := b.points[0]; p.Node != "db2" || *p.FlushBytes != 0 || p.ReplayBytes != nil || p.Time != nil {
			t.Errorf("point %+v", p)
		}
	})
}

func TestLagKeeper_StatusStandsStill_NoOldFigureAtANewTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, still := &lagBook{}, lagStatus()
		end := keeping(t, b, func() view.Status { return still })
		time.Sleep(time.Minute)
		end()
		if points, _ := b.counts(); points != 1 {
			t.Errorf("%d points of one status", points)
		}
	})
}

func TestLagKeeper_DiskFails_GoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &lagBook{err: errors.New("no space left on device")}
		end := keeping(t, b, lagStatus)
		time.Sleep(5 * time.Minute)
		end()
		if points, flushes := b.counts(); points < 29 || flushes < 5 {
			t.Errorf("%d points, %d writes", points, flushes)
		}
	})
}
