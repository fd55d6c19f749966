package config

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Thresholds are the figures above or below which a value is a finding. Numbers
// without a unit are percent, unless they say otherwise. A warning is mailed, a
// page wakes somebody.
type Thresholds struct {
	Lag         LagThresholds  `yaml:"lag"`
	Disk        DiskThresholds `yaml:"disk"`
	Slots       SlotThresholds `yaml:"slots"`
	Archiver    Archiver       `yaml:"archiver"`
	Connections Percentages    `yaml:"connections"`
	XID         Percentages    `yaml:"xid"`
	Sessions    Sessions       `yaml:"sessions"`
	// Conflicts is how many queries replay may cancel within ten minutes.
	Conflicts int `yaml:"conflicts"`
	// ClockSkewPage is how far two clocks may be apart before that pages;
	// probes.clock_skew is the warning.
	ClockSkewPage time.Duration `yaml:"clock_skew_page"`
	// PasswordEnds is how long before its end a password is told of, at most 30 days.
	PasswordEnds time.Duration `yaml:"password_ends"`
	// LoopLate is how late a service's own loops may wake up.
	LoopLate time.Duration `yaml:"loop_late"`
}

// DiskThresholds are about file systems of a node: percent free, of bytes and
// of inodes.
type DiskThresholds struct {
	FreeWarning int `yaml:"free_warning"`
	FreePage    int `yaml:"free_page"`
	// FullWithin pages when the file system is full within it at the present rate.
	FullWithin time.Duration `yaml:"full_within"`
}

// SlotThresholds are about the WAL that a replication slot retains: Warning and
// Page in percent of max_slot_wal_keep_size, OfFree, a warning, in percent of
// what the file system of pg_wal has free.
type SlotThresholds struct {
	Warning int `yaml:"warning"`
	Page    int `yaml:"page"`
	OfFree  int `yaml:"of_free"`
}

// Archiver is about WAL that waits to be archived.
type Archiver struct {
	// Ready is how many segments may wait.
	Ready int `yaml:"ready"`
	// Page is how long the archiver may fail, or a segment wait, before that pages.
	Page time.Duration `yaml:"page"`
}

// Percentages are those of a warning and of a page.
type Percentages struct {
	Warning int `yaml:"warning"`
	Page    int `yaml:"page"`
}

// Sessions are about what has been open for too long.
type Sessions struct {
	// Idle counts for sessions idle in a transaction and for prepared transactions.
	Idle  time.Duration `yaml:"idle_in_transaction"`
	Query time.Duration `yaml:"query"`
}

func defaultThresholds() Thresholds {
	d := view.DefaultThresholds()
	return Thresholds{
		Lag:         defaultLagThresholds(),
		Disk:        DiskThresholds{d.DiskFreeWarning, d.DiskFreePage, d.DiskFullWithin},
		Slots:       SlotThresholds{d.SlotWarning, d.SlotPage, d.SlotOfFree},
		Archiver:    Archiver{d.ArchiverReady, d.ArchiverPage},
		Connections: Percentages{d.ConnectionsWarning, d.ConnectionsPage},
		XID:         Percentages{d.XIDWarning, d.XIDPage},
		Sessions:    Sessions{d.IdleInTransaction, d.LongQuery},
		Conflicts:   d.Conflicts, ClockSkewPage: d.ClockSkewPage, PasswordEnds: d.PasswordEnds, LoopLate: d.LoopLate,
	}
}

// judging gives the thresholds as Judge takes them.
func (c *Config) judging() view.Thresholds {
	t, out := c.Thresholds, view.DefaultThresholds()
	out.DiskFreeWarning, out.DiskFreePage, out.DiskFullWithin = t.Disk.FreeWarning, t.Disk.FreePage, t.Disk.FullWithin
	out.SlotWarning, out.SlotPage, out.SlotOfFree = t.Slots.Warning, t.Slots.Page, t.Slots.OfFree
	out.ArchiverReady, out.ArchiverPage = t.Archiver.Ready, t.Archiver.Page
	out.ConnectionsWarning, out.ConnectionsPage = t.Connections.Warning, t.Connections.Page
	out.XIDWarning, out.XIDPage = t.XID.Warning, t.XID.Page
	out.IdleInTransaction, out.LongQuery = t.Sessions.Idle, t.Sessions.Query
	out.Conflicts, out.PasswordEnds, out.LoopLate = t.Conflicts, t.PasswordEnds, t.LoopLate
	out.ClockSkew, out.ClockSkewPage = c.Probes.ClockSkew, t.ClockSkewPage
	return out
}

// serverHolds gives the holds of the conditions of servers and hosts by the
// names that `hold:` accepts.
func serverHolds(l *view.Limits) map[string]*time.Duration {
	return map[string]*time.Duration{
		"slot_inactive":             &l.HoldSlotInactive,
		"slot_retention_high":       &l.HoldSlotRetention,
		"disk_space":                &l.HoldDiskSpace,
		"archiver_failing":          &l.HoldArchiver,
		"wal_gap":                   &l.HoldWALGap,
		"sync_standby_missing":      &l.HoldSyncStandby,
		"clock_skew":                &l.HoldClockSkew,
		"connection_saturation":     &l.HoldConnections,
		"xid_wraparound":            &l.HoldXID,
		"config_drift":              &l.HoldConfigDrift,
		"pending_restart":           &l.HoldPendingRestart,
		"minor_version_mismatch":    &l.HoldMinorVersion,
		"auth_broken":               &l.HoldAuth,
		"watchdog_version_mismatch": &l.HoldWatchdogVersion,
		"watchdog_config_drift":     &l.HoldWatchdogConfig,
		"watchdog_degraded":         &l.HoldWatchdogDegraded,
	}
}
