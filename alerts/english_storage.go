package alerts

func englishStorage() StoragePhrases {
	return StoragePhrases{enDiskSpace, enSlotLost, enSlotInactive, enSlotRetentionHigh, enArchiverFailing, enWalGap}
}

func enDiskSpace(f Facts) Text {
	return Text{
		Subject:  "DiskSpace: " + f.Subject,
		Sentence: "The file system of " + f.Subject + " is running out of room.",
		Meaning: "When pg_wal is full, PostgreSQL stops; when the data directory is, writes fail. Find what grows before you delete: " +
			"a slot that nobody reads, an archiver that fails, logs. Never delete files in pg_wal by hand.",
		Action: "watchdog status",
	}
}

func enSlotLost(f Facts) Text {
	return Text{
		Subject:  "SlotLost: " + f.Subject,
		Sentence: "The replication slot " + f.Subject + " has lost WAL, or is about to.",
		Meaning: "Its standby cannot catch up from the primary any more: it needs the WAL from an archive, or a new copy. " +
			"Until then there is nothing to promote.",
		Action: "watchdog status",
	}
}

func enSlotInactive(f Facts) Text {
	return Text{
		Subject:  "SlotInactive: " + f.Subject,
		Sentence: "Nobody reads the replication slot " + f.Subject + ".",
		Meaning: "It keeps WAL on its server until its reader is back, or until the disk is full. " +
			"Bring the standby back; drop the slot only when its reader will not come back, because the standby then needs a new copy.",
		Action: "watchdog status",
	}
}

func enSlotRetentionHigh(f Facts) Text {
	return Text{
		Subject:  "SlotRetentionHigh: " + f.Subject,
		Sentence: "The replication slot " + f.Subject + " keeps a lot of WAL.",
		Meaning: "Either the disk fills, or PostgreSQL gives the slot up and the standby needs a new copy: bring the standby back in time. " +
			"max_slot_wal_keep_size decides which of the two comes first.",
		Action: "watchdog status",
	}
}

func enArchiverFailing(f Facts) Text {
	return Text{
		Subject:  "ArchiverFailing: " + f.Subject,
		Sentence: "PostgreSQL on " + f.Subject + " does not get its WAL into the archive.",
		Meaning: "WAL piles up in pg_wal until the disk is full, and a restore to a moment from now on is not possible. " +
			"Look at the archive's target and its permissions; PostgreSQL's log has the words of archive_command.",
		Action: "watchdog status",
	}
}

func enWalGap(f Facts) Text {
	return Text{
		Subject:  "WalGap: " + f.Subject,
		Sentence: "The WAL archive of " + f.Cluster + " has a hole.",
		Meaning: "A restore stops at the hole, whatever was archived after it. Look whether the server, or the standby, still has the missing segments in pg_wal; " +
			"if not, make a full backup now: it begins after the hole.",
		Action: "watchdog status",
	}
}
