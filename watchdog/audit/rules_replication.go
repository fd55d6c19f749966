package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// standby judges how a standby receives; a primary's are judged as what it would
// do after a rejoin.
func (j *judgement) standby(n Node, a replication.Audit) {
	c := j.of(GroupReplication, "conninfo_password", n.Name)
	switch {
	case a.Upstream == nil:
		c.unknown("GRANT pg_monitor TO the watching role", "primary_conninfo of %s may not be read", n.Name)
	case a.Upstream.Password:
		c.fail("put the password into a passfile of the postgres user and take it out of primary_conninfo",
			"primary_conninfo of %s holds a password: whoever may read settings reads it, and it is in every base backup", n.Name)
	default:
		c.ok("primary_conninfo of %s holds no password", n.Name)
	}
	c = j.of(GroupReplication, "recovery_min_apply_delay", n.Name)
	if v, known := c.setting(a, "recovery_min_apply_delay"); known && v != "0" {
		c.add(levelFor(a.InRecovery), alter(n.Name, "recovery_min_apply_delay", "0", reload),
			"recovery_min_apply_delay is %s ms on %s: it replays late, and a promotion is refused while WAL is pending", v, n.Name)
	} else if known {
		c.ok("%s replays without delay", n.Name)
	}
	j.ownSlot(n, a)
}

// levelFor is the level of what hurts a standby now and a primary later.
func levelFor(standby bool) Level {
	if standby {
		return Fail
	}
	return Warn
}

// ownSlot wants a standby to stream through a slot that its primary has.
func (j *judgement) ownSlot(n Node, a replication.Audit) {
	if !a.InRecovery {
		return
	}
	c := j.of(GroupReplication, "primary_slot_name", n.Name)
	name, known := c.setting(a, "primary_slot_name")
	p, found := j.primary()
	switch {
	case !known:
		return
	case name == "":
		c.warn(alter(n.Name, "primary_slot_name", "'"+n.Slot+"'", " (once the primary has that slot)"+reload),
			"%s streams without a slot: WAL that it still needs may be removed while it is away", n.Name)
		return
	case !found:
		c.unknown("", "whether the primary has the slot %q of %s is not known", name, n.Name)
		return
	}
	i := slices.IndexFunc(p.server().Slots, func(s replication.SlotRow) bool { return s.Name == name })
	switch {
	case i < 0:
		c.fail(fmt.Sprintf("on %s: SELECT pg_create_physical_replication_slot('%s', true)", p.Name, name),
			"%s wants the slot %q, which %s does not have: it does not receive", n.Name, name, p.Name)
	case p.server().Slots[i].WALStatus == "lost":
		c.fail("make the standby anew from a base backup", "the slot %q on %s has lost WAL that %s needs", name, p.Name, n.Name)
	default:
		c.ok("%s streams through the slot %q of %s", n.Name, name, p.Name)
	}
}

// streams judges whether this node's server could receive from the others: the
// standby from its primary now, the primary from its standby after a failover.
func (j *judgement) streams(n Node) {
	for _, o := range j.servers() {
		if o.Name == n.Name {
			continue
		}
		c := j.of(GroupReplication, "replication_login_"+o.Name, n.Name)
		i := slices.IndexFunc(n.Local.Streams, func(s Stream) bool { return s.To == o.Name })
		if i < 0 {
			c.unknown("", "whether %s could replicate from %s was not tried", n.Name, o.Name)
			continue
		}
		j.stream(c, n, o, n.Local.Streams[i])
	}
}

func (j *judgement) stream(c at, n, o Node, s Stream) {
	when := ""
	if a := n.server(); a != nil && !a.InRecovery {
		when = ", which it must after a failover"
	}
	said := s.Detail
	if said == "" {
		said = orUnknown(s.Cause)
	}
	switch {
	case s.OK:
		c.ok("%s may replicate from %s as %s", n.Name, o.Name, s.Role)
	case s.Verdict == replication.VerdictAuthRefused && s.Cause == "28P01" && !s.Secret:
		c.warn("postgres.replication.passfile in the configuration lets this be tried",
			"whether %s may replicate from %s is not known: the role %s has a password that the watchdog is not given", n.Name, o.Name, s.Role)
	case s.Verdict == replication.VerdictAuthRefused:
		c.fail(fmt.Sprintf("in pg_hba.conf of %s: a line `host replication %s ADDRESS-OF-%s scram-sha-256`, then SELECT pg_reload_conf()", o.Name, s.Role, n.Name),
			"%s refuses that %s replicates from it as %s%s: %s", o.Name, n.Name, s.Role, when, said)
	case s.Verdict == replication.VerdictSaturated:
		c.fail(alter(o.Name, "max_wal_senders", "10", restart), "%s has no WAL sender left for %s", o.Name, n.Name)
	case unreached(s.Verdict) && o.server() == nil:
		c.unknown("watchdog why "+o.Name, "whether %s may replicate from %s is not known: PostgreSQL there is %s for everybody", n.Name, o.Name, s.Verdict)
	case unreached(s.Verdict):
		c.fail("listen_addresses of "+o.Name+", and the firewall between the two", "%s does not reach PostgreSQL of %s for replication%s: %s (%s)", n.Name, o.Name, when, s.Verdict, s.Cause)
	default:
		c.unknown("watchdog why "+o.Name, "whether %s may replicate from %s is not known: %s %s", n.Name, o.Name, s.Verdict, said)
	}
}

