package story

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// TestStory_FurtherStandby_IsShownAndNotPassedOver gives the pair a third server
// that no node looks after, and another behind its standby.
func TestStory_FurtherStandby_IsShownAndNotPassedOver(t *testing.T) {
	t.Parallel()
	s := newSite(t, extra("probes: {readiness: 5s}\n"))
	reports, err := s.Pair.AddStandby(limited(t), "reports", s.Pair.Server("db1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Pair.AddStandby(limited(t), "far", s.Pair.Server("db2")); err != nil {
		t.Fatal(err)
	}
	s.feeds("db1", "reports", view.KindStandby)
	s.feeds("db2", "far", view.KindStandby) // a cascade
	if a := s.wants(0, "db2", "status"); !strings.Contains(a.out, "reports at 127.0.0.1, a further standby (streaming, async, ") || !strings.Contains(a.out, "db2 feeds far at 127.0.0.1") {
		t.Errorf("status does not show who feeds whom: %s", a)
	}
	s.strayFromPrimary()
	s.writeWhatOnlyItReceives(reports)
	s.kill("db1")
	s.awaitCondition("db2", "NoPrimary")
	a := s.wants(5, "db2", "promote", "--confirm=db2", "--accept-data-loss=unknown", "--no-input")
	if !strings.Contains(a.out+a.err, "reports at 127.0.0.1, which nobody watches, is ahead of db2") {
		t.Fatalf("the further standby is passed over: %s", a)
	}
	s.catchUpFrom(reports)
	if p := s.plan("db2", "promote", "--accept-data-loss=unknown"); p.Refusal != nil {
		t.Errorf("caught up, and refused: %+v", p.Refusal)
	}
}

// feeds waits until every service shows a node to feed somebody whom nobody watches.
func (s *site) feeds(node, name, kind string) {
	s.t.Helper()
	for _, asked := range s.Nodes {
		testenv.Wait(s.t, 30*time.Second, node+" is shown to feed "+name+" on "+asked.Name, func() (bool, string) {
			st, err := s.status(asked.Name)
			if err != nil {
				return false, err.Error()
			}
			i := slices.IndexFunc(st.Nodes, func(n view.NodeStatus) bool { return n.Node == node })
			j := slices.IndexFunc(st.Nodes[i].Downstreams, func(d view.Downstream) bool { return d.ApplicationName == name })
			if j < 0 {
				return false, fmt.Sprintf("%+v", st.Nodes[i].Downstreams)
			}
			d := st.Nodes[i].Downstreams[j]
			return d.Node == "" && d.Kind == kind && d.State == "streaming" && d.LagBytes != nil, fmt.Sprintf("%+v", d)
		})
	}
}

// strayFromPrimary lets db2 receive nothing any more, as a wrong setting would.
func (s *site) strayFromPrimary() {
	s.t.Helper()
	s.receiveFrom("")
	testenv.Wait(s.t, 20*time.Second, "db2 receives nothing", func() (bool, string) {
		n, err := s.Pair.Server("db2").Ask(limited(s.t), "SELECT count(*) FROM pg_stat_wal_receiver")
		return n == "0", fmt.Sprint(n, err)
	})
}

// receiveFrom sets where db2 receives from.
func (s *site) receiveFrom(to string) {
	s.t.Helper()
	two := s.Pair.Server("db2")
	for _, sql := range []string{"ALTER SYSTEM SET primary_conninfo = '" + to + "'", "ALTER SYSTEM SET primary_slot_name = ''", "SELECT pg_reload_conf()"} {
		if err := two.Exec(limited(s.t), sql); err != nil {
			s.t.Fatal(err)
		}
	}
}

// writeWhatOnlyItReceives writes what only the further standby receives, and waits until the
// service of db2 has seen the primary say so.
func (s *site) writeWhatOnlyItReceives(reports *demo.Server) {
	s.t.Helper()
	if err := s.Pair.Server("db1").Exec(limited(s.t), "CREATE TABLE only_there AS SELECT generate_series(1, 1000)"); err != nil {
		s.t.Fatal(err)
	}
	end, err := s.Pair.Server("db1").Ask(limited(s.t), "SELECT pg_current_wal_flush_lsn()::text")
	if err != nil {
		s.t.Fatal(err)
	}
	testenv.Wait(s.t, 20*time.Second, "the further standby has it", func() (bool, string) {
		got, err := reports.Ask(limited(s.t), "SELECT (pg_last_wal_receive_lsn() >= $1::pg_lsn)::text", end)
		return got == "true", fmt.Sprint(got, err)
	})
	testenv.Wait(s.t, 30*time.Second, "db2's service knows", func() (bool, string) {
		st, err := s.status("db2")
		if err != nil {
			return false, err.Error()
		}
		i := slices.IndexFunc(st.Nodes, func(n view.NodeStatus) bool { return n.Node == "db1" })
		for _, seen := range st.Nodes[i].Seen {
			if seen.Status == nil || !slices.ContainsFunc(seen.Status.Standbys, replicated("reports", end)) {
				return false, fmt.Sprintf("%+v", seen.Status)
			}
		}
		return len(st.Nodes[i].Seen) > 0, "nobody sees db1"
	})
}

// replicated finds a standby that has flushed up to there.
func replicated(name, end string) func(replication.StandbyRow) bool {
	at, err := replication.ParseLSN(end)
	return func(r replication.StandbyRow) bool { return err == nil && r.ApplicationName == name && r.Flush >= at }
}

// catchUpFrom gives db2 what the further standby has: the hint of the refusal.
func (s *site) catchUpFrom(reports *demo.Server) {
	s.t.Helper()
	s.receiveFrom(fmt.Sprintf("host=127.0.0.1 port=%d user=postgres application_name=db2", reports.Port))
	testenv.Wait(s.t, 30*time.Second, "db2 has the table", func() (bool, string) {
		got, err := s.Pair.Server("db2").Ask(limited(s.t), "SELECT coalesce(to_regclass('only_there')::text, 'absent')")
		return got == "only_there", fmt.Sprint(got, err)
	})
}
