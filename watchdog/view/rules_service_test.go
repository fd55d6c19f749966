package view_test

import (
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func TestServices_Rules(t *testing.T) {
	edge := func(s *scene, skew, rtt time.Duration) *scene {
		return s.report("db2", func(r *view.Report) { r.Edges[0].Skew, r.Edges[0].RTT = skew, rtt })
	}
	report := func(node string, change func(*view.Report)) func(*testing.T) *scene {
		return func(t *testing.T) *scene { return pair(t).report(node, change) }
	}
	for name, c := range map[string]struct {
		scene func(*testing.T) *scene
		want  [][2]string
	}{
		"one version": {func(t *testing.T) *scene {
			return pair(t).report("db1", func(r *view.Report) { r.Program, r.ConfigHash = "1.2", "abc" }).
				report("db2", func(r *view.Report) { r.Program, r.ConfigHash = "1.2", "abc" })
		}, nil},
		"two versions": {func(t *testing.T) *scene {
			return pair(t).report("db1", func(r *view.Report) { r.Program = "1.3" }).report("db2", func(r *view.Report) { r.Program = "1.2" })
		}, [][2]string{{"WatchdogVersionMismatch/db1-db2 warning", "1.2 on db2, 1.3 on db1"}}},
		"version of one not known": {report("db1", func(r *view.Report) { r.Program = "1.3" }), nil},
		"two configurations": {func(t *testing.T) *scene {
			return pair(t).report("db1", func(r *view.Report) { r.ConfigHash = "abc" }).report("db2", func(r *view.Report) { r.ConfigHash = "def" })
		}, [][2]string{{"WatchdogConfigDrift/db1-db2 warning", "configurations of db2 and db1 differ"}}},
		"configuration of an older version not known": {report("db2", func(r *view.Report) { r.ConfigHash = "def" }), nil},
		"loops late":    {report("db1", func(r *view.Report) { r.Host.LoopGap = 7 * sec }), [][2]string{{"WatchdogDegraded/db1 warning", "woke up 7.0 s late"}}},
		"loops in time": {report("db1", func(r *view.Report) { r.Host.LoopGap = 4 * sec }), nil},
		"state disk": {report("db1", func(r *view.Report) { r.Host.Faults = []string{"state directory not writable: read-only file system"} }),
			[][2]string{{"WatchdogDegraded/db1 warning", "state directory not writable"}}},
		"free space not known": {report("db1", func(r *view.Report) { r.Host.DataFreeBytes = -1 }), [][2]string{{"WatchdogDegraded/db1 warning", "free space of the data directory is not known"}}},
		"a witness has no data": {func(t *testing.T) *scene {
			return withWitness(t).report("wit", func(r *view.Report) { r.Host.DataFreeBytes = -1 })
		}, nil},
		"clocks 1.9 s apart": {func(t *testing.T) *scene { return edge(pair(t), -1900*ms, 0) }, nil},
		"clocks 3 s apart":   {func(t *testing.T) *scene { return edge(pair(t), -3*sec, ms) }, [][2]string{{"ClockSkew/db1-db2 warning", "clocks of db2 and db1 are 3.0 s apart"}}},
		"clocks 11 s apart":  {func(t *testing.T) *scene { return edge(pair(t), 11*sec, ms) }, [][2]string{{"ClockSkew/db1-db2 page", "11 s apart"}}},
		"a slow measurement": {func(t *testing.T) *scene { return edge(pair(t), 2500*ms, 1200*ms) }, nil},
		"measured long ago": {func(t *testing.T) *scene {
			return edge(pair(t), 3*sec, ms).oneWay("db2", "db1", 25*sec)
		}, [][2]string{{"PeerUnreachable/db1-db2 page", "cannot reach each other"}}},
		"login refused to one node": {func(t *testing.T) *scene {
			return pair(t).sees("db2", "db1", missed(replication.VerdictAuthRefused, "28P01", 9*sec))
		}, [][2]string{{"AuthBroken/db1 warning", "refuses the login of the watchdog on db2:"}}},
	} {
		t.Run(name, func(t *testing.T) { c.scene(t).tells(c.want...) })
	}
}
