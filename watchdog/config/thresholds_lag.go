package config

import (
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// LagThresholds are about a standby that is behind: bytes that it has not made
// durable or not replayed, and the time since its primary passed the position
// that it has replayed, beyond recovery_min_apply_delay.
type LagThresholds struct {
	BytesWarning Size          `yaml:"bytes_warning"`
	BytesPage    Size          `yaml:"bytes_page"`
	TimeWarning  time.Duration `yaml:"time_warning"`
	TimePage     time.Duration `yaml:"time_page"`
	// ReplayStuck is how long received WAL may wait without any being replayed,
	// beyond recovery_min_apply_delay.
	ReplayStuck time.Duration `yaml:"replay_stuck"`
}

func defaultLagThresholds() LagThresholds {
	d := view.DefaultLagLimits()
	return LagThresholds{BytesWarning: Size(d.LagBytesWarning), BytesPage: Size(d.LagBytesPage),
		TimeWarning: d.LagTimeWarning, TimePage: d.LagTimePage, ReplayStuck: d.ReplayStuck}
}

// apply sets the thresholds as Judge takes them.
func (t LagThresholds) apply(l *view.LagLimits) {
	l.LagBytesWarning, l.LagBytesPage = uint64(t.BytesWarning), uint64(t.BytesPage)
	l.LagTimeWarning, l.LagTimePage, l.ReplayStuck = t.TimeWarning, t.TimePage, t.ReplayStuck
}

// lagHolds gives the holds of the conditions of lag by the names that `hold:`
// accepts; a page has a hold beside its warning's.
func lagHolds(l *view.LagLimits) map[string]*time.Duration {
	return map[string]*time.Duration{
		"replication_lag_bytes":      &l.HoldLagBytes,
		"replication_lag_bytes_page": &l.HoldLagBytesPage,
		"replication_lag_time":       &l.HoldLagTime,
		"replication_lag_time_page":  &l.HoldLagTimePage,
		"replay_paused":              &l.HoldReplayPaused,
	}
}

// lagThresholds checks ranges, and that each warning comes before its page.
func (v *validator) lagThresholds() {
	const path = "thresholds.lag."
	t := v.c.Thresholds.Lag
	if t.BytesWarning == 0 {
		v.bad(path+"bytes_warning", "0 bytes would warn of every write", "use a size such as 64MiB")
	}
	v.between(path+"time_warning", t.TimeWarning, time.Second, 30*24*time.Hour)
	v.between(path+"replay_stuck", t.ReplayStuck, time.Second, 24*time.Hour)
	const hint = "the warning must come before the page"
	if t.BytesWarning >= t.BytesPage {
		v.clash(path+"bytes_warning", path+"bytes_page", fmt.Sprintf("%s is not below %sbytes_page (%s)", t.BytesWarning, path, t.BytesPage), hint)
	}
	if t.TimeWarning >= t.TimePage {
		v.clash(path+"time_warning", path+"time_page", fmt.Sprintf("%s is not below %stime_page (%s)", t.TimeWarning, path, t.TimePage), hint)
	}
}
