package view

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

// The conditions of slots, disks and the archiver. Subjects are NODE/SLOT and
// NODE/USE, the node for the archiver, and SubjectArchive.
const (
	SlotLost          Code = "SlotLost"
	SlotInactive      Code = "SlotInactive"
	SlotRetentionHigh Code = "SlotRetentionHigh"
	DiskSpace         Code = "DiskSpace"
	ArchiverFailing   Code = "ArchiverFailing"
	WalGap            Code = "WalGap"
)

// SubjectArchive is the WAL archive, whoever looks at it.
const SubjectArchive = "archive"

// slotQuery shows what the rules on slots look at, on the server in question.
const slotQuery = `psql -c "SELECT slot_name, active, wal_status, safe_wal_size, restart_lsn FROM pg_replication_slots"`

// storageRules are about what fills a disk, and what must stay on it.
var storageRules = []Entry{
	{
		Code: DiskSpace, Means: "a file system of a node is nearly full, of bytes or inodes, or will be at the present rate",
		Refute:   "an own measurement of NODE with more room than the threshold, and a rate at which it lasts",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldDiskSpace },
		Hint: "df -h; df -i", Runbook: "disk-space",
	},
	{
		Code: SlotLost, Means: "a replication slot has lost, or no longer keeps, WAL that its consumer needs",
		Refute:   "an SQL answer in which the slot is reserved or extended again, or is gone because it was dropped",
		Severity: alerts.SeverityPage, Hold: noHold,
		Hint: slotQuery, Runbook: "slot-lost",
	},
	{
		Code: SlotInactive, Means: "a replication slot keeps WAL and nobody reads it",
		Refute:   "an SQL answer in which the slot is active, or does not exist any more",
		Severity: alerts.SeverityPage, Hold: func(l Limits) time.Duration { return l.HoldSlotInactive },
		Hint: slotQuery, Runbook: "slot-inactive", InhibitedBy: []Code{NoPrimary, ReplicationDown},
	},
	{
		Code: SlotRetentionHigh, Means: "a replication slot keeps much of what it may keep, or of what the disk has free",
		Refute:   "an SQL answer in which the slot keeps less than the threshold",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldSlotRetention },
		Hint: slotQuery, Runbook: "slot-retention-high",
	},
	{
		Code: ArchiverFailing, Means: "the archiver fails, or segments pile up in front of it",
		Refute:   "an SQL answer whose newest attempt succeeded, and few .ready files in an own count of NODE",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldArchiver },
		Hint: `psql -c "SELECT * FROM pg_stat_archiver"`, Runbook: "archiver-failing",
	},
	{
		Code: WalGap, Means: "segments, or a timeline's history, are missing in the WAL archive, or it cannot be looked at",
		Refute:   "the archive can be read, and no segment between its first and its last and no timeline's history is missing",
		Severity: alerts.SeverityPage, Hold: func(l Limits) time.Duration { return l.HoldWALGap },
		Hint: "watchdog config show", Runbook: "wal-gap",
	},
}
