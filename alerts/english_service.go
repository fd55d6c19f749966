package alerts

func englishService() ServicePhrases {
	return ServicePhrases{
		enAuthBroken,
		enClockSkew,
		enWatchdogDegraded,
		enWatchdogConfigDrift,
		enWatchdogVersionMismatch,
	}
}

func enAuthBroken(f Facts) Text {
	return Text{
		Subject:  "AuthBroken: " + f.Subject,
		Sentence: "A login does not work, or soon will not, on " + f.Subject + ".",
		Meaning: "Without its login the watchdog sees less, and without the login of replication the standby does not come back after its next interruption. " +
			"Give the role a new password on the primary and put it into the passfiles of both nodes.",
		Action: "watchdog status",
	}
}

func enClockSkew(f Facts) Text {
	return Text{
		Subject:  "ClockSkew: " + f.Subject,
		Sentence: "The clocks of " + f.Subject + " are apart.",
		Meaning: "Times in logs, in backups and in a restore to a point in time no longer fit together. The watchdog itself compares no clocks to decide. " +
			"See whether chrony or systemd-timesyncd runs and reaches its servers.",
		Action: "watchdog status",
	}
}

func enWatchdogDegraded(f Facts) Text {
	return Text{
		Subject:  "WatchdogDegraded: " + f.Subject,
		Sentence: "The watchdog on " + f.Subject + " does not work as it should.",
		Meaning:  "It may see things late, or could not write down what it does when it has to act. The reason stands in the evidence.",
		Action:   "watchdog status",
	}
}

func enWatchdogConfigDrift(f Facts) Text {
	return Text{
		Subject:  "WatchdogConfigDrift: " + f.Subject,
		Sentence: "The watchdogs of " + f.Subject + " have different configurations.",
		Meaning:  "They judge by different thresholds or watch different addresses. One file serves all nodes, save its line node: copy it, and reload or restart the service.",
		Action:   "watchdog status",
	}
}

func enWatchdogVersionMismatch(f Facts) Text {
	return Text{
		Subject:  "WatchdogVersionMismatch: " + f.Subject,
		Sentence: "The watchdogs of " + f.Subject + " run different versions.",
		Meaning:  "They understand each other, but the older one does not know what the newer one reports. Finish the upgrade.",
		Action:   "watchdog status",
	}
}
