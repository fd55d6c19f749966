package observe

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gestionale-fullstack/watchdog/replication"
)

var epoch = time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)

// told is an answer of the primary, known at that many milliseconds.
func told(at int, lsn replication.LSN) replication.Sample {
	return replication.Sample{At: epoch.Add(time.Duration(at) * time.Millisecond), Verdict: replication.VerdictHealthy,
		SystemID: 7, Role: replication.RolePrimary, Timeline: 2, Position: lsn}
}

func TestRing_Behind(t *testing.T) {
	const ms = time.Millisecond
	steady := []replication.Sample{told(0, 100), told(500, 200), told(1000, 300), told(1500, 400)}
	idle := []replication.Sample{told(0, 100), told(500, 100), told(9000, 100)}
	for name, c := range map[string]struct {
		ring    []replication.Sample
		lsn     replication.LSN
		at      int
		lag     time.Duration
		atLeast bool
		unknown bool
	}{
		"nothing seen yet":               {nil, 100, 0, 0, false, true},
		"replayed position not known":    {steady, 0, 1500, 0, false, true},
		"everything replayed":            {steady, 400, 1500, 0, false, false},
		"ahead of the last sample":       {steady, 450, 1600, 0, false, false},
		"idle primary, all replayed":     {idle, 100, 9400, 0, false, false},
		"idle primary, replay paused":    {append(idle[:3:3], told(9500, 180), told(14000, 180)), 100, 14000, 5000 * ms, false, false},
		"between two samples":            {steady, 250, 1500, 750 * ms, false, false},
		"exactly at one":                 {steady, 200, 1500, 1000 * ms, false, false},
		"older than the ring":            {steady, 50, 1500, 1500 * ms, true, false},
		"older than the ring, later on":  {steady, 99, 4000, 4000 * ms, true, false},
		"answer is older than the ring":  {steady, 50, -10, 0, true, false},
		"answer before the newest bytes": {steady, 300, 1200, 0, false, false},
	} {
		var r ring
		for _, m := range c.ring {
			r.push(m)
		}
		lag, atLeast, known := r.behind(c.lsn, epoch.Add(time.Duration(c.at)*ms))
		if lag != c.lag || atLeast != c.atLeast || known == c.unknown {
			t.Errorf("%s: %s, at least %t, known %t; want %s, %t, %t", name, lag, atLeast, known, c.lag, c.atLeast, !c.unknown)
		}
	}
}

func TestRing_PrimaryMissedInBetween_OnlyALowerBoundIsTold(t *testing.T) {
	var r ring
	r.push(told(0, 100))
	r.miss()
	r.push(told(60_000, 200))
	r.push(told(60_500, 300))
	at := epoch.Add(61 * time.Second)
	if lag, atLeast, known := r.behind(150, at); lag != time.Second || !atLeast || !known {
		t.Errorf("within the gap: %s, at least %t, known %t", lag, atLeast, known)
	}
	if lag, atLeast, _ := r.behind(250, at); lag != 750*time.Millisecond || atLeast {
		t.Errorf("after the gap: %s, at least %t", lag, atLeast)
	}
	if lag, _, known := r.behind(300, at); lag != 0 || !known {
		t.Errorf("caught up: %s, known %t", lag, known)
	}
}

func TestRing_AnotherLineOrAFall_BeginsAnew(t *testing.T) {
	for name, change := range map[string]func(*replication.Sample){
		"timeline":        func(m *replication.Sample) { m.Timeline = 3 },
		"system":          func(m *replication.Sample) { m.SystemID = 8 },
		"position fell":   func(m *replication.Sample) { m.Position = 50 },
		"fell after miss": func(m *replication.Sample) { m.Position = 50 },
	} {
		var r ring
		r.push(told(0, 100))
		r.push(told(500, 200))
		if name == "fell after miss" {
			r.miss()
		}
		next := told(1000, 300)
		change(&next)
		r.push(next)
		if len(r.runs) != 1 || r.runs[0].first != 0 || r.runs[0].blind {
			t.Errorf("%s: %+v", name, r.runs)
		}
	}
}

func TestRing_IdlePrimary_DoesNotGrow(t *testing.T) {
	var r ring
	for i := range 100_000 {
		r.push(told(i*500, 100))
	}
	if len(r.runs) != 1 || r.runs[0].last != 99_999*500*time.Millisecond {
		t.Errorf("%d runs, the last to %s", len(r.runs), r.runs[len(r.runs)-1].last)
	}
}

func TestRing_BusyForDays_StaysBoundedAndReachesBack(t *testing.T) {
	var r ring
	const days = 2 * 24 * 3600 * 2 // two days of samples, two a second
	for i := range days {
		r.push(told(i*500, replication.LSN(1000+100*i)))
		if len(r.runs) > ringRuns {
			t.Fatalf("%d runs", len(r.runs))
		}
	}
	end := epoch.Add((days - 1) * 500 * time.Millisecond)
	for _, ago := range []time.Duration{0, time.Second, time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour} {
		i := days - 1 - int(ago/(500*time.Millisecond))
		lag, atLeast, known := r.behind(replication.LSN(1000+100*i), end)
		if wrong := (lag - ago).Abs(); atLeast || !known || wrong > 500*time.Millisecond+ago/ringCoarser*min(1, ago/ringFine) {
			t.Errorf("%s ago: %s, at least %t, known %t", ago, lag, atLeast, known)
		}
	}
}

// TestRing_AnyLoad_ErrorIsAtMostOnePeriod holds the ring against the truth: a
// primary that writes as it likes, a standby that replays as it likes.
func TestRing_AnyLoad_ErrorIsAtMostOnePeriod(t *testing.T) {
	const period, step, steps = 500, 50, 400 // ms
	rapid.Check(t, func(t *rapid.T) {
		written := make([]replication.LSN, steps) // at the end of each step
		for i := range written {
			written[i] = 1000
			if i > 0 {
				written[i] = written[i-1] + replication.LSN(rapid.SampledFrom([]int{0, 0, 0, 1, 7, 300}).Draw(t, "bytes"))
			}
		}
		first := rapid.IntRange(0, steps/2).Draw(t, "observer starts")
		phase := rapid.IntRange(0, period/step-1).Draw(t, "phase")
		var r ring
		for i := first; i < steps; i++ {
			if i%(period/step) == phase {
				r.push(told(i*step, written[i]))
			}
			if i%(period/step) != 0 || len(r.runs) == 0 {
				continue
			}
			replayed := written[rapid.IntRange(0, i).Draw(t, "replayed up to step")]
			truth := time.Duration(0)
			for j := range i + 1 {
				if written[j] > replayed {
					truth = time.Duration((i-j)*step) * time.Millisecond
					break
				}
			}
			lag, atLeast, known := r.behind(replayed, epoch.Add(time.Duration(i*step)*time.Millisecond))
			switch {
			case !known || lag < 0:
				t.Fatalf("lag %s, known %t", lag, known)
			case atLeast && lag > truth:
				t.Fatalf("at least %s, but it is %s", lag, truth)
			case !atLeast && (lag-truth).Abs() > period*time.Millisecond:
				t.Fatalf("lag %s, but it is %s", lag, truth)
			}
		}
	})
}
