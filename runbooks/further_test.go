package runbooks

import (
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// listed is db1, dead now, with what it listed last.
func listed(rows ...replication.StandbyRow) func(*Facts) {
	return func(f *Facts) {
		f.Nodes[0].Status, f.Nodes[0].StatusAge = &replication.Status{StatsVisible: true, Standbys: rows}, 22*time.Second
		f.Nodes[1].Slot = "watchdog_db2"
	}
}

func TestFurther_StandbyThatNobodyWatchesIsAhead_PromoteRefusesByName(t *testing.T) {
	own := replication.StandbyRow{ApplicationName: "db2", SlotName: "watchdog_db2", SlotType: "physical", Flush: 1000, Replay: 1000}
	at := func(name string, flush replication.LSN) replication.StandbyRow {
		return replication.StandbyRow{ApplicationName: name, ClientAddr: "10.0.0.7", State: "streaming", Flush: flush, Replay: 900}
	}
	for name, c := range map[string]struct {
		rows []replication.StandbyRow
		want string // a word of the refusal; empty: none
	}{
		"ahead":                            {[]replication.StandbyRow{own, at("reports", 1001)}, "reports at 10.0.0.7"},
		"level":                            {[]replication.StandbyRow{own, at("reports", 1000)}, ""},
		"behind":                           {[]replication.StandbyRow{own, at("reports", 900)}, ""},
		"ahead, and the own one is gone":   {[]replication.StandbyRow{at("reports", 1001)}, "reports at 10.0.0.7"},
		"a copy of the standby's machine":  {[]replication.StandbyRow{own, at("db2", 1001)}, "db2 at 10.0.0.7"},
		"the own one without its slot":     {[]replication.StandbyRow{at("DB2", 1001)}, ""},
		"pg_receivewal is no standby":      {[]replication.StandbyRow{own, {ApplicationName: "pg_receivewal", Flush: 1100}}, ""},
		"a logical subscriber is none":     {[]replication.StandbyRow{own, {ApplicationName: "sub", SlotName: "sub", SlotType: "logical", Flush: 1100, Replay: 1100}}, ""},
		"the own one with another name":    {[]replication.StandbyRow{{ApplicationName: "walreceiver", Flush: 1000, Replay: 1000}}, ""},
		"its slot, and another name":       {[]replication.StandbyRow{{ApplicationName: "15/main", SlotName: "watchdog_db2", Flush: 1001, Replay: 1000}}, ""},
		"two further ones, the second one": {[]replication.StandbyRow{own, at("a", 10), at("b", 5000)}, "b at 10.0.0.7"},
	} {
		t.Run(name, func(t *testing.T) {
			p := PlanPromote(pairFacts(listed(c.rows...)), Request{}, "X")
			if c.want == "" {
				if p.Refusal != nil {
					t.Errorf("refused: %+v", p.Refusal)
				}
				return
			}
			wantRefusal(t, p, ExitRefused, "1", "further")
			if !strings.Contains(p.Refusal.Reason, c.want) || !strings.Contains(p.Refusal.Reason, "22s ago") || !strings.Contains(p.Refusal.Hint, "let db2 receive from "+c.want) {
				t.Errorf("%q, hint %q", p.Refusal.Reason, p.Refusal.Hint)
			}
		})
	}
}

// Standbys of one primary always differ by a little: readiness is red only for
// what would matter.
func TestFurther_LittleAheadInTheDay_IsReady(t *testing.T) {
	row := replication.StandbyRow{ApplicationName: "reports", State: "streaming", Flush: 2000, Replay: 900}
	add := func(f *Facts) { f.Nodes[0].Status.Standbys = append(f.Nodes[0].Status.Standbys, row) }
	if got := red(t, readyFacts(add), ReadyToPromote, "db2"); len(got) > 0 {
		t.Errorf("%v fail", got)
	}
	row.Flush = 1001 + readyLagBytes
	if got := red(t, readyFacts(add), ReadyToPromote, "db2"); len(got) != 1 || got[0] != "further" {
		t.Errorf("%v fail, want further", got)
	}
}
