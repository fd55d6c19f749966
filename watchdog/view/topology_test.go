package view_test

import (
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// addressed is a pair whose nodes have addresses, and whose rows are visible.
func addressed(t *testing.T, rows ...replication.StandbyRow) *scene {
	t.Helper()
	s := pair(t)
	for i, at := range []string{"10.0.0.1", "10.0.0.2"} {
		n := &s.v.Nodes[i]
		n.Addresses, n.Port, n.Slot = []string{at}, 5432, "watchdog_"+n.Name
	}
	return s.all("db1", func(r *view.ServerReport) { r.Status.StatsVisible, r.Status.Standbys = true, rows }).
		all("db2", func(r *view.ServerReport) {
			r.Status.StatsVisible = true
			r.Status.Receiver.SenderHost, r.Status.Receiver.SenderPort = "10.0.0.1", 5432
		})
}

func row(name, addr, slot string) replication.StandbyRow {
	return replication.StandbyRow{ApplicationName: name, ClientAddr: addr, SlotName: slot, State: "streaming", SyncState: "async",
		Flush: 0x4A3C011000, Replay: 0x4A3C011000}
}

func TestTopology_FurtherStandby_IsShownApartFromThePairsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		rows []replication.StandbyRow
		want []string // node of each row
	}{
		"by slot":                       {[]replication.StandbyRow{row("a", "10.0.0.7", ""), row("b", "10.0.0.9", "watchdog_db2")}, []string{"", "db2"}},
		"by name":                       {[]replication.StandbyRow{row("reports", "10.0.0.2", ""), row("DB2", "10.0.0.2", "")}, []string{"", "db2"}},
		"by address":                    {[]replication.StandbyRow{row("walreceiver", "10.0.0.7", ""), row("walreceiver", "10.0.0.2", "")}, []string{"", "db2"}},
		"one row each":                  {[]replication.StandbyRow{row("walreceiver", "10.0.0.2", ""), row("walreceiver", "10.0.0.2", "")}, []string{"db2", ""}},
		"its slot goes before its name": {[]replication.StandbyRow{row("db2", "10.0.0.7", ""), row("x", "10.0.0.2", "watchdog_db2")}, []string{"", "db2"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := addressed(t, c.rows...).status(true).Nodes[0].Downstreams
			if len(got) != len(c.want) {
				t.Fatalf("%+v", got)
			}
			for i, d := range got {
				if d.Node != c.want[i] || d.SyncState != "async" || d.State != "streaming" || d.Kind != view.KindStandby || d.LagBytes == nil || *d.LagBytes != 0x1000 {
					t.Errorf("row %d: %+v, want node %q", i, d, c.want[i])
				}
			}
		})
	}
}

// On one machine all addresses are the same: a primary is nobody's downstream.
func TestTopology_CascadeOnOneMachine_IsNotTakenForThePrimary(t *testing.T) {
	s := addressed(t, row("db2", "10.0.0.1", "watchdog_db2")).all("db2", func(r *view.ServerReport) {
		r.Status.Standbys = []replication.StandbyRow{row("far", "10.0.0.1", "")}
	})
	if got := s.status(true).Nodes[1].Downstreams; len(got) != 1 || got[0].Node != "" {
		t.Errorf("%+v", got)
	}
}

func TestTopology_WhoReadsIsNamedForWhatItIs(t *testing.T) {
	logical, receiver := row("sub", "10.0.0.8", "sub"), row("pg_receivewal", "10.0.0.2", "")
	logical.SlotType, receiver.Replay = "logical", 0
	got := addressed(t, logical, receiver).status(true).Nodes[0].Downstreams
	if len(got) != 2 || got[0].Kind != view.KindLogical || got[1].Kind != view.KindReceiver || got[1].Node != "" {
		t.Errorf("%+v", got)
	}
}

func TestTopology_StandbyOfAnother_SaysFromWhomItReceives(t *testing.T) {
	if up := addressed(t).status(true).Nodes[1].Upstream; up == nil || up.Node != "db1" || up.Host != "10.0.0.1" || up.State != "streaming" {
		t.Errorf("%+v", up)
	}
	s := addressed(t).all("db2", func(r *view.ServerReport) { r.Status.Receiver.SenderHost = "10.0.0.9" })
	if up := s.status(true).Nodes[1].Upstream; up == nil || up.Node != "" || up.Host != "10.0.0.9" {
		t.Errorf("a strange upstream: %+v", up)
	}
	if up := s.status(true).Nodes[0].Upstream; up != nil {
		t.Errorf("the primary receives from %+v", up)
	}
}

// What our role may not see, and what nobody told, is not "none".
func TestTopology_HiddenOrOld_IsLeftOutOrDated(t *testing.T) {
	hidden := addressed(t, row("x", "10.0.0.7", "")).all("db1", func(r *view.ServerReport) { r.Status.StatsVisible = false })
	if got := hidden.status(true).Nodes[0].Downstreams; got != nil {
		t.Errorf("hidden: %+v", got)
	}
	old := addressed(t, row("x", "10.0.0.7", "")).all("db1", func(r *view.ServerReport) { r.StatusAge = time.Hour })
	if got := old.status(true).Nodes[0].Downstreams; len(got) != 1 || got[0].Age < time.Hour {
		t.Errorf("old: %+v", got)
	}
}
