package view

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

// The conditions of lag.
const (
	ReplicationLagBytes Code = "ReplicationLagBytes"
	ReplicationLagTime  Code = "ReplicationLagTime"
	ReplayPaused        Code = "ReplayPaused"
)

// lagRules are about standbys that are behind. A standby that receives nothing,
// or a primary that is gone, says it all: their lag grows by that alone.
var lagRules = []Entry{
	{
		Code: ReplicationLagBytes, Means: "a standby is many bytes behind in making WAL durable, or in replaying it",
		Refute:   "NODE is less behind than the threshold, by the positions of one fresh sample of both servers",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldLagBytes },
		Hint: "watchdog status", Runbook: "replication-lag", InhibitedBy: []Code{NoPrimary, ReplicationDown, PeerUnreachable},
	},
	{
		Code: ReplicationLagTime, Means: "a standby has not replayed what its primary wrote some time ago, beyond the wanted delay",
		Refute:   "NODE has replayed what its primary wrote within the threshold, by the samples of one observer",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldLagTime },
		Hint: "watchdog status", Runbook: "replication-lag", InhibitedBy: []Code{NoPrimary, ReplicationDown, PeerUnreachable},
	},
	{
		Code: ReplayPaused, Means: "replay on a standby is paused, or stands still while WAL that it has received waits",
		Refute:   "replay on NODE is not paused, and its replayed position grows or has reached the received one",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldReplayPaused },
		Hint: "watchdog status", Runbook: "replay-paused", InhibitedBy: []Code{PeerUnreachable},
	},
}
