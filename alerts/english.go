package alerts

// English is the catalogue in English. The literals have no field names on
// purpose: a missing entry does not compile.
func English() Catalogue {
	return Catalogue{
		enNoPrimary,
		enPostgresDown,
		enTwoPrimaries,
		enCommitsFailing,
		enReplicationDown,
		enSystemIDMismatch,
		enTimelineDivergence,
		enPeerUnreachable,
		enPeerPathPartial,
		enAppHealthFailing,
		enUnexpectedRoleChange,
		enOperationStopped,
		enStateUnreadable,
		enSupersededPrimary,
		enNoSample,
		enPositionWentBack,
		enFailoverNotReady,
		enNotificationFailing,
		englishLag(),
		englishStorage(),
		englishUpkeep(),
		englishService(),
		enOther,
		englishWords(),
	}
}

func enNoPrimary(f Facts) Text {
	return Text{
		Subject:  "NoPrimary: no writable server in " + f.Cluster,
		Sentence: "No server of " + f.Cluster + " accepts writes.",
		Meaning: "Applications cannot save anything. The watchdog does not promote by itself: it waits for an operator. " +
			"The plan says beforehand what a promotion would lose.",
		Action: "watchdog status",
	}
}

func enPostgresDown(f Facts) Text {
	return Text{
		Subject:  "PostgresDown: PostgreSQL on " + f.Subject,
		Sentence: "PostgreSQL on " + f.Subject + " does not answer.",
		Meaning:  "If it is the primary, nothing can be saved; if it is the standby, there is nothing to promote until it is back.",
		Action:   "watchdog status",
	}
}

func enTwoPrimaries(f Facts) Text {
	return Text{
		Subject:  "TwoPrimaries: two writable servers in " + f.Cluster,
		Sentence: "Two servers of one system identifier accept writes.",
		Meaning: "Split brain: what is written to one is missing on the other, and each further write must later be thrown away on one side. " +
			"Stop the application first, fence the server that must not write, restart neither.",
		Action: "watchdog status",
	}
}

func enCommitsFailing(f Facts) Text {
	return Text{
		Subject:  "CommitsFailing: writes on " + f.Subject,
		Sentence: "The primary " + f.Subject + " answers, but no commit gets through.",
		Meaning: "Applications wait or get errors when they save. Either the standby that every commit waits for is gone, " +
			"or the disk does not answer, or the server refuses writes: the evidence says which.",
		Action: "watchdog status",
	}
}

func enReplicationDown(f Facts) Text {
	return Text{
		Subject:  "ReplicationDown: standby of " + f.Cluster,
		Sentence: "The standby of " + f.Cluster + " does not receive WAL.",
		Meaning:  "From now on a promotion would lose what was written since, and the primary keeps WAL for the standby on its disk.",
		Action:   "watchdog status",
	}
}

func enSystemIDMismatch(f Facts) Text {
	return Text{
		Subject:  "SystemIdMismatch: foreign server in " + f.Cluster,
		Sentence: "The servers have different system identifiers (seen on " + f.Subject + ").",
		Meaning:  "One of them is another database, by a wrong address or a new initdb. Every operation is refused until it is the right one.",
		Action:   "watchdog status",
	}
}

func enTimelineDivergence(f Facts) Text {
	return Text{
		Subject:  "TimelineDivergence: histories of " + f.Cluster + " part",
		Sentence: "A server holds WAL that is not in the history of the other (" + f.Subject + ").",
		Meaning:  "It cannot follow without a rewind or a clone, and what only it holds would be lost by either. Restart neither server.",
		Action:   "watchdog status",
	}
}

func enPeerUnreachable(f Facts) Text {
	return Text{
		Subject:  "PeerUnreachable: " + f.Subject,
		Sentence: "Neither the service nor the server of " + f.Subject + " can be reached.",
		Meaning:  "The node is off, or the network between the nodes is cut; from one side the two look alike. Unreachable is not fenced.",
		Action:   "watchdog status",
	}
}

