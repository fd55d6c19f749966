package runbooks

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// archiveLimit is how many WAL files may wait for the archive before a stop of
// the server would take too long: repmgr refuses a switchover from there on
// (its archive-ready critical threshold).
const archiveLimit = 128

// loginStale is how old the newest try of a standby's login may be: it is made
// once a minute.
const loginStale = 5 * time.Minute

// setting reads a whole number out of the surveyed settings.
func setting(n NodeFacts, name string) (int, bool) {
	v, err := strconv.Atoi(n.Status.Settings[name])
	return v, err == nil
}

// readySenders wants a walsender to spare on the server that would feed the
// other: without one the old primary could never follow.
func readySenders(to NodeFacts) check {
	switch {
	case !known(to) || to.Status.MaxWalSenders == 0 && len(to.Status.Settings) == 0:
		return notKnown("senders", "the walsenders of %s are not known", to.Node)
	case to.Status.MaxWalSenders-to.Status.WalSenders < 1:
		return no("senders", ExitRefused, "", fmt.Sprintf("raise max_wal_senders on %s (a restart)", to.Node),
			"%s has %d walsenders and all are taken", to.Node, to.Status.MaxWalSenders)
	}
	return ok("senders", "%d of %d walsenders of %s are free", to.Status.MaxWalSenders-to.Status.WalSenders, to.Status.MaxWalSenders, to.Node)
}

// readySlots wants the slot of the node that would follow, or room to make it.
func readySlots(from, to NodeFacts) check {
	if !known(to) {
		return notKnown("slots", "the replication slots of %s are not known", to.Node)
	}
	for _, s := range to.Status.Slots {
		if s.Name == from.Slot && from.Slot != "" {
			return ok("slots", "%s keeps slot %s", to.Node, s.Name)
		}
	}
	limit, listed := setting(to, "max_replication_slots")
	switch {
	case !listed:
		return notKnown("slots", "max_replication_slots of %s is not known", to.Node)
	case len(to.Status.Slots) >= limit:
		return no("slots", ExitRefused, "12", fmt.Sprintf("drop a slot that nobody uses, or raise max_replication_slots, on %s", to.Node),
			"%s has %d replication slots of %d: none is left for %s", to.Node, len(to.Status.Slots), limit, from.Node)
	}
	return ok("slots", "%d of %d slots of %s are free", limit-len(to.Status.Slots), limit, to.Node)
}

// readyLogin wants the connection by which the old primary would follow, tried
// by that node's own service: pg_hba.conf, password and route, in the direction
// that nobody uses until it is needed.
func readyLogin(from, to NodeFacts) check {
	l := from.Login
	switch {
	case l == nil || l.To != to.Node || l.Age > loginStale:
		return notKnown("login", "whether %s could receive from %s was not tried: its service does not tell", from.Node, to.Node)
	case !l.OK:
		return no("login", ExitRefused, "", fmt.Sprintf("let the replication role of postgres.replication in from %s: pg_hba.conf on %s, its passfile on %s", from.Node, to.Node, from.Node),
			"%s cannot open a replication connection to %s: %s", from.Node, to.Node, l.Text)
	}
	return ok("login", "%s may receive from %s, tried %s ago", from.Node, to.Node, l.Age.Round(time.Second))
}

// floors are the settings of which a standby must have at least what its
// primary has, or recovery stops (PostgreSQL manual, 27.4.3 Administrator's
// Overview of hot standby).
var floors = []string{"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"}

// readySettings wants a server that could be the other's standby; in a pair that
// exchanges roles that means equal ones, each direction judged by itself.
func readySettings(primary, standby NodeFacts) check {
	if !known(primary) || !known(standby) || len(primary.Status.Settings) == 0 || len(standby.Status.Settings) == 0 {
		return notKnown("settings", "the settings of %s and %s are not both known", primary.Node, standby.Node)
	}
	var low []string
	for _, name := range floors {
		a, haveA := setting(primary, name)
		b, haveB := setting(standby, name)
		if haveA && haveB && b < a {
			low = append(low, fmt.Sprintf("%s is %d on %s and %d on %s", name, b, standby.Node, a, primary.Node))
		}
	}
	if len(low) > 0 {
		return no("settings", ExitRefused, "", "make them equal on both servers (a restart, the standby first)", "%s would not run as standby: %s", standby.Node, strings.Join(low, ", "))
	}
	for _, n := range []NodeFacts{primary, standby} {
		if level := n.Status.Settings["wal_level"]; level != "" && !slices.Contains([]string{"replica", "logical"}, level) {
			return no("settings", ExitRefused, "", "set wal_level to replica on "+n.Node, "wal_level is %s on %s", level, n.Node)
		}
	}
	return ok("settings", "%s can be a standby of %s", standby.Node, primary.Node)
}

// readyRewind wants the way back for a server that falls out of step on the way:
// pg_rewind needs hints or checksums, and whole pages (its manual, Notes).
func readyRewind(n NodeFacts) check {
	switch {
	case !known(n) || n.Status.Settings["full_page_writes"] == "":
		return notKnown("rewind", "whether %s could be rewound is not known", n.Node)
	case !n.Status.WalLogHints && !n.Status.DataChecksums:
		return no("rewind", ExitRefused, "", "set wal_log_hints to on on "+n.Node+" (a restart)",
			"%s has neither wal_log_hints nor data checksums: it could not be rewound, only cloned", n.Node)
	case n.Status.Settings["full_page_writes"] != "on":
		return no("rewind", ExitRefused, "", "set full_page_writes to on on "+n.Node, "full_page_writes is %s on %s", n.Status.Settings["full_page_writes"], n.Node)
	}
	return ok("rewind", "%s can be rewound", n.Node)
}

// readyArchive wants a server that stops at once: it waits for its archive first.
func readyArchive(n NodeFacts) check {
	switch {
	case !known(n) || n.Burden == nil || n.Burden.ArchiveReady < 0:
		return notKnown("archive", "how many WAL files of %s wait to be archived is not known", n.Node)
	case n.Burden.ArchiveReady >= archiveLimit:
		return no("archive", ExitRefused, "", "SELECT * FROM pg_stat_archiver on "+n.Node, "%d WAL files of %s wait to be archived: it would not stop before they are",
			n.Burden.ArchiveReady, n.Node)
	case n.Status.Archiver != nil && n.Status.Archiver.LastFailedNow:
		return no("archive", ExitRefused, "", "SELECT * FROM pg_stat_archiver on "+n.Node, "the newest attempt of %s to archive failed", n.Node)
	}
	return ok("archive", "%d WAL files of %s wait to be archived", n.Burden.ArchiveReady, n.Node)
}

// readyBackup wants no base backup under way: a stop would end it, or wait.
func readyBackup(nodes ...NodeFacts) check {
	for _, n := range nodes {
		switch {
		case n.Burden == nil || n.Burden.Backups < 0:
			return notKnown("backup", "whether a base backup of %s runs is not known", n.Node)
		case n.Burden.Backups > 0:
			return no("backup", ExitRefused, "", "SELECT * FROM pg_stat_progress_basebackup on "+n.Node, "%d base backup(s) of %s run", n.Burden.Backups, n.Node)
		}
	}
	return ok("backup", "no base backup runs")
}
