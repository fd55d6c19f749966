package runbooks

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// checkUnwatched judges the standbys that no node looks after, as the primary
// listed them last. Nobody can ask them now, but each of them had flushed what
// the row says; a row of the pair's own standby is recognised by its slot, else
// by its name, and a copy of its machine without that slot is a stranger.
func checkUnwatched(primary, standby NodeFacts, slack uint64) check {
	if primary.Status == nil || received(standby) == 0 {
		return ok("further", "no further standby is known")
	}
	for _, row := range unwatched(primary.Status.Standbys, standby) {
		if row.Flush.Since(received(standby)) > slack {
			who := rowText(row)
			return no("further", ExitRefused, "1",
				fmt.Sprintf("let %s receive from %s until it has all of it, or shut that one down for good and take it out of service", standby.Node, who),
				"%s, which nobody watches, is ahead of %s: it held WAL up to %s when %s listed it %s ago, %s holds it up to %s",
				who, standby.Node, row.Flush, primary.Node, primary.StatusAge.Round(time.Second), standby.Node, received(standby))
		}
	}
	return ok("further", "no further standby is ahead")
}

// unwatched gives the standbys among the rows that are not the pair's own.
func unwatched(rows []replication.StandbyRow, standby NodeFacts) []replication.StandbyRow {
	own := func(r replication.StandbyRow) bool { return strings.EqualFold(r.ApplicationName, standby.Node) }
	if slices.ContainsFunc(rows, func(r replication.StandbyRow) bool { return r.SlotName != "" && r.SlotName == standby.Slot }) {
		own = func(r replication.StandbyRow) bool { return r.SlotName == standby.Slot }
	}
	var out []replication.StandbyRow
	for _, r := range rows {
		if r.Standby() && !own(r) {
			out = append(out, r)
		}
	}
	return out
}

// rowText names a standby for people: "reports at 10.0.0.7".
func rowText(r replication.StandbyRow) string {
	if r.ClientAddr == "" {
		return r.ApplicationName
	}
	return r.ApplicationName + " at " + r.ClientAddr
}
