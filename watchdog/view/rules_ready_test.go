package view_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// readyFor is what a node of a healthy pair says: everything would work.
func readyFor(node string) []view.ReadinessReport {
	if node == "wit" {
		return nil
	}
	return []view.ReadinessReport{{Operation: "promote", Target: node, Checks: 18, Age: 20 * sec}, {Operation: "switchover", Target: node, Checks: 26, Age: 20 * sec}}
}

// fails makes checks of one operation of a node fail.
func (s *scene) fails(node, operation string, checks ...string) *scene {
	return s.report(node, func(r *view.Report) {
		r.Readiness = slices.Clone(r.Readiness)
		for i := range r.Readiness {
			if r.Readiness[i].Operation == operation {
				for _, c := range checks {
					r.Readiness[i].Failing = append(r.Readiness[i].Failing, view.ReadyCheck{Name: c, Reason: c + " is amiss", Hint: "mend " + c})
				}
			}
		}
	})
}

func TestFailoverNotReady_ChecksFail_NamesThemAndWhatMendsTheFirst(t *testing.T) {
	all := pair(t).fails("db2", "promote", "replay", "disk").want("FailoverNotReady/db2")
	c := pick(t, all, view.FailoverNotReady)
	if c.Severity.String() != "warning" || c.Hold != 15*time.Minute || c.Hint != "mend replay" || len(c.Evidence) != 2 {
		t.Errorf("%+v", c)
	}
	for _, word := range []string{"A promote to db2 would not work now", "replay (replay is amiss)", "disk (disk is amiss)"} {
		if !strings.Contains(c.Text, word) {
			t.Errorf("%q does not say %q", c.Text, word)
		}
	}
	pair(t).want() // and mended, nothing is left of it
}

func TestFailoverNotReady_WayBackFails_IsAboutTheOldPrimary(t *testing.T) {
	pair(t).fails("db1", "switchover", "senders").want("FailoverNotReady/db1")
}

// What is not known is a finding as soon as it should be known, and never ready.
func TestFailoverNotReady_NotComputed_IsUnknownAndNeverReady(t *testing.T) {
	for name, change := range map[string]func(*view.Report){
		"never":          func(r *view.Report) { r.Readiness = nil },
		"of other nodes": func(r *view.Report) { r.Readiness = readyFor("db1") },
		"not one check": func(r *view.Report) {
			r.Readiness = []view.ReadinessReport{{Operation: "promote", Target: "db2"}, {Operation: "switchover", Target: "db2"}}
		},
		"six minutes ago":   func(r *view.Report) { r.Readiness[0].Age, r.Readiness[1].Age = 6*time.Minute, 6*time.Minute },
		"nobody knows when": func(r *view.Report) { r.Readiness[0].Age, r.Readiness[1].Age = view.Never, view.Never },
	} {
		t.Run(name, func(t *testing.T) {
			s := pair(t).report("db2", change)
			s.want("FailoverNotReady/db2")
			for _, r := range s.v.Readiness(view.DefaultLimits()) {
				if r.Target == "db2" && r.State != view.ReadyUnknown {
					t.Errorf("%+v", r)
				}
			}
			s.v.Up = time.Minute // the service has just started: not yet a finding, and still unknown
			s.want()
		})
	}
}

// A standby's word on itself counts; nobody else's does.
func TestReadiness_OtherNodesClaim_IsNotBelieved(t *testing.T) {
	s := pair(t).report("db2", func(r *view.Report) { r.Readiness = nil }).report("db1", func(r *view.Report) { r.Readiness = append(readyFor("db1"), readyFor("db2")...) })
	s.want("FailoverNotReady/db2")
}

func TestFailoverNotReady_AnotherConditionSaysTheSame_IsToldWithin(t *testing.T) {
	broken := func(s *scene) *scene { return s.all("db2", noUpstream) }
	marker := &fence.Marker{Operation: "fence-1"}
	lost := func(s *scene) *scene {
		return s.silent("db1", 20*sec).oneWay("db2", "db1", 20*sec)
	}
	for name, c := range map[string]struct {
		s    *scene
		want []string
	}{
		"the stream is down":      {broken(pair(t)).fails("db2", "promote", "stream"), []string{view.ReplicationDown}},
		"and the disk is full":    {broken(pair(t)).fails("db2", "promote", "stream", "disk"), nil},
		"the peer is silent":      {lost(pair(t)).fails("db2", "promote", "fence", "gate"), []string{view.PeerUnreachable}},
		"and there are no hints":  {lost(pair(t)).fails("db2", "promote", "fence", "rewind"), nil},
		"no primary":              {pair(t).all("db1", down(4*sec)).all("db2", noUpstream).fails("db2", "promote", "anything"), []string{view.NoPrimary}},
		"the witness is silent":   {withWitness(t).silent("wit", 20*sec).oneWay("db2", "wit", 20*sec).fails("db2", "promote", "witness"), []string{view.PeerUnreachable}},
		"which explains no fence": {withWitness(t).silent("wit", 20*sec).oneWay("db2", "wit", 20*sec).fails("db2", "promote", "fence"), nil},
		"two explain it together": {lost(broken(pair(t))).fails("db2", "promote", "stream", "fence"), []string{view.PeerUnreachable, view.ReplicationDown}},
		"replay is paused": {pair(t).all("db2", func(r *view.ServerReport) { r.Status.ReplayPaused = true }).fails("db2", "promote", "replay"),
			[]string{view.ReplayPaused}},
		"other data": {pair(t).all("db2", func(r *view.ServerReport) { r.SystemID = 99 }).fails("db2", "switchover", "system-id"),
			[]string{view.SystemIdMismatch}},
		"clocks differ":     {pair(t).report("db1", func(r *view.Report) { r.Edges[0].Skew = 20 * sec }).fails("db2", "switchover", "clock"), []string{view.ClockSkew}},
		"replay is delayed": {pair(t).fails("db2", "promote", "replay"), nil},
		"held after a fence": {broken(pair(t)).report("db2", func(r *view.Report) { r.Durable.Marker = marker }).fails("db2", "promote", "target-held"),
			[]string{view.ReplicationDown}},
	} {
		t.Run(name, func(t *testing.T) {
			got := pick(t, c.s.judge(), view.FailoverNotReady).InhibitedBy
			slices.Sort(got)
			if !slices.Equal(got, c.want) {
				t.Errorf("told within %v, want %v", got, c.want)
			}
		})
	}
}

