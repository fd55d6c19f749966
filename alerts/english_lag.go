package alerts

func englishLag() LagPhrases {
	return LagPhrases{enReplicationLagBytes, enReplicationLagTime, enReplayPaused}
}

func enReplicationLagBytes(f Facts) Text {
	return Text{
		Subject:  "ReplicationLagBytes: standby " + f.Subject,
		Sentence: "The standby " + f.Subject + " is many bytes behind its primary.",
		Meaning: "What it has not received would be lost if the primary's disk were lost now; what it has received and not replayed only delays " +
			"a promotion. Look at the network, and at disk and processor of the standby.",
		Action: "watchdog status",
	}
}

func enReplicationLagTime(f Facts) Text {
	return Text{
		Subject:  "ReplicationLagTime: standby " + f.Subject,
		Sentence: "What the standby " + f.Subject + " shows is older than it should be.",
		Meaning: "Readers of the standby see old data, and a promotion has to replay the rest first. The time is measured on the primary's own " +
			"positions, so an idle primary does not raise it.",
		Action: "watchdog status",
	}
}

func enReplayPaused(f Facts) Text {
	return Text{
		Subject:  "ReplayPaused: standby " + f.Subject,
		Sentence: "The standby " + f.Subject + " receives WAL and does not replay it.",
		Meaning: "Either somebody paused it, or it waits: for a setting that is lower than the primary's, or for a query that it must not cancel. " +
			"Nothing is lost, but a promotion is refused while replay is paused with WAL pending.",
		Action: "watchdog status",
	}
}
