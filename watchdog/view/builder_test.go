package view_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

const (
	sec    = time.Second
	ms     = time.Millisecond
	sysID  = replication.SystemID(7_300_000_000_000_000_001)
	wallAt = "2026-11-23T03:14:48Z"
)

// scene builds a View: db1 is primary of epoch 3, db2 its standby, both watched
// by both; each test says only what is different.
type scene struct {
	t *testing.T
	v view.View
}

func pair(t *testing.T) *scene {
	t.Helper()
	return cluster(t, "db2", "db1", "db2")
}

func withWitness(t *testing.T) *scene {
	t.Helper()
	return cluster(t, "db2", "db1", "db2", "wit")
}

// cluster makes a healthy cluster as self sees it; a node called wit is the witness.
func cluster(t *testing.T, self string, names ...string) *scene {
	t.Helper()
	s := &scene{t, view.View{Cluster: "gestionale", Self: self, Reports: map[string]view.Heard{}, Up: time.Hour}}
	for _, n := range names {
		s.v.Nodes = append(s.v.Nodes, view.NodeInfo{Name: n, Witness: n == "wit"})
	}
	for _, n := range s.v.Nodes {
		r := view.Report{Node: n.Name, Boot: "boot-" + n.Name, Seq: 9, Witness: n.Witness}
		role := replication.RoleStandby
		if n.Name == "db1" {
			role = replication.RolePrimary
		}
		r.Durable = &fence.Durable{Node: n.Name, SystemID: sysID, Role: role, Epoch: fence.Epoch{Number: 3, ID: "e3", Primary: "db1"}}
		for _, m := range s.v.Nodes {
			if m.Name != n.Name {
				r.Edges = append(r.Edges, view.EdgeReport{Node: m.Name, OK: true, Age: 200 * ms, Answered: 200 * ms, RTT: ms})
			}
			if !m.Witness {
				r.Servers = append(r.Servers, healthy(m.Name, m.Name == "db1"))
			}
		}
		r.App = &view.AppReport{URL: "http://app/healthz", OK: true, Status: 200, Age: 2 * sec}
		r.Readiness = readyFor(n.Name)
		s.v.Reports[n.Name] = view.Heard{Report: r, Heard: 300 * ms, Present: time.Hour}
	}
	own := s.v.Reports[self]
	own.Heard = 0
	s.v.Reports[self] = own
	return s
}

func healthy(node string, primary bool) view.ServerReport {
	r := view.ServerReport{
		Node: node, Verdict: replication.VerdictHealthy, Age: 100 * ms, Since: time.Hour, Answered: 100 * ms,
		Took: ms, RoleSince: time.Hour, Advanced: 400 * ms, Role: replication.RoleStandby, SystemID: sysID, Timeline: 7,
		Position: 0x4A3C012000, StatusAge: 2 * sec, Processes: 5,
		History: []view.HistoryLine{{Timeline: 5, SwitchPoint: 0x4000000000}, {Timeline: 6, SwitchPoint: 0x4900000000}},
	}
	r.Status = &replication.Status{InRecovery: true, Timeline: 7, Receive: r.Position, Replay: r.Position,
		Receiver: &replication.ReceiverRow{Status: "streaming", MessageAge: 300 * ms, Timeline: 7}}
	if primary {
		r.Role = replication.RolePrimary
		r.Status = &replication.Status{Timeline: 7, Flush: r.Position, Epoch: &replication.EpochRow{Number: 3, ID: "e3", Node: node},
			Standbys: []replication.StandbyRow{{ApplicationName: "db2", State: "streaming", ReplyAge: sec}}}
	}
	return r
}

// sees changes how observer sees the server of node.
func (s *scene) sees(observer, node string, change func(*view.ServerReport)) *scene {
	r := s.v.Reports[observer]
	for i := range r.Report.Servers {
		if r.Report.Servers[i].Node == node {
			change(&r.Report.Servers[i])
		}
	}
	return s
}

// all changes how everybody sees the server of node.
func (s *scene) all(node string, change func(*view.ServerReport)) *scene {
	for _, n := range s.v.Nodes {
		s.sees(n.Name, node, change)
	}
	return s
}

// report changes a node's report as a whole.
func (s *scene) report(node string, change func(*view.Report)) *scene {
	h := s.v.Reports[node]
	change(&h.Report)
	s.v.Reports[node] = h
	return s
}

// silent makes a node's watchdog fall silent: its report stays, and grows old.
func (s *scene) silent(node string, for_ time.Duration) *scene {
	h := s.v.Reports[node]
	h.Heard = for_
	s.v.Reports[node] = h
	return s
}

// cut makes the direct edges between two nodes dead, both ways.
func (s *scene) cut(a, b string, for_ time.Duration) *scene {
	return s.oneWay(a, b, for_).oneWay(b, a, for_)
}

// oneWay makes the edge from one node to another dead.
func (s *scene) oneWay(from, to string, for_ time.Duration) *scene {
	return s.report(from, func(r *view.Report) {
		for i, e := range r.Edges {
			if e.Node == to {
				r.Edges[i] = view.EdgeReport{Node: to, Detail: "i/o timeout", Age: 300 * ms, Answered: for_}
			}
		}
	})
}

// missed is a server that has given this verdict for so long.
func missed(v replication.Verdict, cause string, since time.Duration) func(*view.ServerReport) {
	return func(r *view.ServerReport) {
		r.Verdict, r.Cause, r.Since, r.Age, r.Answered, r.StatusAge = v, cause, since, 200*ms, since+100*ms, since+3*sec
	}
}

func down(since time.Duration) func(*view.ServerReport) {
	return missed(replication.VerdictDown, "ECONNREFUSED", since)
}

func unreachable(since time.Duration) func(*view.ServerReport) {
	return missed(replication.VerdictUnreachable, "ETIMEDOUT", since)
}

// noUpstream is a standby that has lost its primary.
func noUpstream(r *view.ServerReport) { r.Status.Receiver, r.Advanced = nil, 10*sec }

// primaryNow makes the server out of recovery for so long.
func primaryNow(since time.Duration) func(*view.ServerReport) {
	return func(r *view.ServerReport) {
		node := r.Node
		*r = healthy(node, true)
		r.RoleSince = since
	}
}

func (s *scene) judge() []alerts.Condition {
	now, err := time.Parse(time.RFC3339, wallAt)
	if err != nil {
		s.t.Fatal(err)
	}
	return view.Judge(s.v, view.DefaultLimits(), now)
}

// want checks the conditions as "Code/subject", in any order.
func (s *scene) want(want ...string) []alerts.Condition {
	s.t.Helper()
	got := s.judge()
	names := keys(got)
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		for _, c := range got {
			s.t.Logf("%s/%s: %s\n  %s", c.Code, c.Subject, c.Text, strings.Join(c.Evidence, "\n  "))
		}
		s.t.Fatalf("conditions are %v, want %v", names, want)
	}
	return got
}

func keys(all []alerts.Condition) []string {
	var names []string
	for _, c := range all {
		names = append(names, c.Code+"/"+c.Subject)
	}
	return names
}

func pick(t *testing.T, all []alerts.Condition, code string) alerts.Condition {
	t.Helper()
	for _, c := range all {
		if c.Code == code {
			return c
		}
	}
	t.Fatalf("no %s among %v", code, keys(all))
	return alerts.Condition{}
}