// Until it fires, a red check does not take the pair's state or its first line.
func TestStatus_NotReadyYet_StateAndSummaryStayUntilItFires(t *testing.T) {
	s := pair(t).fails("db2", "promote", "replay")
	c := s.judge()[0]
	build := func(firing bool) view.Status {
		return view.BuildStatus(view.StatusInput{View: s.v, Limits: view.DefaultLimits(), Adopted: true, Open: []view.OpenCondition{view.Opened(c, time.Minute, firing, "")}})
	}
	if st := build(false); st.State != view.StateHealthy || strings.Contains(st.Summary, "promote") || len(st.Open) != 1 {
		t.Errorf("before: %s, %q, %d conditions", st.State, st.Summary, len(st.Open))
	}
	st := build(true)
	if st.State != view.StateDegraded || !strings.Contains(st.Summary, "promote") {
		t.Errorf("after: %s, %q", st.State, st.Summary)
	}
	if len(st.Readiness) != 3 || st.Readiness[1].State != view.ReadyNo || st.Readiness[0].State != view.ReadyYes {
		t.Errorf("readiness in the document: %+v", st.Readiness)
	}
}

func TestReport_ReadinessTravels_CleanAndChecked(t *testing.T) {
	r := pair(t).fails("db2", "promote", "replay").v.Reports["db2"].Report
	r.Readiness[0].Failing[0].Reason = "a\x1b[31mred"
	r.Login = &view.LoginReport{Node: "db1", Detail: "no\x07bell", Age: sec}
	b, err := view.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := view.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(got.Readiness[0].Failing[0].Reason+got.Login.Detail, "\x1b\x07") || r.Readiness[0].Failing[0].Reason != "a\x1b[31mred" {
		t.Errorf("%+v, %+v", got.Readiness, got.Login)
	}
	for name, change := range map[string]func(*view.Report){
		"an absurd age":          func(r *view.Report) { r.Readiness[0].Age = -5 },
		"a strange target":       func(r *view.Report) { r.Readiness[0].Target = "a b" },
		"fewer checks than fail": func(r *view.Report) { r.Readiness[0].Checks = 0 },
		"a strange login":        func(r *view.Report) { r.Login.Node = "" },
	} {
		bad := got
		bad.Readiness = slices.Clone(got.Readiness)
		login := *got.Login
		bad.Login = &login
		change(&bad)
		if _, err := view.Encode(bad); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	var old map[string]any // what an older service writes
	if err := json.Unmarshal(b, &old); err != nil {
		t.Fatal(err)
	}
	delete(old, "readiness")
	b, err = json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := view.Decode(b); err != nil || got.Readiness != nil {
		t.Errorf("an older report: %+v, %v", got.Readiness, err)
	}
}

// A check from before the primary died is about another situation: people are
// not told that a switchover is ready while there is no primary.
func TestStatus_CheckFromBeforeAChange_IsNotKnown(t *testing.T) {
	shown := func(s *scene) []string {
		var states []string
		for _, r := range s.status(true).Readiness {
			states = append(states, r.Operation+" "+r.Target+" "+r.State)
		}
		return states
	}
	if got := shown(pair(t)); !slices.Equal(got, []string{"switchover db1 ready", "promote db2 ready", "switchover db2 ready"}) {
		t.Errorf("before: %q", got)
	}
	if got := shown(pair(t).all("db1", down(5*sec))); !slices.Equal(got, []string{"switchover db1 unknown", "promote db2 unknown", "switchover db2 unknown"}) {
		t.Errorf("five seconds after: %q", got)
	}
}

// A preflight that is red for less than its hold is no state of the pair; who asks
// for it by name is told.
func TestMonitor_PreflightRedForAMoment_IsNoStateOfThePair(t *testing.T) {
	s := pair(t).fails("db2", "promote", "replay")
	c := s.judge()[0]
	st := s.status(true)
	for _, x := range []struct {
		firing bool
		name   string
		want   view.MonitorState
	}{{false, "", view.MonitorOK}, {false, view.FailoverNotReady, view.MonitorWarning}, {true, "", view.MonitorWarning}} {
		st.Open = []view.OpenCondition{view.Opened(c, time.Minute, x.firing, "")}
		if got, lines, err := view.Monitor(st, x.name, st.At); err != nil || got != x.want {
			t.Errorf("firing %t, asked for %q: %s, want %s (%v, %v)", x.firing, x.name, got, x.want, lines, err)
		}
	}
}
