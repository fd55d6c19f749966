package config

import (
	"testing"
	"time"
)

func TestLimits_HoldsOfTheFileAndAgesOfSlowProbes(t *testing.T) {
	c := mustLoad(t, minimal+"hold: {no_primary: 2s, standby_down: 3s}\nprobes: {position: 2s, misses: 5}\n")
	l := c.Limits()
	if l.HoldNoPrimary != 2*time.Second || l.HoldStandbyDown != 3*time.Second || l.HoldPrimaryDown != 15*time.Second {
		t.Errorf("holds = %v %v %v", l.HoldNoPrimary, l.HoldStandbyDown, l.HoldPrimaryDown)
	}
	if l.Fresh != 12*time.Second || l.AppMisses != 5 || l.StatusFresh != 27*time.Second {
		t.Errorf("fresh = %v, misses = %d, status fresh = %v", l.Fresh, l.AppMisses, l.StatusFresh)
	}
	if err := l.Check(); err != nil {
		t.Error(err)
	}
}
