package audit

import (
	"slices"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// rejoin judges whether a former primary could be rewound instead of copied
// anew (PostgreSQL manual, pg_rewind, Warning and Notes).
func (j *judgement) rejoin(n Node, a replication.Audit) {
	c := j.of(GroupRejoin, "rewind", n.Name)
	sums, known := c.setting(a, "data_checksums")
	if known {
		if hints := a.Settings["wal_log_hints"]; sums != "on" && hints != "on" {
			c.fail(alter(n.Name, "wal_log_hints", "on", restart), "%s has neither data checksums nor wal_log_hints: after a failover it cannot be rewound, only copied anew", n.Name)
		} else {
			c.ok("%s can be rewound: data_checksums %s, wal_log_hints %s", n.Name, sums, hints)
		}
	}
	c = j.of(GroupRejoin, "full_page_writes", n.Name)
	switch v, known := c.setting(a, "full_page_writes"); {
	case !known:
	case v != "on":
		c.fail(alter(n.Name, "full_page_writes", "on", reload), "%s: full_page_writes is %s: a crash can tear pages, and pg_rewind refuses it", n.Name, v)
	default:
		c.ok("%s: full_page_writes is on", n.Name)
	}
}

// archiving wants an archive that is on to work. A standby archives only with
// archive_mode=always.
func (j *judgement) archiving(n Node, a replication.Audit) {
	c := j.of(GroupReplication, "archiving", n.Name)
	mode, known := c.setting(a, "archive_mode")
	active := mode == "always" || mode == "on" && !a.InRecovery
	switch {
	case !known:
	case mode == "off":
		c.ok("%s archives no WAL", n.Name)
	case !a.ArchiveSet:
		c.fail("set archive_command, or archive_mode = off", "archive_mode is %s on %s without an archive_command: WAL is kept until the disk is full", mode, n.Name)
	case active && a.Archiver == nil:
		c.unknown("", "whether %s archives is not known", n.Name)
	case active && a.Archiver.LastFailedNow:
		c.fail("the log of PostgreSQL on "+n.Name+" says why archive_command failed", "archiving on %s fails (%d times so far): WAL is kept until the disk is full, and no restore reaches past the last archived segment",
			n.Name, a.Archiver.Failed)
	default:
		c.ok("archiving on %s works or waits", n.Name)
	}
}

// collations wants indexes to be sorted as the operating system sorts now, here
// and on the other server: else lookups in text indexes miss rows.
func (j *judgement) collations(n Node, a replication.Audit) {
	if a.ServerVersion < 150000 {
		return // the server keeps no version of them
	}
	c := j.of(GroupSettings, "collation_version", n.Name)
	if a.Collations == nil {
		c.unknown("", "the collation versions of %s could not be read", n.Name)
		return
	}
	for _, d := range a.Collations {
		if d.Recorded != d.Actual && d.Recorded != "" {
			c.fail("REINDEX DATABASE "+d.Database+", then ALTER DATABASE "+d.Database+" REFRESH COLLATION VERSION",
				"the indexes of database %s were built with collation version %s, and %s sorts with %q: text lookups may miss rows", d.Database, d.Recorded, n.Name, d.Actual)
			return
		}
	}
	for _, o := range j.servers() {
		b := o.server()
		if b == nil || o.Name == n.Name {
			continue
		}
		for _, d := range a.Collations {
			i := slices.IndexFunc(b.Collations, func(e replication.Collation) bool { return e.Database == d.Database })
			if i >= 0 && b.Collations[i].Actual != d.Actual {
				c.fail("bring both machines to one release of the operating system (glibc, ICU)",
					"%s sorts text with version %q and %s with %q: after a promotion, text lookups may miss rows", n.Name, d.Actual, o.Name, b.Collations[i].Actual)
				return
			}
		}
	}
	c.ok("text is sorted on %s as its indexes were built", n.Name)
}
