package observe

import (
	"testing"
	"time"
)

// past makes a sample a minute from what used gives for each.
func past(n int, used func(i int) int64) []usage {
	var out []usage
	for i := range n {
		out = append(out, usage{time.Unix(0, 0).Add(time.Duration(i) * time.Minute), used(i)})
	}
	return out
}

func TestForecast_SaysHowLongTheSpaceLasts(t *testing.T) {
	const gib, mib = int64(1 << 30), int64(1 << 20)
	steady := func(i int) int64 { return 10*gib + int64(i)*10*mib } // 600 MiB an hour
	for name, c := range map[string]struct {
		samples   []usage
		free      int64
		low, high int64 // MiB an hour
		full      time.Duration
	}{
		"steady":                {past(120, steady), 6000 * mib, 599, 600, 10 * time.Hour},
		"does not move":         {past(120, func(int) int64 { return gib }), gib, 0, 0, 0},
		"shrinks":               {past(120, func(i int) int64 { return 10*gib - int64(i)*mib }), gib, -60, -59, 0},
		"a year off":            {past(120, func(i int) int64 { return int64(i) }), 100 * gib, 0, 0, 0},
		"already full":          {past(120, steady), 0, 599, 600, time.Second},
		"a load that has ended": {past(300, func(i int) int64 { return int64(min(i, 200)) * 100 * mib }), gib, 0, 0, 0},
		"a load that has just begun counts by the long run": {past(360, func(i int) int64 {
			return int64(max(0, i-330)) * 100 * mib
		}), 1000 * gib, 50, 300, 0},
	} {
		t.Run(name, func(t *testing.T) {
			rate, full := forecast(c.samples, c.free)
			if rate == nil {
				t.Fatal("the rate is not known")
			}
			if got := *rate / mib; got < c.low || got > c.high {
				t.Errorf("%d MiB an hour, want %d to %d", got, c.low, c.high)
			}
			if c.full == 0 && full != 0 && c.low <= 0 || c.full != 0 && (full-c.full).Abs() > time.Minute {
				t.Errorf("full in %s, want %s", full, c.full)
			}
		})
	}
}

func TestForecast_TooFewSamples_SaysNothing(t *testing.T) {
	for name, samples := range map[string][]usage{
		"nothing": nil, "too few": past(29, func(i int) int64 { return int64(i) << 20 }), "one moment": make([]usage, 40),
	} {
		if rate, full := forecast(samples, 1<<30); rate != nil || full != 0 {
			t.Errorf("%s: rate %v, full in %s", name, rate, full)
		}
	}
}
