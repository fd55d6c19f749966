package config

import (
	"maps"
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// holdFields gives the threshold of each name that `hold:` accepts. Conditions
// whose first sight is already proof (two system identifiers, diverged
// timelines, a stopped operation) have no hold to change.
func holdFields(l *view.Limits) map[string]*time.Duration {
	all := map[string]*time.Duration{
		"no_primary":             &l.HoldNoPrimary,
		"postgres_down":          &l.HoldPrimaryDown,
		"standby_down":           &l.HoldStandbyDown,
		"commits_failing":        &l.HoldCommits,
		"replication_down":       &l.HoldReplicationDown,
		"peer_unreachable":       &l.HoldPeer,
		"peer_path_partial":      &l.HoldPath,
		"app_health_failing":     &l.HoldApp,
		"unexpected_role_change": &l.HoldRole,
		"two_primaries":          &l.HoldTwoPrimaries,
		"no_sample":              &l.HoldNoSample,
		"failover_not_ready":     &l.HoldNotReady,
	}
	maps.Copy(all, lagHolds(&l.LagLimits))
	maps.Copy(all, serverHolds(l))
	return all
}

// HoldNames lists what `hold:` accepts, sorted.
func HoldNames() []string {
	return slices.Sorted(maps.Keys(holdFields(new(view.Limits))))
}

// freshPeriods is how many periods of the position probe an answer stays proof
// of what a server is (view.Limits.Fresh).
const freshPeriods = 6

// Limits gives the thresholds of Judge: its defaults, with the holds of the
// file, and with ages that grow with the periods of slower probes.
func (c *Config) Limits() view.Limits {
	l := view.DefaultLimits()
	l.Fresh = max(l.Fresh, freshPeriods*c.Probes.Position)
	l.StatusFresh = max(l.StatusFresh, time.Duration(c.Probes.Misses)*c.Probes.SQL+c.Probes.SQLDeadline)
	l.AppMisses = c.Probes.Misses
	c.Thresholds.Lag.apply(&l.LagLimits)
	l.Thresholds = c.judging()
	fields := holdFields(&l)
	for name, hold := range c.Hold {
		if f, ok := fields[name]; ok {
			*f = hold
		}
	}
	return l
}
