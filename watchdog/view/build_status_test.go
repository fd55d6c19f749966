package view_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

var update = flag.Bool("update", false, "write the golden files anew")

// status builds the document as the service does, with every condition past its hold.
func (s *scene) status(adopted bool) view.Status {
	at, err := time.Parse(time.RFC3339, wallAt)
	if err != nil {
		s.t.Fatal(err)
	}
	in := view.StatusInput{View: s.v, Limits: view.DefaultLimits(), At: at, Adopted: adopted}
	for _, c := range s.judge() {
		in.Open = append(in.Open, view.Opened(c, 20*sec, true, ""))
	}
	return view.BuildStatus(in)
}

func TestBuildStatus_Golden(t *testing.T) {
	for name, s := range map[string]*scene{
		"healthy":    withWitness(t),
		"no-primary": pair(t).all("db1", down(161*sec)).all("db2", noUpstream),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(s.status(true), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, append(got, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), string(got)+"\n"); d != "" {
				t.Errorf("the document changed; scripts read it:\n%s", d)
			}
		})
	}
}

func TestBuildStatus_StatesAndSummaries(t *testing.T) {
	for name, c := range map[string]struct {
		s       *scene
		adopted bool
		state   string
		summary string
		next    []string
	}{
		"healthy": {pair(t), true, view.StateHealthy, "db1 is primary, db2 is standby, 0 bytes behind in receiving.", nil},
		"healthy and not adopted": {pair(t), false, view.StateHealthy, "db1 is primary, db2 is standby, 0 bytes behind in receiving.",
			[]string{"watchdog adopt db1"}},
		"no primary": {pair(t).all("db1", down(161*sec)).all("db2", noUpstream), true, view.StateCritical,
			"gestionale has no primary for 2m41s: db1, the primary until then, is down (its host refuses connections), seen by db2 and db1; db2 is a standby.",
			[]string{"watchdog promote"}},
		"warning": {pair(t).silent("db1", 30*sec), true, view.StateDegraded,
			"db2 reaches the watchdog on db1, but has had no gossip from it for 30 s: look at UDP and TCP of the gossip port.", nil},
		"nothing known": {pair(t).all("db1", unknown).all("db2", unknown), true, view.StateUnknown,
			"It is not known who is primary: nothing is known of db1, nothing is known of db2.", nil},
	} {
		t.Run(name, func(t *testing.T) {
			st := c.s.status(c.adopted)
			var next []string
			for _, n := range st.Next {
				next = append(next, n.Command)
				if n.Why == "" {
					t.Errorf("no reason beside %q", n.Command)
				}
			}
			if st.State != c.state || st.Summary != c.summary || !cmp.Equal(next, c.next) {
				t.Errorf("%s: %s (next %q)\nwant %s: %s (next %q)", st.State, st.Summary, next, c.state, c.summary, c.next)
			}
		})
	}
}

func TestBuildStatus_Lag_ThroughHistoryOrNotAtAll(t *testing.T) {
	lag := func(s *scene) (*uint64, *uint64) {
		for _, n := range s.status(true).Nodes {
			if n.Node == "db2" {
				return n.ReceiveLagBytes, n.ReplayLagBytes
			}
		}
		t.Fatal("db2 is not listed")
		return nil, nil
	}
	receive, replay := lag(pair(t).all("db2", func(r *view.ServerReport) { r.Position -= 100; r.Status.Replay -= 300 }))
	if receive == nil || replay == nil || *receive != 100 || *replay != 300 {
		t.Errorf("lags %v and %v, want 100 and 300", receive, replay)
	}
	receive, replay = lag(pair(t).all("db2", onTimeline(6, 0x4900000060, line(5, 0x4000000000))))
	if receive != nil || replay != nil {
		t.Error("a number for two histories that have parted")
	}
	if receive, _ = lag(pair(t).all("db1", down(9*sec))); receive != nil {
		t.Error("a number without a primary")
	}
}

func TestBuildStatus_EveryNodeIsListed(t *testing.T) {
	s := withWitness(t)
	s.v.Reports = nil
	st := s.status(true)
	if len(st.Nodes) != 3 || st.State == view.StateHealthy || st.Nodes[0].Heard != view.Never {
		t.Errorf("%s with %+v", st.State, st.Nodes)
	}
}

func TestStatus_Next_AsksToLookCloserOnlyOnceItIsTold(t *testing.T) {
	s := pair(t)
	held := view.OpenCondition{Code: view.PendingRestart, Severity: "warning", Hint: "psql -c x"}
	in := view.StatusInput{View: s.v, Limits: view.DefaultLimits(), Adopted: true, Open: []view.OpenCondition{held}}
	if got := view.BuildStatus(in).Next; len(got) != 0 {
		t.Errorf("%+v while it is held", got)
	}
	in.Open[0].Firing = true
	if got := view.BuildStatus(in).Next; len(got) != 1 || got[0].Command != "psql -c x" || got[0].Why == "" {
		t.Errorf("%+v once it is told", got)
	}
}

func TestStatus_Volumes_AreAsOldAsTheReportMakesThem(t *testing.T) {
	s := pair(t).disk("db1", same)
	h := s.v.Reports["db1"]
	h.Heard = 4 * sec
	s.v.Reports["db1"] = h
	st := view.BuildStatus(view.StatusInput{View: s.v, Limits: view.DefaultLimits()})
	if got := st.Nodes[0].Volumes; len(got) != 1 || got[0].Age != 24*sec {
		t.Errorf("%+v", got)
	}
	if h.Report.Host.Volumes[0].Age != 20*sec {
		t.Error("the report itself was changed")
	}
	if got := st.Nodes[1].Volumes; got != nil {
		t.Errorf("%+v of a node that told nothing", got)
	}
}
