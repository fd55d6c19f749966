package view_test

import (
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func TestPositionWentBack_OnlyOfAPrimaryThatAnswersBelow(t *testing.T) {
	fell := func(by uint64) func(*view.ServerReport) {
		return func(r *view.ServerReport) { r.WentBackFrom = r.Position + replication.LSN(by) }
	}
	c := pick(t, pair(t).sees("db2", "db1", fell(16<<20)).want("PositionWentBack/db1"), view.PositionWentBack)
	if c.Severity.String() != "page" || !c.NeverSilenced || c.Hold != 0 || !strings.Contains(c.Text, "16777216 bytes before") || !strings.Contains(c.Text, "db2 saw it earlier") {
		t.Errorf("%+v", c)
	}
	pair(t).all("db1", fell(16<<20)).want("PositionWentBack/db1") // once, however many saw it
	pair(t).all("db1", fell(1<<20)).want()                        // what a crash takes back
	pair(t).all("db2", fell(16<<20)).want()                       // a standby's received position falls at a restart
	pair(t).all("db1", func(r *view.ServerReport) { r.WentBackFrom = 0 }).want()
}

func TestNoSample_HistoryThatNobodyCouldRead_IsMissingData(t *testing.T) {
	gone := func(r *view.ServerReport) { r.History = nil }
	c := pick(t, pair(t).all("db2", gone).want("NoSample/db2"), view.NoSample)
	if !strings.Contains(c.Text, "history of timeline 7 cannot be read") || c.Severity.String() != "warning" {
		t.Errorf("%+v", c)
	}
	pair(t).sees("db1", "db2", gone).want() // the other observer has it
	pair(t).all("db2", func(r *view.ServerReport) { gone(r); r.RoleSince = 2 * sec }).want()
	pair(t).all("db2", func(r *view.ServerReport) { gone(r); r.Timeline = 1 }).all("db1", func(r *view.ServerReport) { gone(r); r.Timeline = 1 }).want()
}
