package view

import (
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

func wellStatus(now time.Time) Status {
	lag := uint64(0)
	fresh := ServerReport{Verdict: replication.VerdictHealthy, Age: 100 * time.Millisecond}
	return Status{V: 1, Cluster: "gestionale", AskedOn: "db1", At: now, State: StateHealthy, Nodes: []NodeStatus{
		{Node: "db1", Self: true, Role: replication.RolePrimary, Seen: []ServerReport{fresh}},
		{Node: "db2", Heard: time.Second, Role: replication.RoleStandby, Seen: []ServerReport{fresh}, ReceiveLagBytes: &lag},
		{Node: "wit", Witness: true, Heard: time.Second},
	}}
}

func TestMonitor_StateOfTheWhole(t *testing.T) {
	now := time.Date(2026, 11, 25, 22, 0, 0, 0, time.UTC)
	pageNow := OpenCondition{Code: NoPrimary, Subject: SubjectPair, Severity: "page", Firing: true}
	for name, c := range map[string]struct {
		change func(*Status)
		about  string
		want   MonitorState
		first  string
	}{
		"all well":             {func(*Status) {}, "", MonitorOK, ""},
		"page told":            {func(s *Status) { s.Open = []OpenCondition{pageNow} }, "", MonitorCritical, "NoPrimary: "},
		"page within its hold": {func(s *Status) { s.Open = []OpenCondition{{Code: NoPrimary, Severity: "page", For: 3 * time.Second}} }, "", MonitorWarning, "held for 3.0 s"},
		"page told within other": {func(s *Status) {
			s.Open = []OpenCondition{{Code: ReplicationDown, Severity: "page", Within: NoPrimary}}
		}, "", MonitorCritical, "ReplicationDown"},
		"warning":               {func(s *Status) { s.Open = []OpenCondition{{Code: PostgresDown, Severity: "warning", Firing: true}} }, "", MonitorWarning, "PostgresDown"},
		"info":                  {func(s *Status) { s.Open = []OpenCondition{{Code: "Note", Severity: "info", Firing: true}} }, "", MonitorOK, "Note"},
		"unknown severity":      {func(s *Status) { s.Open = []OpenCondition{{Code: "New", Severity: "", Firing: true}} }, "", MonitorWarning, "New"},
		"missing data":          {func(s *Status) { s.Open = []OpenCondition{{Code: NoSample, Severity: "warning", Firing: true}} }, "", MonitorUnknown, "NoSample"},
		"fault of the service":  {func(s *Status) { s.Faults = []string{"fence.json: bad"} }, "", MonitorWarning, "refuses to act"},
		"status of a dead loop": {func(s *Status) { s.At = now.Add(-time.Minute) }, "", MonitorUnknown, "newest look"},
		"no node":               {func(s *Status) { s.Nodes = nil }, "", MonitorUnknown, "no node"},
		"no primary known":      {func(s *Status) { s.State = StateUnknown }, "", MonitorUnknown, "who is primary"},
		"never heard":           {func(s *Status) { s.Nodes[1].Heard = Never }, "", MonitorUnknown, "never heard"},
		"no sample":             {func(s *Status) { s.Nodes[0].Seen = nil }, "", MonitorUnknown, "no sample"},
		"unknown verdict only":  {func(s *Status) { s.Nodes[0].Seen = []ServerReport{{Age: time.Second}} }, "", MonitorUnknown, "no sample"},
		"old sample":            {func(s *Status) { s.Nodes[0].Seen[0].Age = time.Minute }, "", MonitorUnknown, "1m00s old"},
		"role not known":        {func(s *Status) { s.Nodes[0].Role = replication.RoleUnknown }, "", MonitorUnknown, "role of db1"},
		"silent and known": {func(s *Status) {
			s.Nodes[1].Seen[0].Verdict = replication.VerdictDown
			s.Nodes[1].Role = replication.RoleUnknown
			s.Nodes[1].ReceiveLagBytes = nil
			s.Open = []OpenCondition{{Code: PostgresDown, Subject: "db2", Severity: "warning", Firing: true}}
		}, "", MonitorWarning, "PostgresDown"},
		"lag not known":          {func(s *Status) { s.Nodes[1].ReceiveLagBytes = nil }, "", MonitorUnknown, "receive lag of db2"},
		"critical beats unknown": {func(s *Status) { s.Nodes[1].Heard = Never; s.Open = []OpenCondition{pageNow} }, "", MonitorCritical, "NoPrimary"},
		"another condition":      {func(s *Status) { s.Open = []OpenCondition{pageNow} }, TwoPrimaries, MonitorOK, ""},
		"the condition":          {func(s *Status) { s.Open = []OpenCondition{pageNow} }, NoPrimary, MonitorCritical, "NoPrimary"},
		"condition, unseen data": {func(s *Status) { s.Nodes[0].Seen = nil }, TwoPrimaries, MonitorUnknown, "no sample"},
		"the other node":         {func(s *Status) { s.Nodes[0].Seen = nil }, "db2", MonitorOK, ""},
		"the node": {func(s *Status) {
			s.Open = []OpenCondition{{Code: PostgresDown, Subject: "db2", Severity: "warning", Firing: true}}
		}, "db2", MonitorWarning, "PostgresDown db2"},
		"the path of the node": {func(s *Status) {
			s.Open = []OpenCondition{{Code: PeerUnreachable, Subject: "db1-db2", Severity: "page", Firing: true}}
		}, "db2", MonitorCritical, "PeerUnreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			s := wellStatus(now)
			c.change(&s)
			got, lines, err := Monitor(s, c.about, now)
			if err != nil || got != c.want {
				t.Fatalf("state %s, %v, want %s: %v", got, err, c.want, lines)
			}
			if c.first == "" && len(lines) > 0 || c.first != "" && (len(lines) == 0 || !strings.Contains(lines[0].Text, c.first)) {
				t.Errorf("lines %+v, want first to hold %q", lines, c.first)
			}
		})
	}
}

func TestMonitor_UnknownName_IsUnknownAndAnError(t *testing.T) {
	now := time.Now()
	if state, _, err := Monitor(wellStatus(now), "db9", now); err == nil || state != MonitorUnknown || state.Exit() != 3 {
		t.Errorf("state %s, error %v", state, err)
	}
}
