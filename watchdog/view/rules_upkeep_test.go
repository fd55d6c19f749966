package view_test

import (
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// kept lets everybody see what db1 says of its upkeep.
func kept(s *scene, change func(*replication.Status, *replication.Health)) *scene {
	return s.all("db1", func(r *view.ServerReport) {
		r.Status.StatsVisible, r.Status.MaxConnections, r.Status.XIDAge = true, 100, 1000
		h := replication.Health{MultiXIDAge: 10, ReservedConnections: 3}
		change(r.Status, &h)
		r.Status.Health = &h
	})
}

func TestUpkeep_Rules(t *testing.T) {
	session := replication.SessionRow{PID: 4711, User: "gest", ApplicationName: "cassa", Database: "negozio"}
	lasts := func(d time.Duration) *replication.SessionRow { s := session; s.Lasted = d; return &s }
	for name, c := range map[string]struct {
		change func(*replication.Status, *replication.Health)
		want   string
		text   string
	}{
		"quiet":                  {func(*replication.Status, *replication.Health) {}, "", ""},
		"72 of 97 connections":   {func(s *replication.Status, _ *replication.Health) { s.Connections = 72 }, "", ""},
		"73 of 97 connections":   {func(s *replication.Status, _ *replication.Health) { s.Connections = 73 }, "ConnectionSaturation/db1 warning", "uses 73 of the 97 connections"},
		"88 of 97 connections":   {func(s *replication.Status, _ *replication.Health) { s.Connections = 88 }, "ConnectionSaturation/db1 page", "88 of the 97"},
		"half way to wraparound": {func(s *replication.Status, _ *replication.Health) { s.XIDAge = 1 << 30 }, "XidWraparound/db1 warning", "oldest transactions of db1 have used 50 %"},
		"near wraparound":        {func(s *replication.Status, _ *replication.Health) { s.XIDAge = 3 << 29 }, "XidWraparound/db1 page", "75 %"},
		"multixacts, half way":   {func(_ *replication.Status, h *replication.Health) { h.MultiXIDAge = 1 << 30 }, "XidWraparound/db1 warning", "oldest multixacts"},
		"damaged pages": {func(_ *replication.Status, h *replication.Health) {
			h.ChecksumFailures, h.ChecksumDatabases, h.ChecksumAge = 2, "negozio", time.Hour
		}, "ChecksumFailures/db1 page", "has read 2 damaged pages (negozio), the last 1h00m ago"},
		"idle for 14 minutes":    {func(_ *replication.Status, h *replication.Health) { h.Idle = lasts(14 * time.Minute) }, "", ""},
		"idle for 15 minutes":    {func(_ *replication.Status, h *replication.Health) { h.Idle = lasts(15 * time.Minute) }, "LongTransaction/db1 warning", "process 4711 (cassa, user gest, database negozio) has been idle in a transaction for 15m00s"},
		"a query of 11 hours":    {func(_ *replication.Status, h *replication.Health) { h.Query = lasts(11 * time.Hour) }, "", ""},
		"a query of 12 hours":    {func(_ *replication.Status, h *replication.Health) { h.Query = lasts(12 * time.Hour) }, "LongTransaction/db1 warning", "a query of process 4711"},
		"a prepared transaction": {func(_ *replication.Status, h *replication.Health) { h.Prepared = 20 * time.Minute }, "LongTransaction/db1 warning", "a prepared transaction has been open for 20m00s"},
		"settings wait": {func(_ *replication.Status, h *replication.Health) {
			h.PendingRestart = []string{"max_connections", "shared_buffers"}
		}, "PendingRestart/db1 warning", "wait for a restart of PostgreSQL: max_connections and shared_buffers."},
		"another collation": {func(_ *replication.Status, h *replication.Health) { h.Collations = "negozio" }, "VersionMismatch/db1/collation warning", "indexes of negozio"},
		"synchronous standby": {func(s *replication.Status, _ *replication.Health) {
			s.SynchronousStandbyNames, s.Standbys[0].SyncState = "db2", "sync"
		}, "", ""},
		"quorum standby": {func(s *replication.Status, _ *replication.Health) {
			s.SynchronousStandbyNames, s.Standbys[0].SyncState = "ANY 1 (db2)", "quorum"
		}, "", ""},
		"potential standby only": {func(s *replication.Status, _ *replication.Health) {
			s.SynchronousStandbyNames, s.Standbys[0].SyncState = "db3", "async"
		}, "SyncStandbyMissing/db1 page", "synchronous standby (db3), and there is none"},
		"commits wait for nobody": {func(s *replication.Status, _ *replication.Health) {
			s.SynchronousStandbyNames, s.SynchronousCommit, s.Standbys = "db2", "local", s.Standbys[:1]
		}, "", ""},
		"rows of others not seen": {func(s *replication.Status, _ *replication.Health) {
			s.SynchronousStandbyNames, s.StatsVisible = "db2", false
		}, "", ""},
		"password ends in a week": {func(_ *replication.Status, h *replication.Health) {
			h.Expiring = []replication.LoginRow{{Role: "watchdog_repl", Replication: true, Left: 7 * 24 * time.Hour}}
		}, "AuthBroken/db1/watchdog_repl warning", "ends in 7 days"},
		"password ends in a month": {func(_ *replication.Status, h *replication.Health) {
			h.Expiring = []replication.LoginRow{{Role: "watchdog_repl", Replication: true, Left: 29 * 24 * time.Hour}}
		}, "", ""},
		"password of replication has ended": {func(_ *replication.Status, h *replication.Health) {
			h.Expiring = []replication.LoginRow{{Role: "watchdog_repl", Replication: true, Expired: true}}
		}, "AuthBroken/db1/watchdog_repl page", "has ended"},
		"password of watching has ended": {func(_ *replication.Status, h *replication.Health) {
			h.Expiring = []replication.LoginRow{{Role: "watchdog_mon", Expired: true}}
		}, "AuthBroken/db1/watchdog_mon warning", "has ended"},
	} {
		t.Run(name, func(t *testing.T) {
			s := kept(pair(t), c.change)
			if c.want == "" {
				s.tells()
				return
			}
			s.tells([2]string{c.want, c.text})
		})
	}
}

func TestUpkeep_NotKnown_RaisesNothingAndSaturationNeedsTheReserve(t *testing.T) {
	pair(t).all("db1", func(r *view.ServerReport) {
		r.Status.Connections, r.Status.MaxConnections, r.Status.XIDAge = 99, 100, 2_000_000_000
	}).tells() // an observer too old to know the rest
}

func TestStandbyConflicts_CountInTheWindow(t *testing.T) {
	few, many := uint64(9), uint64(10)
	pair(t).all("db2", func(r *view.ServerReport) { r.ConflictsRecent = &few }).tells()
	pair(t).all("db2", func(r *view.ServerReport) { r.ConflictsRecent = &many }).
		tells([2]string{"StandbyConflicts/db2 warning", "has canceled 10 queries in the last 10m00s"})
}

func TestSettings_Rules(t *testing.T) {
	version := func(node string, n int) func(*scene) *scene {
		return func(s *scene) *scene { return s.all(node, func(r *view.ServerReport) { r.Status.ServerVersion = n }) }
	}
	set := func(node, name, value string) func(*scene) *scene {
		return func(s *scene) *scene { return s.with(node, name, value) }
	}
	for name, c := range map[string]struct {
		changes []func(*scene) *scene
		want    string
		text    string
	}{
		"equal":                        {[]func(*scene) *scene{set("db1", "wal_level", "replica"), set("db2", "wal_level", "replica")}, "", ""},
		"known on one":                 {[]func(*scene) *scene{set("db1", "wal_level", "replica"), set("db2", "fsync", "on")}, "", ""},
		"differ":                       {[]func(*scene) *scene{set("db1", "fsync", "on"), set("db2", "fsync", "off")}, "ConfigDrift/db1-db2 warning", "fsync is on on db1 and off on db2"},
		"standby higher":               {[]func(*scene) *scene{set("db1", "max_connections", "100"), set("db2", "max_connections", "200")}, "ConfigDrift/db1-db2 warning", "max_connections is 100 on db1"},
		"standby lower":                {[]func(*scene) *scene{set("db1", "max_connections", "100"), set("db2", "max_connections", "60")}, "ConfigDrift/db1-db2 page", "The standby db2 is below its primary in max_connections"},
		"with units":                   {[]func(*scene) *scene{set("db1", "max_slot_wal_keep_size", "96"), set("db2", "max_slot_wal_keep_size", "-1")}, "ConfigDrift/db1-db2 warning", "max_slot_wal_keep_size is 96MB on db1 and -1 on db2"},
		"started isolated by the gate": {[]func(*scene) *scene{set("db1", "recovery_target_timeline", "latest"), set("db2", "recovery_target_timeline", "current")}, "", ""},
		"released since":               {[]func(*scene) *scene{set("db1", "recovery_target_timeline", "current"), set("db2", "recovery_target_timeline", "latest")}, "", ""},
		"sealed": {[]func(*scene) *scene{set("db1", "fsync", "on"), set("db2", "fsync", "off"), func(s *scene) *scene {
			return s.report("db2", func(r *view.Report) { r.Durable.Marker = &fence.Marker{Operation: "K7"} })
		}}, "", ""},
		"one empty":      {[]func(*scene) *scene{set("db1", "shared_preload_libraries", ""), set("db2", "shared_preload_libraries", "x")}, "ConfigDrift/db1-db2 warning", "is empty on db1"},
		"major versions": {[]func(*scene) *scene{version("db1", 150007), version("db2", 160002)}, "VersionMismatch/db1-db2 page", "PostgreSQL is 15.7 on db1 and 16.2 on db2"},
		"minor versions": {[]func(*scene) *scene{version("db1", 150007), version("db2", 150006)}, "VersionMismatch/db1-db2 warning", "15.6"},
		"one unknown":    {[]func(*scene) *scene{version("db1", 150007)}, "", ""},
		"version as a setting is told once": {[]func(*scene) *scene{version("db1", 150007), version("db2", 150006),
			set("db1", "server_version_num", "150007"), set("db2", "server_version_num", "150006")}, "VersionMismatch/db1-db2 warning", "15.6"},
	} {
		t.Run(name, func(t *testing.T) {
			s := pair(t)
			for _, change := range c.changes {
				s = change(s)
			}
			if c.want == "" {
				s.tells()
				return
			}
			s.tells([2]string{c.want, c.text})
		})
	}
	s := version("db2", 150006)(version("db1", 150007)(pair(t)))
	if c := pick(t, s.judge(), view.VersionMismatch); c.Hold != view.DefaultLimits().HoldMinorVersion {
		t.Errorf("held for %s: an update of one server at a time takes its days", c.Hold)
	}
}