// unreached reports whether a verdict says that nobody there spoke.
func unreached(v replication.Verdict) bool {
	return v == replication.VerdictDown || v == replication.VerdictUnreachable
}

// sendersToSpare is how many WAL senders must be free: the probes of two nodes
// and a base backup.
const sendersToSpare = 3

// slots judges room for slots and senders, and what a slot may keep.
func (j *judgement) slots(n Node, a replication.Audit) {
	c := j.of(GroupReplication, "wal_senders_to_spare", n.Name)
	if v, known := c.setting(a, "max_wal_senders"); known {
		limit, err := strconv.Atoi(v)
		switch spare := limit - a.WalSenders; {
		case err != nil || !a.StatsVisible:
			c.unknown("", "how many WAL senders are free on %s is not known", n.Name)
		case spare < sendersToSpare:
			c.fail(alter(n.Name, "max_wal_senders", strconv.Itoa(max(10, a.WalSenders+sendersToSpare)), restart),
				"%d of %d WAL senders are taken on %s: probes, the standby and a base backup need %d to spare", a.WalSenders, limit, n.Name, sendersToSpare)
		default:
			c.ok("%d of %d WAL senders are free on %s", spare, limit, n.Name)
		}
	}
	c = j.of(GroupReplication, "max_replication_slots", n.Name)
	if v, known := c.setting(a, "max_replication_slots"); known {
		j.slotRoom(c, n, a, v)
	}
	c = j.of(GroupReplication, "max_slot_wal_keep_size", n.Name)
	if v, known := c.setting(a, "max_slot_wal_keep_size"); known {
		if v == "-1" {
			c.warn(alter(n.Name, "max_slot_wal_keep_size", "'50GB'", " (any size below the free space)"+reload),
				"a slot on %s may keep WAL without limit: a standby that stays away fills the disk, and then the primary stops", n.Name)
		} else {
			c.ok("a slot on %s keeps at most %s MB", n.Name, v)
		}
	}
}

// slotRoom wants room for one more slot: a promotion makes the one of the other
// server before anything else.
func (j *judgement) slotRoom(c at, n Node, a replication.Audit, v string) {
	limit, err := strconv.Atoi(v)
	missing := 0
	for _, o := range j.servers() {
		if o.Name != n.Name && !slices.ContainsFunc(a.Slots, func(s replication.SlotRow) bool { return s.Name == o.Slot }) {
			missing++
		}
	}
	switch {
	case err != nil:
		c.unknown("", "max_replication_slots of %s is %q", n.Name, v)
	case len(a.Slots)+missing > limit:
		c.fail(alter(n.Name, "max_replication_slots", "10", restart), "%s has room for %d slots, %d are there and %d more must be made when it becomes primary", n.Name, limit, len(a.Slots), missing)
	default:
		c.ok("%s has %d slots of at most %d", n.Name, len(a.Slots), limit)
	}
}

// synchronous wants every standby that a commit waits for to be there.
func (j *judgement) synchronous(n Node, a replication.Audit) {
	c := j.of(GroupReplication, "synchronous_standby_names", n.Name)
	v, known := c.setting(a, "synchronous_standby_names")
	switch {
	case !known || a.InRecovery && v == "":
		return
	case v == "":
		c.ok("%s is asynchronous: its commits wait for nobody", n.Name)
		return
	case a.InRecovery:
		if names := standbyNames(v); slices.Contains(names, n.Name) {
			c.fail(alter(n.Name, "synchronous_standby_names", "'"+j.partner(n.Name)+"'", reload), "synchronous_standby_names of %s names %s itself: promoted, its commits would wait for ever", n.Name, n.Name)
			return
		}
		c.ok("promoted, %s would wait for %s", n.Name, v)
		return
	case !a.StatsVisible:
		c.unknown("GRANT pg_monitor TO the watching role", "whether the synchronous standbys of %s are connected may not be seen", n.Name)
		return
	}
	if absent := absentStandbys(v, a.Standbys); len(absent) > 0 {
		c.fail("start the standby under that application_name, or "+alter(n.Name, "synchronous_standby_names", "''", reload),
			"synchronous_standby_names of %s names %s, which is not connected: commits may wait for ever", n.Name, strings.Join(absent, ", "))
		return
	}
	c.ok("every synchronous standby of %s is connected", n.Name)
}

// partner names another server.
func (j *judgement) partner(node string) string {
	for _, o := range j.servers() {
		if o.Name != node {
			return o.Name
		}
	}
	return ""
}

// absentStandbys lists the names without a connected standby; "*" is anybody.
func absentStandbys(setting string, rows []replication.StandbyRow) []string {
	var absent []string
	for _, name := range standbyNames(setting) {
		there := slices.ContainsFunc(rows, func(r replication.StandbyRow) bool {
			return r.State == "streaming" && (name == "*" || strings.EqualFold(r.ApplicationName, name))
		})
		if !there {
			absent = append(absent, name)
		}
	}
	return absent
}

// standbyNames reads the names out of FIRST n (a, "b"), ANY n (...), n (...) or
// a, b (PostgreSQL manual, 20.6.2).
func standbyNames(setting string) []string {
	if _, rest, found := strings.Cut(setting, "("); found {
		setting = strings.TrimSuffix(strings.TrimSpace(rest), ")")
	}
	var names []string
	for _, part := range strings.Split(setting, ",") {
		if name := strings.Trim(strings.TrimSpace(part), `"`); name != "" {
			names = append(names, name)
		}
	}
	return names
}
