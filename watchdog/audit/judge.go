package audit

import (
	"cmp"
	"slices"
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

func orUnknown(s string) string {
	if s == "" {
		return "no reason is known"
	}
	return s
}
