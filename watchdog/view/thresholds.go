package view

import (
	"fmt"
	"time"
)

// Thresholds are the figures above or below which a value of a server or a host
// is a finding. Percentages are whole numbers; a warning comes before its page.
type Thresholds struct {
	// DiskFreeWarning and DiskFreePage are percent free, of bytes and of inodes.
	DiskFreeWarning, DiskFreePage int
	// DiskFullWithin pages when a file system is full within it at the present rate.
	DiskFullWithin time.Duration
	// VolumeFresh is how old a measure of a file system may be.
	VolumeFresh time.Duration
	// SlotWarning and SlotPage are percent of max_slot_wal_keep_size that one
	// slot retains; SlotOfFree, a warning, is percent of the free space of pg_wal.
	SlotWarning, SlotPage, SlotOfFree int
	// ArchiverReady is how many segments may wait for the archiver; ArchiverPage
	// how long it may fail before that pages.
	ArchiverReady int
	ArchiverPage  time.Duration
	// ConnectionsWarning and ConnectionsPage are percent of the connections that
	// ordinary roles may have.
	ConnectionsWarning, ConnectionsPage int
	// XIDWarning and XIDPage are percent of the way to wraparound.
	XIDWarning, XIDPage int
	// Conflicts is how many queries replay may cancel in ConflictWindow.
	Conflicts int
	// IdleInTransaction and LongQuery are how long a session may last;
	// IdleInTransaction counts for prepared transactions too.
	IdleInTransaction, LongQuery time.Duration
	// ClockSkew and ClockSkewPage are how far two clocks may be apart.
	ClockSkew, ClockSkewPage time.Duration
	// PasswordEnds is how long before its end a password is told of, at most 30 days.
	PasswordEnds time.Duration
	// LoopLate is how late a service's own loops may wake up.
	LoopLate time.Duration
}

// DefaultThresholds are the defaults of the rule catalogue.
func DefaultThresholds() Thresholds {
	return Thresholds{
		DiskFreeWarning: 15, DiskFreePage: 5, DiskFullWithin: 24 * time.Hour, VolumeFresh: 5 * time.Minute,
		SlotWarning: 50, SlotPage: 75, SlotOfFree: 30,
		ArchiverReady: 100, ArchiverPage: 30 * time.Minute,
		ConnectionsWarning: 75, ConnectionsPage: 90,
		XIDWarning: 50, XIDPage: 75,
		Conflicts:         10,
		IdleInTransaction: 15 * time.Minute, LongQuery: 12 * time.Hour,
		ClockSkew: 2 * time.Second, ClockSkewPage: 10 * time.Second,
		PasswordEnds: 14 * 24 * time.Hour,
		LoopLate:     5 * time.Second,
	}
}

func (t Thresholds) check() error {
	for _, p := range []struct {
		name          string
		warning, page int
	}{
		{"disk free", t.DiskFreePage, t.DiskFreeWarning}, // falling: the page is the lower one
		{"slot", t.SlotWarning, t.SlotPage}, {"connections", t.ConnectionsWarning, t.ConnectionsPage}, {"xid", t.XIDWarning, t.XIDPage},
	} {
		if p.warning <= 0 || p.page > 100 || p.warning >= p.page {
			return fmt.Errorf("check limits: %s thresholds %d and %d are no rising percentages", p.name, p.warning, p.page)
		}
	}
	if t.ClockSkew <= 0 || t.ClockSkew >= t.ClockSkewPage {
		return fmt.Errorf("check limits: clock skew %s must be above 0 and below its page %s", t.ClockSkew, t.ClockSkewPage)
	}
	if t.SlotOfFree <= 0 || t.ArchiverReady <= 0 || t.Conflicts <= 0 || t.VolumeFresh <= 0 || t.ArchiverPage <= 0 ||
		t.IdleInTransaction <= 0 || t.LongQuery <= 0 || t.PasswordEnds <= 0 || t.LoopLate <= 0 || t.DiskFullWithin <= 0 {
		return fmt.Errorf("check limits: every threshold must be above 0")
	}
	return nil
}

// ServerHolds are the holds of the conditions of servers and hosts.
type ServerHolds struct {
	HoldSlotInactive     time.Duration
	HoldSlotRetention    time.Duration
	HoldDiskSpace        time.Duration
	HoldArchiver         time.Duration
	HoldWALGap           time.Duration
	HoldSyncStandby      time.Duration
	HoldClockSkew        time.Duration
	HoldConnections      time.Duration
	HoldXID              time.Duration
	HoldConfigDrift      time.Duration
	HoldPendingRestart   time.Duration
	HoldMinorVersion     time.Duration // VersionMismatch of the minor version alone
	HoldAuth             time.Duration
	HoldWatchdogVersion  time.Duration
	HoldWatchdogConfig   time.Duration
	HoldWatchdogDegraded time.Duration
}

func defaultServerHolds() ServerHolds {
	const day = 24 * time.Hour
	return ServerHolds{
		HoldSlotInactive:     5 * time.Minute,
		HoldSlotRetention:    time.Minute,
		HoldDiskSpace:        5 * time.Minute,
		HoldArchiver:         5 * time.Minute,
		HoldWALGap:           15 * time.Minute, // two looks: archivers may copy out of order
		HoldSyncStandby:      30 * time.Second,
		HoldClockSkew:        time.Minute, // one measurement may hit a pause of the host
		HoldConnections:      time.Minute,
		HoldXID:              time.Minute,
		HoldConfigDrift:      10 * time.Minute,
		HoldPendingRestart:   day,
		HoldMinorVersion:     7 * day, // an update of one server at a time takes its days
		HoldAuth:             2 * time.Minute,
		HoldWatchdogVersion:  day,
		HoldWatchdogConfig:   10 * time.Minute,
		HoldWatchdogDegraded: 2 * time.Minute,
	}
}

func (h *ServerHolds) fields() []*time.Duration {
	return []*time.Duration{
		&h.HoldSlotInactive, &h.HoldSlotRetention, &h.HoldDiskSpace, &h.HoldArchiver, &h.HoldWALGap, &h.HoldSyncStandby, &h.HoldClockSkew,
		&h.HoldConnections, &h.HoldXID, &h.HoldConfigDrift, &h.HoldPendingRestart, &h.HoldMinorVersion, &h.HoldAuth,
		&h.HoldWatchdogVersion, &h.HoldWatchdogConfig, &h.HoldWatchdogDegraded,
	}
}
