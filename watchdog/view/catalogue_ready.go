package view

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

// FailoverNotReady says that what an operator would type on the night would be
// refused.
const FailoverNotReady Code = "FailoverNotReady"

// readyRules are about whether the pair could change roles.
var readyRules = []Entry{
	{
		Code: FailoverNotReady, Means: "a promotion or a switchover to this node would be refused or is not known to work",
		Refute:   "one round of checks on NODE in which every check of the operation passes",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldNotReady },
		Hint: "watchdog status", Runbook: "failover-not-ready",
		InhibitedBy: []Code{NoPrimary, PeerUnreachable, ReplicationDown, PostgresDown, ReplicationLagBytes, ReplayPaused, DiskSpace, ArchiverFailing,
			ClockSkew, VersionMismatch, ConfigDrift, SystemIdMismatch, TimelineDivergence, StateUnreadable, OperationStopped},
	},
}
