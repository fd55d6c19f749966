package alerts

func englishUpkeep() UpkeepPhrases {
	return UpkeepPhrases{
		enSyncStandbyMissing,
		enChecksumFailures,
		enXidWraparound,
		enConnectionSaturation,
		enVersionMismatch,
		enConfigDrift,
		enStandbyConflicts,
		enLongTransaction,
		enPendingRestart,
	}
}

func enSyncStandbyMissing(f Facts) Text {
	return Text{
		Subject:  "SyncStandbyMissing: " + f.Subject,
		Sentence: "Commits on " + f.Subject + " wait for a synchronous standby, and there is none.",
		Meaning: "Applications hang when they save. Bring the standby back; if it cannot come back soon, synchronous_standby_names can be emptied: " +
			"from then on a failure of this server loses what only it has.",
		Action: "watchdog status",
	}
}

func enChecksumFailures(f Facts) Text {
	return Text{
		Subject:  "ChecksumFailures: " + f.Subject,
		Sentence: "PostgreSQL on " + f.Subject + " has read damaged pages.",
		Meaning: "Its disk, controller or memory gives back what was not written, and more may be damaged than was read. Keep every backup that exists, " +
			"check whether the other server holds the same data undamaged, and look at the kernel log. The condition ends when the statistics are reset after the repair.",
		Action: "watchdog status",
	}
}

func enXidWraparound(f Facts) Text {
	return Text{
		Subject:  "XidWraparound: " + f.Subject,
		Sentence: "Transactions on " + f.Subject + " are far on the way to wraparound.",
		Meaning: "At the end PostgreSQL refuses every write until it is vacuumed by hand. Something holds vacuum back: a forgotten transaction, " +
			"a prepared one, an old slot, or autovacuum that cannot keep up.",
		Action: "watchdog status",
	}
}

func enConnectionSaturation(f Facts) Text {
	return Text{
		Subject:  "ConnectionSaturation: " + f.Subject,
		Sentence: "PostgreSQL on " + f.Subject + " has nearly no connection left.",
		Meaning:  "Soon applications get \"too many clients\". Usual causes: a pool that leaks, an application started twice, sessions idle in a transaction.",
		Action:   "watchdog status",
	}
}

func enVersionMismatch(f Facts) Text {
	return Text{
		Subject:  "VersionMismatch: " + f.Subject,
		Sentence: "Versions do not match on " + f.Subject + ".",
		Meaning: "Servers of different major versions cannot replicate, and a standby must not be older than its primary for long. " +
			"After a change of the collation library, indexes over text may be in the wrong order and miss rows until they are rebuilt.",
		Action: "watchdog status",
	}
}

func enConfigDrift(f Facts) Text {
	return Text{
		Subject:  "ConfigDrift: " + f.Subject,
		Sentence: "The settings of PostgreSQL differ between " + f.Subject + ".",
		Meaning: "After a promotion the other settings apply, at the worst moment. A standby with less connections, workers, senders or locks than its primary " +
			"stops replaying, and does not start again. Raise them on the standby first, lower them on the primary first.",
		Action: "watchdog status",
	}
}

func enStandbyConflicts(f Facts) Text {
	return Text{
		Subject:  "StandbyConflicts: " + f.Subject,
		Sentence: "Replay on " + f.Subject + " cancels queries.",
		Meaning:  "Reports that run on the standby fail. Run them elsewhere or at another time, or weigh hot_standby_feedback against bloat on the primary.",
		Action:   "watchdog status",
	}
}

func enLongTransaction(f Facts) Text {
	return Text{
		Subject:  "LongTransaction: " + f.Subject,
		Sentence: "A transaction on " + f.Subject + " has been open for very long.",
		Meaning:  "It keeps locks, and vacuum cannot remove rows that it might still see: tables grow. Find out whose it is before you end it with pg_terminate_backend.",
		Action:   "watchdog status",
	}
}

func enPendingRestart(f Facts) Text {
	return Text{
		Subject:  "PendingRestart: " + f.Subject,
		Sentence: "Settings of PostgreSQL on " + f.Subject + " wait for a restart.",
		Meaning:  "The file says one thing and the server does another; the next restart, perhaps an unplanned one, changes it. Plan it, the standby first.",
		Action:   "watchdog status",
	}
}
