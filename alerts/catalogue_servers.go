package alerts

// The codes of conditions of servers, disks and services; see view's catalogue.
const (
	CodeDiskSpace               = "DiskSpace"
	CodeSlotLost                = "SlotLost"
	CodeSlotInactive            = "SlotInactive"
	CodeSlotRetentionHigh       = "SlotRetentionHigh"
	CodeArchiverFailing         = "ArchiverFailing"
	CodeWalGap                  = "WalGap"
	CodeSyncStandbyMissing      = "SyncStandbyMissing"
	CodeChecksumFailures        = "ChecksumFailures"
	CodeXidWraparound           = "XidWraparound"
	CodeConnectionSaturation    = "ConnectionSaturation"
	CodeVersionMismatch         = "VersionMismatch"
	CodeConfigDrift             = "ConfigDrift"
	CodeStandbyConflicts        = "StandbyConflicts"
	CodeLongTransaction         = "LongTransaction"
	CodePendingRestart          = "PendingRestart"
	CodeAuthBroken              = "AuthBroken"
	CodeClockSkew               = "ClockSkew"
	CodeWatchdogDegraded        = "WatchdogDegraded"
	CodeWatchdogConfigDrift     = "WatchdogConfigDrift"
	CodeWatchdogVersionMismatch = "WatchdogVersionMismatch"
)

// StoragePhrases are the words on slots, disks and the archiver.
type StoragePhrases struct {
	DiskSpace         Phrase
	SlotLost          Phrase
	SlotInactive      Phrase
	SlotRetentionHigh Phrase
	ArchiverFailing   Phrase
	WalGap            Phrase
}

func (p StoragePhrases) known() map[string]Phrase {
	return map[string]Phrase{
		CodeDiskSpace:         p.DiskSpace,
		CodeSlotLost:          p.SlotLost,
		CodeSlotInactive:      p.SlotInactive,
		CodeSlotRetentionHigh: p.SlotRetentionHigh,
		CodeArchiverFailing:   p.ArchiverFailing,
		CodeWalGap:            p.WalGap,
	}
}

// UpkeepPhrases are the words on a server's upkeep, settings and versions.
type UpkeepPhrases struct {
	SyncStandbyMissing   Phrase
	ChecksumFailures     Phrase
	XidWraparound        Phrase
	ConnectionSaturation Phrase
	VersionMismatch      Phrase
	ConfigDrift          Phrase
	StandbyConflicts     Phrase
	LongTransaction      Phrase
	PendingRestart       Phrase
}

func (p UpkeepPhrases) known() map[string]Phrase {
	return map[string]Phrase{
		CodeSyncStandbyMissing:   p.SyncStandbyMissing,
		CodeChecksumFailures:     p.ChecksumFailures,
		CodeXidWraparound:        p.XidWraparound,
		CodeConnectionSaturation: p.ConnectionSaturation,
		CodeVersionMismatch:      p.VersionMismatch,
		CodeConfigDrift:          p.ConfigDrift,
		CodeStandbyConflicts:     p.StandbyConflicts,
		CodeLongTransaction:      p.LongTransaction,
		CodePendingRestart:       p.PendingRestart,
	}
}

// ServicePhrases are the words on the watchdogs and what lies between them.
type ServicePhrases struct {
	AuthBroken              Phrase
	ClockSkew               Phrase
	WatchdogDegraded        Phrase
	WatchdogConfigDrift     Phrase
	WatchdogVersionMismatch Phrase
}

func (p ServicePhrases) known() map[string]Phrase {
	return map[string]Phrase{
		CodeAuthBroken:              p.AuthBroken,
		CodeClockSkew:               p.ClockSkew,
		CodeWatchdogDegraded:        p.WatchdogDegraded,
		CodeWatchdogConfigDrift:     p.WatchdogConfigDrift,
		CodeWatchdogVersionMismatch: p.WatchdogVersionMismatch,
	}
}
