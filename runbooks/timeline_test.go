package runbooks

import (
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Rule 13: another timeline is refused unless the standby's own history proves
// that it holds everything that the primary was seen to write.
func TestRule13_StandbyOnANewerTimeline_OnlyItsHistoryProvesTheBranch(t *testing.T) {
	primary := NodeFacts{Node: "db1", Seen: []Seen{{Observer: "db2", Role: replication.RolePrimary, Timeline: 3, Position: 1000}}}
	for name, c := range map[string]struct {
		history []Parent
		ok      bool
	}{
		"left after all that was seen":       {[]Parent{{Timeline: 3, SwitchPoint: 1000}}, true},
		"left before the primary's last LSN": {[]Parent{{Timeline: 3, SwitchPoint: 999}}, false},
		"left another timeline":              {[]Parent{{Timeline: 2, SwitchPoint: 5000}}, false},
		"history was never read":             {nil, false},
	} {
		standby := NodeFacts{Node: "db2", Status: &replication.Status{Timeline: 4}, History: c.history}
		if got := checkTimeline(primary, standby); got.gate.OK != c.ok || (!c.ok && got.rule != "13") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
