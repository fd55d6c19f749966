package view_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func TestJudge_Scenarios(t *testing.T) {
	cases := map[string]struct {
		scene func(*testing.T) *scene
		want  []string
	}{
		"healthy pair raises nothing":                {pair, nil},
		"healthy pair with a witness raises nothing": {withWitness, nil},
		"killed primary, both services alive": {func(t *testing.T) *scene {
			return pair(t).all("db1", down(4*sec)).all("db2", noUpstream)
		}, []string{"NoPrimary/pair", "PostgresDown/db1", "ReplicationDown/db2"}},
		"killed primary is known before its last good report has aged": {func(t *testing.T) *scene {
			// db1's own report still says healthy, from before the refusal.
			return pair(t).sees("db2", "db1", down(50*ms))
		}, []string{"NoPrimary/pair", "PostgresDown/db1"}},
		"one observer is refused by a firewall, the node itself answers later": {func(t *testing.T) *scene {
			return pair(t).sees("db2", "db1", down(20*sec))
		}, nil},
		"only the other node is alive": {func(t *testing.T) *scene {
			return pair(t).silent("db1", 20*sec).oneWay("db2", "db1", 20*sec).
				sees("db2", "db1", unreachable(19*sec)).sees("db2", "db2", noUpstream)
		}, []string{"NoPrimary/pair", "PostgresDown/db1", "PeerUnreachable/db1", "ReplicationDown/db2"}},
		"only the former standby's host is lost": {func(t *testing.T) *scene {
			s := cluster(t, "db1", "db1", "db2")
			return s.silent("db2", 70*sec).oneWay("db1", "db2", 70*sec).sees("db1", "db2", unreachable(70*sec)).
				sees("db1", "db1", func(r *view.ServerReport) { r.Status.Standbys = nil })
		}, []string{"PostgresDown/db2", "PeerUnreachable/db2", "ReplicationDown/db2"}},
		"ping is cut, but the standby keeps receiving new WAL": {func(t *testing.T) *scene {
			return pair(t).silent("db1", 20*sec).oneWay("db2", "db1", 20*sec).sees("db2", "db1", unreachable(19*sec))
		}, []string{"PeerUnreachable/db1"}},
		"the word streaming without messages proves nothing": {func(t *testing.T) *scene {
			return pair(t).silent("db1", 20*sec).oneWay("db2", "db1", 20*sec).sees("db2", "db1", unreachable(19*sec)).
				sees("db2", "db2", func(r *view.ServerReport) { r.Status.Receiver.MessageAge, r.Advanced = 18*sec, 18*sec })
		}, []string{"NoPrimary/pair", "PostgresDown/db1", "PeerUnreachable/db1"}},
		"both servers down": {func(t *testing.T) *scene {
			return pair(t).all("db1", down(9*sec)).all("db2", down(8*sec))
		}, []string{"NoPrimary/pair", "PostgresDown/db1", "PostgresDown/db2", "ReplicationDown/db2"}},
		"starting primary is not yet one": {func(t *testing.T) *scene {
			return pair(t).all("db1", missed(replication.VerdictStarting, "57P03", 2*sec)).all("db2", noUpstream)
		}, []string{"NoPrimary/pair", "PostgresDown/db1", "ReplicationDown/db2"}},
		"hung primary": {func(t *testing.T) *scene {
			return pair(t).all("db1", missed(replication.VerdictHung, "", 6*sec)).all("db2", noUpstream)
		}, []string{"NoPrimary/pair", "PostgresDown/db1", "ReplicationDown/db2"}},
		"hung primary between two dials": {func(t *testing.T) *scene {
			return pair(t).all("db1", func(r *view.ServerReport) { missed(replication.VerdictHung, "", 60*sec)(r); r.Age = 6 * sec }).all("db2", noUpstream)
		}, []string{"NoPrimary/pair", "PostgresDown/db1", "ReplicationDown/db2"}},
		"saturated primary is alive": {func(t *testing.T) *scene {
			return pair(t).all("db1", func(r *view.ServerReport) { r.Verdict, r.Cause = replication.VerdictSaturated, "53300" })
		}, nil},
		"refused login is not a dead primary, but missing data": {func(t *testing.T) *scene {
			return pair(t).all("db1", missed(replication.VerdictAuthRefused, "28P01", 9*sec)).
				all("db2", func(r *view.ServerReport) { r.Status.Receiver.MessageAge, r.Advanced = 9*sec, 9*sec })
		}, []string{"NoSample/db1", "AuthBroken/db1"}},
		"no sample of anybody": {func(t *testing.T) *scene {
			return pair(t).all("db1", unknown).all("db2", unknown)
		}, []string{"NoSample/db1", "NoSample/db2"}},
		"samples that no longer come": {func(t *testing.T) *scene {
			stale := func(r *view.ServerReport) {
				r.Age, r.Answered, r.StatusAge, r.Advanced = 40*sec, 40*sec, 40*sec, 40*sec
			}
			return pair(t).all("db1", stale).all("db2", stale)
		}, []string{"NoSample/db1", "NoSample/db2"}},
		"commits stall on storage": {func(t *testing.T) *scene {
			return pair(t).sees("db1", "db1", func(r *view.ServerReport) {
				r.Verdict, r.Since = replication.VerdictStorageStalled, 7*sec
			})
		}, []string{"CommitsFailing/db1"}},
		"two primaries": {func(t *testing.T) *scene {
			return pair(t).all("db2", primaryNow(3*sec))
		}, []string{"TwoPrimaries/pair", "UnexpectedRoleChange/db2"}},
		"two primaries, each seen by its own node only": {func(t *testing.T) *scene {
			return pair(t).sees("db2", "db2", primaryNow(5*sec)).sees("db1", "db2", unreachable(9*sec)).
				sees("db2", "db1", unreachable(9*sec)).sees("db1", "db1", func(*view.ServerReport) {})
		}, []string{"TwoPrimaries/pair", "UnexpectedRoleChange/db2"}},
		"the old primary's last answer lies before the new one's first": {func(t *testing.T) *scene {
			// A planned change: db1 was stopped 200 ms ago, db2 was promoted 100 ms ago.
			return pair(t).all("db1", func(r *view.ServerReport) { r.Age, r.Answered = 250*ms, 250*ms }).
				sees("db2", "db2", primaryNow(100*ms)).epoch("db2", 4)
		}, []string{"SupersededPrimary/db1"}},
		"an unknown server is no second primary": {func(t *testing.T) *scene {
			return pair(t).all("db2", primaryNow(3*sec)).all("db1", unknown).epoch("db2", 4)
		}, []string{"NoSample/db1"}},
		"standby lost its connection": {func(t *testing.T) *scene {
			return pair(t).all("db2", noUpstream)
		}, []string{"ReplicationDown/db2"}},
		"primary streams to nobody": {func(t *testing.T) *scene {
			return pair(t).all("db1", func(r *view.ServerReport) { r.Status.Standbys = nil })
		}, []string{"ReplicationDown/db2"}},
		"standby of which nothing is known replicates neither well nor badly": {func(t *testing.T) *scene {
			return pair(t).all("db2", func(r *view.ServerReport) { r.Status, r.StatusAge = nil, view.Never }).
				all("db1", func(r *view.ServerReport) { r.Status, r.StatusAge = nil, view.Never })
		}, []string{"NoSample/db1", "NoSample/db2"}},
		"another system identifier": {func(t *testing.T) *scene {
			return pair(t).all("db2", func(r *view.ServerReport) { r.SystemID = 42 })
		}, []string{"SystemIdMismatch/pair"}},
		"state made for another system identifier": {func(t *testing.T) *scene {
			return pair(t).report("db2", func(r *view.Report) { r.Durable.SystemID = 43 })
		}, []string{"SystemIdMismatch/pair"}},
		"state unreadable": {func(t *testing.T) *scene {
			return pair(t).report("db1", func(r *view.Report) { r.Durable, r.StateFault = nil, "read fence.json: unexpected end" })
		}, []string{"StateUnreadable/db1"}},
		"application fails everywhere": {func(t *testing.T) *scene {
			return pair(t).app("db1", 502, 3).app("db2", 502, 4)
		}, []string{"AppHealthFailing/app"}},
		"application fails from one side only": {func(t *testing.T) *scene { return pair(t).app("db1", 502, 5) }, nil},
		"application missed twice":             {func(t *testing.T) *scene { return pair(t).app("db1", 502, 2).app("db2", 502, 2) }, nil},
		"cut between the pair, witness hears both": {func(t *testing.T) *scene {
			return withWitness(t).cut("db1", "db2", 20*sec).sees("db2", "db1", unreachable(20*sec)).sees("db1", "db2", unreachable(20*sec)).
				all("db2", noUpstream).sees("db1", "db1", func(r *view.ServerReport) { r.Status.Standbys = nil })
		}, []string{"PeerUnreachable/db1-db2", "ReplicationDown/db2"}},
		"one-way cut": {func(t *testing.T) *scene { return pair(t).oneWay("db2", "db1", 9*sec) },
			[]string{"PeerUnreachable/db1-db2"}},
		"a node that has just come back, not tried again yet": {func(t *testing.T) *scene {
			s := pair(t).oneWay("db2", "db1", 40*sec)
			h := s.v.Reports["db1"]
			h.Present = 200 * ms // the newest try is 300 ms old
			s.v.Reports["db1"] = h
			return s
		}, nil},
		"gossip port cut only": {func(t *testing.T) *scene { return pair(t).silent("db1", 30*sec) },
			[]string{"PeerPathPartial/db1"}},
		"planned stop of a service": {func(t *testing.T) *scene {
			return pair(t).silent("db1", 30*sec).oneWay("db2", "db1", 29*sec).report("db1", func(r *view.Report) { r.PlannedStop = true })
		}, []string{"PeerUnreachable/db1"}},
		"witness lost": {func(t *testing.T) *scene {
			return withWitness(t).silent("wit", 40*sec).oneWay("db2", "wit", 40*sec)
		}, []string{"PeerUnreachable/wit"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { c.scene(t).want(c.want...) })
	}
}

func unknown(r *view.ServerReport) {
	*r = view.ServerReport{Node: r.Node, Age: view.Never, Since: view.Never, Answered: view.Never, StatusAge: view.Never,
		RoleSince: view.Never, Advanced: view.Never, Processes: -1}
}

func (s *scene) app(node string, status, misses int) *scene {
	return s.report(node, func(r *view.Report) {
		r.App = &view.AppReport{URL: "http://app/healthz", Status: status, Misses: misses, Age: sec}
	})
}

// epoch gives node a newer epoch in which it is primary.
func (s *scene) epoch(node string, number uint64) *scene {
	return s.report(node, func(r *view.Report) {
		r.Durable.Epoch = fence.Epoch{Number: number, ID: "later", Primary: node}
		r.Durable.Role = replication.RolePrimary
	})
}

func TestJudge_FreshServiceThatHasNotProbed_RaisesNothing(t *testing.T) {
	s := pair(t).all("db1", unknown).all("db2", unknown).oneWay("db2", "db1", view.Never)
	s.v.Up = 800 * ms
	delete(s.v.Reports, "db1")
	s.want()
	s.v.Reports = nil
	s.want()
}

func TestJudge_NoPrimary_SaysHowLongWhoSawItAndWhatToType(t *testing.T) {
	all := withWitness(t).all("db1", down(14*sec)).all("db2", noUpstream).judge()
	c := pick(t, all, view.NoPrimary)
	want := "gestionale has no primary for 14 s: db1, the primary until then, is down (its host refuses connections), seen by db2, db1 and wit; db2 is a standby."
	if c.Text != want {
		t.Errorf("text is\n%s\nwant\n%s", c.Text, want)
	}
	if c.Hint != "watchdog promote" || c.Severity != alerts.SeverityPage || c.Hold != 15*sec || c.Runbook == "" {
		t.Errorf("hint %q, severity %s, hold %s, runbook %q", c.Hint, c.Severity, c.Hold, c.Runbook)
	}
	evidence := strings.Join(c.Evidence, "\n")
	for _, part := range []string{"db2 sees PostgreSQL of db1: down (ECONNREFUSED)", "wit sees PostgreSQL of db1", "5 PostgreSQL processes that still hold"} {
		if !strings.Contains(evidence, part) {
			t.Errorf("evidence lacks %q:\n%s", part, evidence)
		}
	}
}

func TestJudge_NoPrimary_ListsWhatItExplains(t *testing.T) {
	all := pair(t).all("db1", down(30*sec)).all("db2", noUpstream).app("db1", 500, 3).app("db2", 500, 3).judge()
	for _, code := range []string{view.PostgresDown, view.ReplicationDown, view.AppHealthFailing} {
		c := pick(t, all, code)
		if len(c.InhibitedBy) == 0 || c.InhibitedBy[0] != view.NoPrimary {
			t.Errorf("%s is inhibited by %v, want NoPrimary", code, c.InhibitedBy)
		}
	}
}

func TestJudge_UnreachableWitness_ExplainsNothingElse(t *testing.T) {
	all := withWitness(t).silent("wit", 40*sec).oneWay("db2", "wit", 40*sec).all("db2", down(3*time.Minute)).judge()
	for _, code := range pick(t, all, view.PostgresDown).InhibitedBy {
		if code == view.PeerUnreachable {
			t.Error("a lost witness mutes a lost standby")
		}
	}
}

func TestJudge_PostgresDown_PrimaryPagesStandbyMails(t *testing.T) {
	primary := pick(t, pair(t).all("db1", down(sec)).all("db2", noUpstream).judge(), view.PostgresDown)
	standby := pick(t, pair(t).all("db2", down(sec)).judge(), view.PostgresDown)
	if primary.Severity != alerts.SeverityPage || primary.Hold != 15*sec {
		t.Errorf("primary: %s after %s", primary.Severity, primary.Hold)
	}
	if standby.Severity != alerts.SeverityWarning || standby.Hold != 2*time.Minute {
		t.Errorf("standby: %s after %s", standby.Severity, standby.Hold)
	}
}

func TestJudge_NeverSilenced(t *testing.T) {
	for _, code := range []string{view.TwoPrimaries, view.SystemIdMismatch, view.TimelineDivergence, view.UnexpectedRoleChange, view.OperationStopped} {
		e, ok := view.Lookup(code)
		if !ok || !e.NeverSilenced || len(e.InhibitedBy) > 0 {
			t.Errorf("%s: found %t, never silenced %t, inhibited by %v", code, ok, e.NeverSilenced, e.InhibitedBy)
		}
	}
}

func TestJudge_OwnClockJumps_ChangeNothing(t *testing.T) {
	s := pair(t).all("db1", down(14*sec)).all("db2", noUpstream)
	at, _ := time.Parse(time.RFC3339, wallAt)
	a := view.Judge(s.v, view.DefaultLimits(), at)
	b := view.Judge(s.v, view.DefaultLimits(), at.Add(-5*365*24*time.Hour))
	if len(a) != len(b) {
		t.Fatalf("%v before the jump, %v after", keys(a), keys(b))
	}
	for i := range a {
		if a[i].Text != b[i].Text || a[i].Code != b[i].Code {
			t.Errorf("%q became %q", a[i].Text, b[i].Text)
		}
	}
}

func TestJudge_PlannedStop_MailsLateAndPagesNobody(t *testing.T) {
	c := pick(t, pair(t).silent("db1", 30*sec).oneWay("db2", "db1", 29*sec).
		report("db1", func(r *view.Report) { r.PlannedStop = true }).judge(), view.PeerUnreachable)
	if c.Severity != alerts.SeverityWarning || c.Hold < 10*time.Minute {
		t.Errorf("%s after %s", c.Severity, c.Hold)
	}
}

func TestAppraise_UnknownVerdict_ProvesNothing(t *testing.T) {
	s := pair(t).all("db1", func(r *view.ServerReport) { r.Verdict = replication.VerdictUnknown }).all("db2", noUpstream)
	a := view.Appraise(s.v, view.DefaultLimits(), "db1")
	if a.Standing != view.StandingUnknown || len(a.Seen) != 0 {
		t.Errorf("standing %d from %d sightings", a.Standing, len(a.Seen))
	}
}
