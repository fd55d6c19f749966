package view_test

import (
	"testing"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func TestServes_OnlyByFreshOwnEvidenceWithoutContradiction(t *testing.T) {
	for name, c := range map[string]struct {
		self   string
		change func(*scene)
		want   replication.Role
	}{
		"healthy primary":       {"db1", func(*scene) {}, replication.RolePrimary},
		"healthy standby":       {"db2", func(*scene) {}, replication.RoleStandby},
		"witness":               {"wit", func(*scene) {}, replication.RoleUnknown},
		"nothing known":         {"db1", func(s *scene) { s.v.Reports = nil }, replication.RoleUnknown},
		"not probed yet":        {"db1", func(s *scene) { s.sees("db1", "db1", unknown) }, replication.RoleUnknown},
		"only the peer sees it": {"db1", func(s *scene) { s.sees("db1", "db1", unreachable(9*sec)) }, replication.RoleUnknown},
		"own sample is old":     {"db1", func(s *scene) { s.sees("db1", "db1", func(r *view.ServerReport) { r.Age, r.Answered = 4*sec, 4*sec }) }, replication.RoleUnknown},
		"commits stall": {"db1", func(s *scene) {
			s.sees("db1", "db1", func(r *view.ServerReport) { r.Verdict = replication.VerdictSyncStalled })
		}, replication.RoleUnknown},
		"marker":                {"db1", func(s *scene) { s.report("db1", func(r *view.Report) { r.Durable.Marker = &fence.Marker{} }) }, replication.RoleUnknown},
		"standby with a marker": {"db2", func(s *scene) { s.report("db2", func(r *view.Report) { r.Durable.Marker = &fence.Marker{} }) }, replication.RoleUnknown},
		"order elsewhere": {"db1", func(s *scene) {
			s.report("db2", func(r *view.Report) { r.Durable.Orders = []fence.Order{{Node: "db1"}} })
		}, replication.RoleUnknown},
		"state unreadable":      {"db1", func(s *scene) { s.report("db1", func(r *view.Report) { r.Durable, r.StateFault = nil, "bad" }) }, replication.RoleUnknown},
		"newer epoch elsewhere": {"db1", func(s *scene) { s.epoch("db2", 4) }, replication.RoleUnknown},
		"same epoch, other id":  {"db1", func(s *scene) { s.report("db2", func(r *view.Report) { r.Durable.Epoch.ID = "x" }) }, replication.RoleUnknown},
		"never adopted":         {"db1", func(s *scene) { s.report("db1", clearEpoch).report("db2", clearEpoch).report("wit", clearEpoch) }, replication.RoleUnknown},
		"intent for the other node": {"db1", func(s *scene) {
			s.report("db2", func(r *view.Report) { r.Durable.Intents = []fence.Intent{{Target: "db2"}} })
		}, replication.RoleUnknown},
		"another primary":          {"db1", func(s *scene) { s.all("db2", primaryNow(sec)) }, replication.RoleUnknown},
		"standby without upstream": {"db2", func(s *scene) { s.sees("db2", "db2", noUpstream) }, replication.RoleUnknown},
		"standby without status": {"db2", func(s *scene) {
			s.sees("db2", "db2", func(r *view.ServerReport) { r.Status, r.StatusAge = nil, view.Never })
		}, replication.RoleUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			s := cluster(t, c.self, "db1", "db2", "wit")
			c.change(s)
			if got := view.Serves(s.v, view.DefaultLimits()); got.Role != c.want || got.Why == "" {
				t.Errorf("%s (%s), want %s", got.Role, got.Why, c.want)
			}
		})
	}
}

func clearEpoch(r *view.Report) { r.Durable.Epoch = fence.Epoch{} }
