package view

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

// serviceRules are about the watchdogs and what lies between them.
var serviceRules = []Entry{
	{
		Code: AuthBroken, Means: "PostgreSQL refuses the watchdog's login, or a password that replication or the watchdog needs ends",
		Refute:   "a fresh login that is let in, and passwords that end later",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldAuth },
		Hint: "watchdog config show", Runbook: "auth-broken",
	},
	{
		Code: ClockSkew, Means: "the clocks of two nodes are apart",
		Refute:   "direct measurements between the two nodes that are closer together",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldClockSkew },
		Hint: "timedatectl", Runbook: "clock-skew",
	},
	{
		Code: WatchdogDegraded, Means: "a watchdog's loops are late, or it cannot measure its own disks or write its state",
		Refute:   "a report of NODE with loops that are on time, disks that it could measure and a state that it could write",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldWatchdogDegraded },
		Hint: "journalctl -u pg-watchdog -n 50", Runbook: "watchdog-degraded",
	},
	{
		Code: WatchdogConfigDrift, Means: "the configurations of two nodes differ in settings that all share",
		Refute:   "reports of both nodes with one and the same hash of the shared settings",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldWatchdogConfig },
		Hint: "watchdog config show", Runbook: "watchdog-config-drift",
	},
	{
		Code: WatchdogVersionMismatch, Means: "two nodes run different versions of the watchdog",
		Refute:   "reports of both nodes with one and the same version",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldWatchdogVersion },
		Hint: "watchdog version", Runbook: "watchdog-version-mismatch",
	},
}
