package watchdog

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// The lag history is sampled often enough for a plot, and written rarely enough
// that an idle service leaves the disk alone: a crash loses the last minute.
const (
	lagSampleEvery = 10 * time.Second
	lagWriteEvery  = time.Minute
)

// lagHistory is where lag points go; *state.LagHistory is one.
type lagHistory interface {
	Add(points ...state.LagPoint)
	Flush(now time.Time) error
}

// lagKeeper keeps the lag of every standby as the status shows it.
type lagKeeper struct {
	history lagHistory
	status  func() view.Status
	now     func() time.Time
	log     *zap.Logger

	last   time.Time // of the newest status that was taken
	failed bool      // the newest write, for transitions
}

// Run samples until ctx ends, and writes what it has then.
func (k *lagKeeper) Run(ctx context.Context) error {
	t := time.NewTimer(replication.UntilBeat(time.Now(), lagSampleEvery))
	defer t.Stop()
	written := k.now()
	for {
		select {
		case <-ctx.Done():
			k.write()
			return nil
		case <-t.C:
		}
		k.sample()
		if k.now().Sub(written) >= lagWriteEvery-lagSampleEvery/2 {
			k.write()
			written = k.now()
		}
		t.Reset(replication.UntilBeat(time.Now(), lagSampleEvery))
	}
}

// sample takes one point per standby, unless no round has been made since the
// last one: an old figure must not be drawn at a new time.
func (k *lagKeeper) sample() {
	st := k.status()
	if st.At.IsZero() || st.At.Equal(k.last) {
		return
	}
	k.last = st.At
	k.history.Add(lagPoints(st)...)
}

func lagPoints(st view.Status) []state.LagPoint {
	var out []state.LagPoint
	for _, n := range st.Nodes {
		if g := n.Lag; g != nil {
			out = append(out, state.LagPoint{At: st.At.UTC().Round(0), Node: n.Node, ReceiveBytes: g.ReceiveBytes, FlushBytes: g.FlushBytes,
				ReplayBytes: g.ReplayBytes, Time: g.Time, AtLeast: g.AtLeast})
		}
	}
	return out
}

func (k *lagKeeper) write() {
	err := k.history.Flush(k.now())
	if failed := err != nil; failed != k.failed {
		k.failed = failed
		if failed {
			k.log.Warn("keep lag history", zap.Error(err))
		} else {
			k.log.Info("lag history is kept again")
		}
	}
}
