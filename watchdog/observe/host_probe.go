package observe

import (
	"context"
	"math"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// The own scheduling delay is measured once a second and its worst kept for a
// minute: a node that was away must not trust what it believed before.
const (
	gapPeriod = time.Second
	gapKeep   = time.Minute
)

type hostState struct {
	free, total int64
	gaps        []gap // falling lengths, rising times: the first is the worst
}

type gap struct {
	at     time.Time
	length time.Duration
}

func newHostState() hostState { return hostState{free: -1, total: -1} }

// note keeps a gap and drops those that it outlasts.
func (h *hostState) note(g gap) {
	n := len(h.gaps)
	for n > 0 && h.gaps[n-1].length <= g.length {
		n--
	}
	h.gaps = append(h.gaps[:n], g)
	h.expire(g.at)
}

func (h *hostState) expire(now time.Time) {
	for len(h.gaps) > 0 && now.Sub(h.gaps[0].at) > gapKeep {
		h.gaps = h.gaps[1:]
	}
}

func (h *hostState) report(now time.Time) view.HostReport {
	h.expire(now)
	r := view.HostReport{DataFreeBytes: h.free, DataTotalBytes: h.total}
	if len(h.gaps) > 0 {
		r.LoopGap = h.gaps[0].length
	}
	return r
}

// gapLoop measures how late its own waking comes.
func (ob *Observer) gapLoop(ctx context.Context) error {
	t := time.NewTimer(gapPeriod)
	defer t.Stop()
	for {
		slept, want := ob.o.Now(), replication.UntilBeat(time.Now(), gapPeriod)
		t.Reset(want)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		ob.update(func() bool {
			now := ob.o.Now()
			ob.host.note(gap{at: now, length: max(0, now.Sub(slept)-want)})
			return false
		})
	}
}

// diskLoop reads the free space of the data directory's file system. statfs has
// no deadline; on a file system that hangs, only this loop stands still.
func (ob *Observer) diskLoop(ctx context.Context) error {
	told := false
	return every(ctx, ob.o.HostPeriod, func(context.Context) {
		free, total, err := space(ob.o.DataDir)
		if err != nil && !told {
			ob.o.Log.Warn("free space not readable", zap.String("directory", ob.o.DataDir), zap.Error(err))
		}
		told = err != nil
		ob.update(func() bool {
			ob.host.free, ob.host.total = free, total
			return false
		})
	})
}

// space gives the bytes free for ordinary users, and all; -1 when not known.
func space(dir string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return -1, -1, err
	}
	return capped(st.Bavail, st.Bsize), capped(st.Blocks, st.Bsize), nil
}

func capped(blocks uint64, size int64) int64 {
	if size <= 0 || blocks > uint64(math.MaxInt64)/uint64(size) {
		return math.MaxInt64
	}
	return int64(blocks) * size //nolint:gosec // bounded above
}

// processesWhileHealthy is how often processes are counted beside a server that
// answers: each count looks at every process of the host.
const processesWhileHealthy = time.Minute

// processLoop counts the processes that hold the own data directory: often when
// the server is not healthy, since then they are evidence.
func (ob *Observer) processLoop(ctx context.Context) error {
	own, told, skip := ob.own(), false, 0
	quiet := int(processesWhileHealthy / gapPeriod)
	return every(ctx, gapPeriod, func(context.Context) {
		if ob.healthy(own) && skip%quiet != 0 {
			skip++
			return
		}
		skip++
		n, err := ob.o.Processes()
		if err != nil {
			if !told {
				ob.o.Log.Warn("processes of the data directory not countable", zap.Error(err))
			}
			n = -1
		}
		told = err != nil
		ob.update(func() bool {
			changed := (own.processes == 0) != (n == 0)
			own.processes = n
			return changed
		})
	})
}

func (ob *Observer) healthy(s *server) bool {
	ob.mu.Lock()
	defer ob.mu.Unlock()
	return s.last.Verdict == replication.VerdictHealthy
}
