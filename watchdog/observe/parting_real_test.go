package observe_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// TestReal_BothPromotedToOneTimeline_ThePartingIsToldInBytes makes both servers
// primary of timeline 2, each from a point of its own, as two operators in two
// rooms would.
func TestReal_BothPromotedToOneTimeline_ThePartingIsToldInBytes(t *testing.T) {
	p := testenv.NewPair(t)
	first, second := p.Servers[0], p.Servers[1]
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	step(second.Stop(ctx, demo.StopFast))
	exec(t, first, fill) // the second never gets these
	step(first.Stop(ctx, demo.StopFast))
	step(second.Start(ctx))
	exec(t, second, "SELECT pg_promote()")
	step(os.WriteFile(filepath.Join(first.DataDir, "standby.signal"), nil, 0o600))
	step(first.Start(ctx, "-c", "primary_conninfo=", "-c", "recovery_target_timeline=current"))
	exec(t, first, "SELECT pg_promote()", "CHECKPOINT")
	exec(t, second, "CREATE TABLE only_here AS SELECT generate_series(1, 1000)")

	v := watchFrom(t, p, second.Name, nil)
	var text string
	testenv.Wait(t, limit, "a divergence of one timeline number", func() (bool, string) {
		now := time.Now()
		for _, c := range view.Judge(v.board(t, now).View(now), v.limits, now) {
			if c.Code == view.TimelineDivergence {
				text = c.Text
			}
		}
		got := v.judge(t)
		return text != "" && strings.Contains(fmt.Sprint(got), view.TwoPrimaries), fmt.Sprint(got, text)
	})
	told := regexp.MustCompile(`timeline 2, .*timeline 2, .*they part at ([0-9A-F/]+): db1 holds (\d+) bytes after it that db2 lacks, db2 holds (\d+) bytes that db1 lacks`).FindStringSubmatch(text)
	if told == nil {
		t.Fatalf("text %q", text)
	}
	at, err := replication.ParseLSN(told[1])
	step(err)
	for i, s := range p.Servers {
		end, err := s.Ask(ctx, "SELECT pg_current_wal_flush_lsn()::text")
		step(err)
		lsn, err := replication.ParseLSN(end)
		step(err)
		var said uint64
		if _, err := fmt.Sscan(told[2+i], &said); err != nil || said == 0 || said > lsn.Since(at) || lsn.Since(at)-said > 1<<20 {
			t.Errorf("%s holds %d bytes past %s, told %d (%v)", s.Name, lsn.Since(at), at, said, err)
		}
	}
}
