package config

import (
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func TestLimits_LagOfTheFile_ReachesJudge(t *testing.T) {
	c := mustLoad(t, minimal+`hold: {replication_lag_bytes: 1m, replication_lag_bytes_page: 2m, replication_lag_time: 3m, replication_lag_time_page: 4m, replay_paused: 6m}
thresholds:
  lag: {bytes_warning: 1MiB, bytes_page: 2GiB, time_warning: 5s, time_page: 9m, replay_stuck: 30s}
`)
	want := view.LagLimits{LagBytesWarning: 1 << 20, LagBytesPage: 2 << 30, LagTimeWarning: 5 * time.Second, LagTimePage: 9 * time.Minute,
		ReplayStuck: 30 * time.Second, HoldLagBytes: time.Minute, HoldLagBytesPage: 2 * time.Minute, HoldLagTime: 3 * time.Minute,
		HoldLagTimePage: 4 * time.Minute, HoldReplayPaused: 6 * time.Minute}
	if got := c.Limits(); got.LagLimits != want || got.Check() != nil {
		t.Errorf("got %+v (%v), want %+v", got.LagLimits, got.Check(), want)
	}
	if got := mustLoad(t, minimal).Limits().LagLimits; got != view.DefaultLagLimits() {
		t.Errorf("an empty file gives %+v", got)
	}
}