func enPeerPathPartial(f Facts) Text {
	return Text{
		Subject:  "PeerPathPartial: " + f.Subject,
		Sentence: "The service of " + f.Subject + " is reached, but no gossip comes from it.",
		Meaning:  "The nodes still watch both servers, but tell each other less: look at the firewall, UDP and TCP of the gossip port.",
		Action:   "watchdog status",
	}
}

func enAppHealthFailing(f Facts) Text {
	return Text{
		Subject:  "AppHealthFailing: application on " + f.Subject,
		Sentence: "The health endpoint of the application on " + f.Subject + " fails.",
		Meaning:  "Users are likely to see errors although the database may be well.",
		Action:   "watchdog status",
	}
}

func enUnexpectedRoleChange(f Facts) Text {
	return Text{
		Subject:  "UnexpectedRoleChange: " + f.Subject,
		Sentence: "The role of " + f.Subject + " changed without a confirmed operation.",
		Meaning:  "Somebody or something promoted or restarted a server past the watchdog. Make sure that only one server writes.",
		Action:   "watchdog history",
	}
}

func enOperationStopped(f Facts) Text {
	return Text{
		Subject:  "OperationStopped: operation in " + f.Cluster,
		Sentence: "A confirmed operation stopped part-way (" + f.Subject + ").",
		Meaning:  "The servers are between two states. Nothing goes on by itself: it must be resumed or aborted.",
		Action:   "watchdog ops list",
	}
}

func enStateUnreadable(f Facts) Text {
	return Text{
		Subject:  "StateUnreadable: " + f.Subject,
		Sentence: "The watchdog on " + f.Subject + " cannot read its own state.",
		Meaning:  "It goes on watching and refuses to act; PostgreSQL there would start as an isolated standby at most. Nothing was overwritten.",
		Action:   "watchdog status",
	}
}

func enSupersededPrimary(f Facts) Text {
	return Text{
		Subject:  "SupersededPrimary: " + f.Subject,
		Sentence: "The server of " + f.Subject + " was primary of an epoch that is over, and runs.",
		Meaning:  "It must not accept writes. Keep clients away from it until it is fenced or has rejoined.",
		Action:   "watchdog fence " + f.Subject,
	}
}

func enNoSample(f Facts) Text {
	return Text{
		Subject:  "NoSample: " + f.Subject,
		Sentence: "What is needed to judge " + f.Subject + " is not known.",
		Meaning:  "A failure there could go unnoticed. The usual causes are a refused login, a full connection limit or a cut network.",
		Action:   "watchdog status",
	}
}

func enPositionWentBack(f Facts) Text {
	return Text{
		Subject:  "PositionWentBack: " + f.Subject,
		Sentence: "The primary " + f.Subject + " is at an older position than it was seen at before.",
		Meaning: "WAL that was there is gone: its disk was put back to an older state or lied about what it wrote, or something else answers at its address. " +
			"Rows that were confirmed may be missing; a standby may still have them. Restart neither server, and rewind or clone nothing yet.",
		Action: "watchdog status",
	}
}

func enFailoverNotReady(f Facts) Text {
	return Text{
		Subject:  "FailoverNotReady: " + f.Subject,
		Sentence: "A promotion or a switchover to " + f.Subject + " would not work now.",
		Meaning: "Nothing has failed yet. If it were needed tonight it would be refused, or nobody can say that it would not: " +
			"the evidence names each check and what mends it. It is checked again every minute.",
		Action: "watchdog status",
	}
}

func enNotificationFailing(f Facts) Text {
	return Text{
		Subject:  "NotificationFailing: " + f.Subject,
		Sentence: "Messages do not leave through " + f.Subject + ".",
		Meaning: "Other alerts may not reach you. Waiting messages are kept and sent when the channel works. " +
			"For Gmail: changing the account's password revokes application passwords.",
		Action: "watchdog status",
	}
}

func enOther(code string) Phrase {
	return func(f Facts) Text {
		return Text{
			Subject:  code + ": " + f.Subject,
			Sentence: code + " on " + f.Subject + ".",
			Meaning:  "See the evidence below.",
			Action:   "watchdog status",
		}
	}
}
