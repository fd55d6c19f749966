package view

import (
	"fmt"
	"time"
)

// LagLimits are the thresholds and holds of the conditions of lag. Each page
// lies above its warning and has a hold of its own.
type LagLimits struct {
	LagBytesWarning, LagBytesPage uint64
	// LagTimeWarning and LagTimePage count beyond recovery_min_apply_delay.
	LagTimeWarning, LagTimePage time.Duration
	// ReplayStuck is how long received WAL may wait at one position, beyond
	// recovery_min_apply_delay, before replay counts as stuck.
	ReplayStuck time.Duration

	HoldLagBytes, HoldLagBytesPage time.Duration
	HoldLagTime, HoldLagTimePage   time.Duration
	HoldReplayPaused               time.Duration
}

// DefaultLagLimits are the defaults of the rule catalogue, rows 6 to 8.
func DefaultLagLimits() LagLimits {
	return LagLimits{
		LagBytesWarning: 64 << 20, LagBytesPage: 512 << 20,
		LagTimeWarning: 30 * time.Second, LagTimePage: 300 * time.Second,
		ReplayStuck:  10 * time.Second,
		HoldLagBytes: 2 * time.Minute, HoldLagBytesPage: 5 * time.Minute,
		HoldLagTime: 2 * time.Minute, HoldLagTimePage: 2 * time.Minute,
		HoldReplayPaused: 5 * time.Minute,
	}
}

func (l LagLimits) check() error {
	switch {
	case l.LagBytesWarning == 0 || l.LagBytesWarning >= l.LagBytesPage:
		return fmt.Errorf("check limits: lag in bytes: the warning (%d) must be above 0 and below the page (%d)", l.LagBytesWarning, l.LagBytesPage)
	case l.LagTimeWarning <= 0 || l.LagTimeWarning >= l.LagTimePage:
		return fmt.Errorf("check limits: lag in time: the warning (%s) must be above 0 and below the page (%s)", l.LagTimeWarning, l.LagTimePage)
	case l.ReplayStuck <= 0:
		return fmt.Errorf("check limits: replay stuck is %s, want more than 0", l.ReplayStuck)
	}
	return nil
}

func (l *LagLimits) fields() []*time.Duration {
	return []*time.Duration{&l.HoldLagBytes, &l.HoldLagBytesPage, &l.HoldLagTime, &l.HoldLagTimePage, &l.HoldReplayPaused}
}
