package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// alone is db1, the primary, after everything else fell silent.
func alone(t *testing.T, nodes ...string) *scene {
	t.Helper()
	s := cluster(t, "db1", nodes...)
	for _, n := range nodes[1:] {
		s.silent(n, 40*sec).oneWay("db1", n, 40*sec)
	}
	return s.sees("db1", "db2", unreachable(40*sec)).sees("db1", "db1", func(r *view.ServerReport) { r.Status.Standbys[0].ReplyAge = 41 * sec })
}

func TestCutOff_PrimaryThatSeesNobody_SaysSoFirstAndPages(t *testing.T) {
	for _, nodes := range [][]string{{"db1", "db2"}, {"db1", "db2", "wit"}} {
		s := alone(t, nodes...)
		if !s.v.CutOff(view.DefaultLimits()) {
			t.Fatalf("%v: not taken for cut off", nodes)
		}
		c := pick(t, s.judge(), view.PeerUnreachable)
		if c.Severity.String() != "page" {
			t.Errorf("severity %s", c.Severity)
		}
		for _, word := range []string{"it may be db1 that is cut off", "Promote nothing while it runs", "do not restart or fence it"} {
			if !strings.Contains(c.Text, word) {
				t.Errorf("%q does not say %q", c.Text, word)
			}
		}
		st := view.BuildStatus(view.StatusInput{View: s.v, Limits: view.DefaultLimits(), Adopted: true,
			Open: []view.OpenCondition{view.Opened(c, time.Minute, true, "X")}})
		if !strings.HasPrefix(st.Summary, "Cut off: nobody else is seen") || !st.CutOff || st.State != view.StateCritical {
			t.Errorf("%s, %q", st.State, st.Summary)
		}
	}
}

// Everything there is stopped, but its machine lives: nobody is cut off, and the
// primary is as alone.
func TestCutOff_OtherMachineRefuses_SaysThatTheWayIsOpen(t *testing.T) {
	s := alone(t, "db1", "db2").sees("db1", "db2", down(40*sec))
	c := pick(t, s.judge(), view.PeerUnreachable)
	if !s.v.CutOff(view.DefaultLimits()) || strings.Contains(c.Text, "it may be db1") || !strings.Contains(c.Text, "the way to it is open") {
		t.Errorf("%q", c.Text)
	}
}

// One sign of life from anybody is enough: then the others are missing, not we.
func TestCutOff_AnySignOfLife_IsNotCutOff(t *testing.T) {
	for name, change := range map[string]func(*scene){
		"the witness is heard":   func(s *scene) { s.silent("wit", sec) },
		"the witness is reached": func(s *scene) { s.oneWay("db1", "wit", sec) },
		"the standby answers":    func(s *scene) { s.sees("db1", "db2", func(r *view.ServerReport) { *r = healthy("db2", false) }) },
		"the standby refuses us": func(s *scene) { s.sees("db1", "db2", missed(replication.VerdictAuthRefused, "28P01", sec)) },
		"the standby receives": func(s *scene) {
			s.sees("db1", "db1", func(r *view.ServerReport) { r.Status.Standbys[0].ReplyAge = sec })
		},
		"who follows is not known":   func(s *scene) { s.sees("db1", "db1", func(r *view.ServerReport) { r.StatusAge = time.Minute }) },
		"the service has just begun": func(s *scene) { s.v.Up = sec },
		"it is no primary":           func(s *scene) { s.sees("db1", "db1", func(r *view.ServerReport) { *r = healthy("db1", false) }) },
	} {
		t.Run(name, func(t *testing.T) {
			s := alone(t, "db1", "db2", "wit")
			change(s)
			if s.v.CutOff(view.DefaultLimits()) {
				t.Error("taken for cut off")
			}
			for _, c := range s.judge() {
				if strings.Contains(c.Text, "cut off. It goes on") {
					t.Errorf("%s: %s", c.Code, c.Text)
				}
			}
		})
	}
}

// A standby that sees nobody has nothing to say about a primary that goes on.
func TestCutOff_LonelyStandby_IsAnotherStory(t *testing.T) {
	s := pair(t).silent("db1", 40*sec).oneWay("db2", "db1", 40*sec).sees("db2", "db1", unreachable(40*sec)).sees("db2", "db2", noUpstream)
	if s.v.CutOff(view.DefaultLimits()) {
		t.Error("a standby is taken for a primary that is cut off")
	}
}
