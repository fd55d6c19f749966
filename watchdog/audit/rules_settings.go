package audit

import (
	"strconv"
	"strings"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// restart is the hint of a setting that only a restart applies.
const restart = "; then restart PostgreSQL when it suits (the standby first)"

// reload is the hint of a setting that a reload applies.
const reload = "; then SELECT pg_reload_conf()"

// alter says which setting to change where.
func alter(node, setting, value, then string) string {
	return "on " + node + ": ALTER SYSTEM SET " + setting + " = " + value + then
}

// setting reads a setting; what is not there is an unknown check.
func (c at) setting(a replication.Audit, name string) (string, bool) {
	v, known := a.Settings[name]
	if !known {
		c.unknown("", "%s of %s could not be read", name, c.node)
	}
	return v, known
}

// wanted is a setting with one right value.
type wanted struct {
	name, value, then string
	level             Level
	why               string
}

var wantedSettings = []wanted{
	{"fsync", "on", reload, Fail, "a crash of the machine can destroy the data, and nothing that was acknowledged is safe"},
	{"hot_standby", "on", restart, Fail, "as a standby it answers nobody, so it cannot be watched"},
	{"restart_after_crash", "on", reload, Warn, "after a crash of one of its processes it stays down until somebody starts it"},
	{"recovery_target_timeline", "latest", restart, Fail, "as a standby it would not follow the other server after a promotion"},
}

// settings judges what must be right on every server by itself.
func (j *judgement) settings(n Node, a replication.Audit) {
	for _, w := range wantedSettings {
		c := j.of(GroupSettings, w.name, n.Name)
		v, known := c.setting(a, w.name)
		switch {
		case !known:
		case v == w.value:
			c.ok("%s: %s is %s", n.Name, w.name, v)
		default:
			c.add(w.level, alter(n.Name, w.name, w.value, w.then), "%s: %s is %s: %s", n.Name, w.name, v, w.why)
		}
	}
	j.walLevel(n, a)
	c := j.of(GroupSettings, "pending_restart", n.Name)
	if len(a.PendingRestart) > 0 {
		c.warn("restart PostgreSQL on "+n.Name+" when it suits", "%s waits for a restart with changes of %s: what it runs with now is not what its files say",
			n.Name, strings.Join(a.PendingRestart, ", "))
	} else {
		c.ok("no setting of %s waits for a restart", n.Name)
	}
}

func (j *judgement) walLevel(n Node, a replication.Audit) {
	c := j.of(GroupSettings, "wal_level", n.Name)
	v, known := c.setting(a, "wal_level")
	switch {
	case !known:
		return
	case v == "minimal":
		c.fail(alter(n.Name, "wal_level", "replica", restart), "wal_level is minimal on %s: as a primary it feeds no standby", n.Name)
		return
	}
	for _, o := range j.servers() {
		if b := o.server(); b != nil && o.Name < n.Name && b.Settings["wal_level"] != "" && b.Settings["wal_level"] != v {
			c.warn(alter(n.Name, "wal_level", b.Settings["wal_level"], restart), "wal_level is %s on %s and %s on %s: after a promotion something is missing that was there before",
				v, n.Name, b.Settings["wal_level"], o.Name)
			return
		}
	}
	c.ok("%s: wal_level is %s", n.Name, v)
}

// following are the settings that a standby must not have lower than its
// primary: it pauses its replay, or does not start (PostgreSQL manual, 27.4.3).
var following = []string{"max_connections", "max_wal_senders", "max_worker_processes", "max_prepared_transactions", "max_locks_per_transaction"}

// pair compares a standby with its primary.
func (j *judgement) pair(n Node, a replication.Audit) {
	p, known := j.primary()
	if !known || !a.InRecovery {
		return
	}
	b := p.server()
	for _, name := range following {
		c := j.of(GroupSettings, name, n.Name)
		mine, mok := c.setting(a, name)
		theirs, tok := b.Settings[name]
		x, errX := strconv.Atoi(mine)
		y, errY := strconv.Atoi(theirs)
		switch {
		case !mok:
		case !tok || errX != nil || errY != nil:
			c.unknown("", "%s cannot be compared: %q on %s, %q on %s", name, mine, n.Name, theirs, p.Name)
		case x < y:
			c.fail(alter(n.Name, name, theirs, restart), "%s is %d on the standby %s and %d on %s: replay stops, or the standby does not start", name, x, n.Name, y, p.Name)
		case x > y:
			c.warn(alter(p.Name, name, mine, restart), "%s is %d on %s and %d on %s: once the roles change, the lower one is a standby that does not start", name, x, n.Name, y, p.Name)
		default:
			c.ok("%s is %d on both", name, x)
		}
	}
	j.versions(n, p, a, *b)
}

func (j *judgement) versions(n, p Node, a, b replication.Audit) {
	c := j.of(GroupSettings, "server_version", n.Name)
	x, y := a.ServerVersion, b.ServerVersion
	switch {
	case x == 0 || y == 0:
		c.unknown("", "the versions of the servers are not known")
	case x/10000 != y/10000:
		c.fail("", "PostgreSQL is %s on %s and %s on %s: WAL of one major version cannot be replayed by another", versionText(x), n.Name, versionText(y), p.Name)
	case x != y:
		c.warn("install the newer minor version on both, on the standby first", "PostgreSQL is %s on %s and %s on %s", versionText(x), n.Name, versionText(y), p.Name)
	default:
		c.ok("PostgreSQL is %s on both", versionText(x))
	}
}

// versionText reads server_version_num (150020 is 15.20).
func versionText(n int) string { return strconv.Itoa(n/10000) + "." + strconv.Itoa(n%10000) }
