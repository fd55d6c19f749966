package audit

import (
	"cmp"
	"slices"
	"strings"
)

// Judge holds the facts against every rule. It is pure, and gives the checks by
// group, in the order of Groups. What could not be read is an unknown check, so
// that silence is never taken for health.
func Judge(f Facts) []Check {
	j := judgement{Facts: f}
	for _, n := range f.Nodes {
		j.service(n)
	}
	for _, n := range f.servers() {
		j.boot(n)
		j.fence(n)
		j.server(n)
	}
	j.onePrimary()
	for _, n := range f.Nodes {
		j.alerts(n)
		j.host(n)
		j.clock(n)
	}
	slices.SortStableFunc(j.all, func(a, b Check) int {
		return cmp.Or(cmp.Compare(slices.Index(Groups, a.Group), slices.Index(Groups, b.Group)))
	})
	return j.all
}

type judgement struct {
	Facts
	findings
}

// server judges one PostgreSQL; without an answer of it nothing is known, which
// is said once and not thirty times.
func (j *judgement) server(n Node) {
	a := n.server()
	c := j.of(GroupSettings, "postgres_read", n.Name)
	switch {
	case n.Local == nil:
		c.unknown("watchdog doctor, on "+n.Name, "the configuration of PostgreSQL on %s is not known: its service does not answer", n.Name)
		return
	case a == nil:
		c.unknown("watchdog why "+n.Name, "the configuration of PostgreSQL on %s could not be read: %s", n.Name, orUnknown(n.Local.ServerProblem))
		return
	case !a.StatsVisible:
		c.fail("GRANT pg_monitor TO the watching role; watchdog config init-db prints all of it", "the watching role on %s may not see replication: pg_monitor is missing", n.Name)
	default:
		c.ok("the configuration of PostgreSQL on %s was read", n.Name)
	}
	j.settings(n, *a)
	j.pair(n, *a)
	j.standby(n, *a)
	j.streams(n)
	j.slots(n, *a)
	j.synchronous(n, *a)
	j.archiving(n, *a)
	j.rejoin(n, *a)
	j.collations(n, *a)
}

// onePrimary says when servers could not be compared because it is not plain
// which one the others follow: an absent comparison would look like a good one.
func (j *judgement) onePrimary() {
	primaries, standbys := []string{}, 0
	for _, n := range j.servers() {
		switch a := n.server(); {
		case a == nil:
			return // told already
		case a.InRecovery:
			standbys++
		default:
			primaries = append(primaries, n.Name)
		}
	}
	c := j.of(GroupReplication, "one_primary", "")
	switch {
	case len(primaries) == 1:
		c.ok("%s is primary, %d follow", primaries[0], standbys)
	case len(primaries) == 0:
		c.unknown("watchdog why", "no server is primary: the standbys were compared with none")
	default:
		c.unknown("watchdog why", "%s all run as primary: the servers were not compared", strings.Join(primaries, " and "))
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "no reason is known"
	}
	return s
}
