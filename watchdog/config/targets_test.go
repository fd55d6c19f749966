package config

import (
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
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

func TestLimits_ThresholdsOfTheFile_ReachJudge(t *testing.T) {
	c := mustLoad(t, minimal+`probes: {clock_skew: 3s}
hold: {slot_inactive: 7m, minor_version_mismatch: 200h}
thresholds:
  disk: {free_warning: 20, free_page: 10, full_within: 6h}
  slots: {warning: 40, page: 60, of_free: 25}
  archiver: {ready: 12, page: 20m}
  connections: {warning: 70, page: 80}
  xid: {warning: 30, page: 40}
  sessions: {idle_in_transaction: 5m, query: 2h}
  conflicts: 4
  clock_skew_page: 20s
  password_ends: 48h
  loop_late: 5s
`)
	want := view.DefaultLimits()
	want.HoldSlotInactive, want.HoldMinorVersion = 7*time.Minute, 200*time.Hour
	want.Thresholds = view.Thresholds{
		DiskFreeWarning: 20, DiskFreePage: 10, DiskFullWithin: 6 * time.Hour, VolumeFresh: want.VolumeFresh,
		SlotWarning: 40, SlotPage: 60, SlotOfFree: 25, ArchiverReady: 12, ArchiverPage: 20 * time.Minute,
		ConnectionsWarning: 70, ConnectionsPage: 80, XIDWarning: 30, XIDPage: 40, Conflicts: 4,
		IdleInTransaction: 5 * time.Minute, LongQuery: 2 * time.Hour, ClockSkew: 3 * time.Second, ClockSkewPage: 20 * time.Second,
		PasswordEnds: 48 * time.Hour, LoopLate: 5 * time.Second,
	}
	got := c.Limits()
	if got.Thresholds != want.Thresholds || got.ServerHolds != want.ServerHolds {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
}
