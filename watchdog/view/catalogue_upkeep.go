package view

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

// The conditions of a server's upkeep, of settings and versions, and of the
// services. The subject is the node, NODE-NODE where two differ, NODE/ROLE for a
// password and NODE/collation for a collation library.
const (
	SyncStandbyMissing      Code = "SyncStandbyMissing"
	ChecksumFailures        Code = "ChecksumFailures"
	XidWraparound           Code = "XidWraparound"
	ConnectionSaturation    Code = "ConnectionSaturation"
	VersionMismatch         Code = "VersionMismatch"
	ConfigDrift             Code = "ConfigDrift"
	StandbyConflicts        Code = "StandbyConflicts"
	LongTransaction         Code = "LongTransaction"
	PendingRestart          Code = "PendingRestart"
	AuthBroken              Code = "AuthBroken"
	ClockSkew               Code = "ClockSkew"
	WatchdogDegraded        Code = "WatchdogDegraded"
	WatchdogConfigDrift     Code = "WatchdogConfigDrift"
	WatchdogVersionMismatch Code = "WatchdogVersionMismatch"
)

const sessionQuery = `psql -c "SELECT pid, usename, application_name, state, now() - xact_start AS open FROM pg_stat_activity ORDER BY xact_start"`

// upkeepRules are about what a server says of itself.
var upkeepRules = []Entry{
	{
		Code: SyncStandbyMissing, Means: "commits wait for a synchronous standby, and none is connected",
		Refute:   "an SQL answer with a synchronous standby, or without synchronous_standby_names",
		Severity: alerts.SeverityPage, Hold: func(l Limits) time.Duration { return l.HoldSyncStandby },
		Hint:    `psql -c "SELECT application_name, state, sync_state FROM pg_stat_replication"`,
		Runbook: "sync-standby-missing", InhibitedBy: []Code{NoPrimary, CommitsFailing},
	},
	{
		Code: ChecksumFailures, Means: "PostgreSQL has read pages whose checksum is wrong",
		Refute:   "nothing: pages were wrong when they were read; statistics that are reset only forget it",
		Severity: alerts.SeverityPage, Hold: noHold,
		Hint:    `psql -c "SELECT datname, checksum_failures, checksum_last_failure FROM pg_stat_database"`,
		Runbook: "checksum-failures", NeverSilenced: true,
	},
	{
		Code: XidWraparound, Means: "the oldest transaction or multixact is far on the way to wraparound",
		Refute:   "an SQL answer in which the ages are below the threshold, after a VACUUM FREEZE",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldXID },
		Hint: `psql -c "SELECT datname, age(datfrozenxid), mxid_age(datminmxid) FROM pg_database"`, Runbook: "xid-wraparound",
	},
	{
		Code: ConnectionSaturation, Means: "a server has nearly no connection left for applications",
		Refute:   "an SQL answer with enough free connections",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldConnections },
		Hint:    `psql -c "SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC"`,
		Runbook: "connection-saturation", InhibitedBy: []Code{NoPrimary},
	},
	{
		Code: VersionMismatch, Means: "the servers run different versions, or a collation library has changed",
		Refute:   "SQL answers of both servers that name the same versions",
		Severity: alerts.SeverityPage, Hold: noHold,
		Hint: `psql -c "SELECT version()"`, Runbook: "version-mismatch",
	},
	{
		Code: ConfigDrift, Means: "settings that should be equal on all servers differ",
		Refute:   "SQL answers of both servers in which the settings are equal",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldConfigDrift },
		Hint: `psql -c "SELECT name, setting, sourcefile, sourceline FROM pg_settings WHERE sourcefile IS NOT NULL"`, Runbook: "config-drift",
	},
	{
		Code: StandbyConflicts, Means: "replay on a standby cancels queries",
		Refute:   "SQL answers of NODE between which fewer queries were cancelled than the threshold",
		Severity: alerts.SeverityWarning, Hold: noHold, // it is counted over ten minutes already
		Hint: `psql -c "SELECT * FROM pg_stat_database_conflicts"`, Runbook: "standby-conflicts",
	},
	{
		Code: LongTransaction, Means: "a session has been idle in a transaction, or in one query, for very long",
		Refute:   "an SQL answer without a session that is so old",
		Severity: alerts.SeverityWarning, Hold: noHold, // it has lasted already
		Hint: sessionQuery, Runbook: "long-transaction",
	},
	{
		Code: PendingRestart, Means: "changed settings wait for a restart of PostgreSQL",
		Refute:   "an SQL answer in which no setting waits for a restart",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldPendingRestart },
		Hint: `psql -c "SELECT name, setting FROM pg_settings WHERE pending_restart"`, Runbook: "pending-restart",
	},
}
