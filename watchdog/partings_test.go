package watchdog

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

func TestPartings_ReadsAtMostOnceAMinuteAndOnlyWhileParted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads, parted, bytes, fails := 0, true, uint64(1000), error(nil)
		where := parting{timeline: 2, at: 0x1000}
		p := &partings{now: time.Now, log: zap.NewNop(),
			find: func() (parting, uint64, bool) { return where, bytes, parted },
			read: func(w parting) (pgdata.End, error) {
				reads++
				return pgdata.End{LSN: w.at + 1000, Commits: 7}, fails
			}}
		wait := func(d time.Duration) {
			for range d / partingEvery {
				time.Sleep(partingEvery)
				p.look()
			}
		}
		want := func(what string, n int, known bool) {
			t.Helper()
			got := p.report()
			if reads != n || (got != nil) != known {
				t.Errorf("%s: %d reads, %+v", what, reads, got)
			}
			if known && (got.Commits != 7 || got.SwitchPoint != where.at || got.Timeline != 2 || got.End != where.at+1000) {
				t.Errorf("%s: %+v", what, got)
			}
		}
		wait(10 * time.Second)
		want("parted", 1, true)
		wait(40 * time.Second)
		want("within the minute", 1, true)
		if age := p.report().Age; age < 30*time.Second || age > time.Minute {
			t.Errorf("age %s", age)
		}
		wait(30 * time.Second)
		want("a minute later", 2, true)
		where.at = replication.LSN(0x2000)
		wait(10 * time.Second)
		want("another switch point", 3, true)
		fails = errors.New("segment is gone")
		wait(time.Minute)
		want("not readable", 4, false)
		fails, bytes = nil, partingMaxRead+1
		wait(2 * time.Minute)
		want("too much", 4, false)
		bytes, parted = 1000, false
		wait(2 * time.Minute)
		want("one line again", 4, false)
	})
}

func TestPartings_Run_LooksUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		p := &partings{now: time.Now, log: zap.NewNop(), find: func() (parting, uint64, bool) { looks++; return parting{}, 0, false }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		if err := p.Run(ctx); err != nil || looks < 6 || looks > 7 {
			t.Errorf("%d looks in a minute, %v", looks, err)
		}
	})
}
