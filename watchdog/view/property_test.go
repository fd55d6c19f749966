package view_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// anyView draws views that no scenario thought of.
func anyView(t *rapid.T) view.View {
	names := []string{"db1", "db2", "wit"}[:rapid.IntRange(2, 3).Draw(t, "nodes")]
	v := view.View{Cluster: "gestionale", Self: rapid.SampledFrom(names).Draw(t, "self"), Reports: map[string]view.Heard{}, Up: anyAge(t, "up")}
	for _, n := range names {
		v.Nodes = append(v.Nodes, view.NodeInfo{Name: n, Witness: n == "wit"})
	}
	v.Up = max(0, v.Up)
	for _, n := range names {
		if n != v.Self && rapid.IntRange(0, 4).Draw(t, "absent "+n) == 0 {
			continue
		}
		h := view.Heard{Report: anyReport(t, n, names)}
		if n != v.Self {
			h.Heard = max(0, anyAge(t, "heard "+n))
		}
		v.Reports[n] = h
	}
	return v
}

func anyReport(t *rapid.T, node string, names []string) view.Report {
	r := view.Report{Node: node, Boot: "b", PlannedStop: rapid.IntRange(0, 9).Draw(t, "planned") == 0}
	for _, m := range []string{"db1", "db2"} {
		r.Servers = append(r.Servers, anyServer(t, node+" sees "+m, m))
	}
	for _, m := range names {
		if m != node {
			r.Edges = append(r.Edges, view.EdgeReport{Node: m, OK: rapid.Bool().Draw(t, "edge"), Age: anyAge(t, "edge age"), Answered: anyAge(t, "edge answered")})
		}
	}
	if rapid.Bool().Draw(t, node+" host") {
		r.Host = anyHost(t, node)
		r.Program, r.ConfigHash = rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, node+" program"), rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, node+" hash")
		for i := range r.Edges {
			r.Edges[i].Skew = rapid.SampledFrom([]time.Duration{0, 3 * sec, -time.Hour}).Draw(t, node+" skew")
		}
	}
	if rapid.Bool().Draw(t, "durable") {
		r.Durable = &fence.Durable{Node: node, Epoch: fence.Epoch{
			Number: uint64(rapid.IntRange(0, 3).Draw(t, "epoch")), ID: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "id"),
			Primary: rapid.SampledFrom([]string{"db1", "db2"}).Draw(t, "primary")}}
		if rapid.IntRange(0, 4).Draw(t, "intent") == 0 {
			r.Durable.Intents = []fence.Intent{{Operation: "K7", Owner: "db2"}}
		}
	}
	return r
}

func anyServer(t *rapid.T, label, node string) view.ServerReport {
	s := view.ServerReport{
		Node: node, Verdict: replication.Verdict(rapid.IntRange(0, 11).Draw(t, label+" verdict")),
		Role: replication.Role(rapid.IntRange(0, 2).Draw(t, label+" role")), Timeline: replication.Timeline(rapid.IntRange(1, 3).Draw(t, label+" timeline")),
		SystemID: replication.SystemID(rapid.IntRange(0, 2).Draw(t, label+" id")), Position: replication.LSN(rapid.IntRange(0, 3).Draw(t, label+" at")),
		Age: anyAge(t, label+" age"), Since: anyAge(t, label+" since"), Answered: anyAge(t, label+" answered"),
		RoleSince: anyAge(t, label+" role since"), Advanced: anyAge(t, label+" advanced"), StatusAge: view.Never,
	}
	if rapid.Bool().Draw(t, label+" has lag") {
		s.Replay, s.Reached = replication.LSN(rapid.IntRange(0, 3).Draw(t, label+" replay")), replication.LSN(rapid.IntRange(0, 3).Draw(t, label+" reached"))
		s.Stuck = max(0, anyAge(t, label+" stuck"))
		s.Behind = &view.Behind{Primary: rapid.SampledFrom([]string{"db1", "db2"}).Draw(t, label+" behind"), Time: max(0, anyAge(t, label+" late")), AtLeast: rapid.Bool().Draw(t, label+" at least")}
	}
	if rapid.Bool().Draw(t, label+" has status") {
		s.StatusAge = max(0, anyAge(t, label+" status age"))
		s.Status = &replication.Status{InRecovery: s.Role == replication.RoleStandby}
		if rapid.Bool().Draw(t, label+" beats") {
			at := time.Unix(1_700_000_000, 0).Add(anyAge(t, label+" beat at"))
			s.Status.Heartbeats = []replication.HeartbeatRow{{Node: "db1", At: at, Age: max(0, anyAge(t, label+" beat age"))}}
		}
		if rapid.Bool().Draw(t, label+" upkeep") {
			anyUpkeep(t, label, &s)
		}
		if rapid.Bool().Draw(t, label+" receiver") {
			s.Status.Receiver = &replication.ReceiverRow{Status: rapid.SampledFrom([]string{"streaming", "waiting"}).Draw(t, label+" state"),
				MessageAge: anyAge(t, label+" message")}
		}
	}
	return s
}

// anyUpkeep draws figures that are fine and figures that are not.
func anyUpkeep(t *rapid.T, label string, s *view.ServerReport) {
	st, bad := s.Status, func(what string) bool { return rapid.Bool().Draw(t, label+" "+what) }
	st.MaxConnections, st.Connections, st.StatsVisible = 100, rapid.IntRange(0, 100).Draw(t, label+" connections"), true
	st.Settings = map[string]string{"max_slot_wal_keep_size": rapid.SampledFrom([]string{"-1", "64", "", "x"}).Draw(t, label+" limit")}
	st.Slots = []replication.SlotRow{{Name: "watchdog_db2", Type: "physical", Active: bad("active"), RestartLSN: 1,
		WALStatus: rapid.SampledFrom([]string{"reserved", "extended", "lost", ""}).Draw(t, label+" wal status"), RetainedBytes: rapid.Uint64().Draw(t, label+" retained")}}
	if bad("archiver") {
		st.Archiver = &replication.ArchiverRow{LastFailedNow: bad("failing")}
	}
	if bad("sync") {
		st.SynchronousStandbyNames = "db2"
	}
	st.ServerVersion = rapid.SampledFrom([]int{0, 150007, 160001}).Draw(t, label+" version")
	h := replication.Health{MultiXIDAge: int(rapid.Int32().Draw(t, label+" multi")), ReservedConnections: rapid.IntRange(0, 200).Draw(t, label+" reserved"),
		ChecksumFailures: rapid.Uint64Range(0, 2).Draw(t, label+" damaged")}
	if bad("pending") {
		h.PendingRestart, h.Collations = []string{"port"}, "negozio"
		h.Expiring = []replication.LoginRow{{Role: "r", Expired: true}, {Role: "r", Expired: true}}
	}
	st.Health = &h
}

func anyHost(t *rapid.T, node string) view.HostReport {
	free := rapid.Int64Range(0, 100).Draw(t, node+" free")
	return view.HostReport{DataFreeBytes: rapid.Int64Range(-1, 1).Draw(t, node+" data"), LoopGap: max(0, anyAge(t, node+" gap")), Volumes: []view.VolumeReport{
		{Uses: []string{view.VolumeData}, FreeBytes: free, TotalBytes: 100, Age: max(0, anyAge(t, node+" volume age"))},
		{Uses: []string{view.VolumeData}, TotalBytes: 100}}}
}

func anyAge(t *rapid.T, label string) time.Duration {
	return rapid.SampledFrom([]time.Duration{view.Never, 0, 100 * ms, 700 * ms, 2 * sec, 4 * sec, 19 * sec, time.Minute, time.Hour}).Draw(t, label)
}

func has(v view.View, code string) (bool, string) {
	for _, c := range view.Judge(v, view.DefaultLimits(), time.Time{}) {
		if c.Code == code {
			return true, c.Text
		}
	}
	return false, ""
}

// refusedSince is the longest present refusal of a server, as the rule says.
func refusedSince(v view.View, node string) time.Duration {
	longest := view.Never
	for _, s := range v.Sightings(node) {
		if s.Verdict == replication.VerdictDown && s.Age >= 0 && s.Age <= view.DefaultLimits().Fresh {
			longest = max(longest, s.Since)
		}
	}
	return longest
}

func TestProperty_NoPrimary_NeverBesideAFreshHealthyPrimary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		found, text := has(v, view.NoPrimary)
		if !found {
			return
		}
		fresh := view.DefaultLimits().Fresh
		for _, node := range v.Servers() {
			all := v.Sightings(node)
			for _, s := range all {
				refused := refusedSince(v, node)
				good := s.Verdict == replication.VerdictHealthy && s.Role == replication.RolePrimary && s.Age >= 0 && s.Age <= fresh &&
					s.Answered >= 0 && s.Answered <= fresh && (refused < 0 || s.Answered <= refused)
				if good && !newerStandby(all, s, fresh) {
					t.Fatalf("%s\nwhile %s saw %s healthy as primary %s ago", text, s.Observer, node, s.Answered)
				}
			}
		}
	})
}

// newerStandby reports whether somebody saw the same server in recovery later.
func newerStandby(all []view.Sighting, than view.Sighting, fresh time.Duration) bool {
	for _, s := range all {
		if s.Role == replication.RoleStandby && s.Age >= 0 && s.Age <= fresh && s.Answered >= 0 && s.Answered <= than.Answered {
			return true
		}
	}
	return false
}

func TestProperty_TwoPrimaries_NeedsTwoFreshAnswersOfOneIdentifier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		if found, text := has(v, view.TwoPrimaries); found {
			ids := map[string]map[replication.SystemID]bool{}
			for _, node := range v.Servers() {
				ids[node] = map[replication.SystemID]bool{}
				for _, s := range v.Sightings(node) {
					if s.Role == replication.RolePrimary && s.Verdict != replication.VerdictUnknown && s.SystemID != 0 &&
						s.Age >= 0 && s.Answered >= 0 && s.Answered <= view.DefaultLimits().Fresh {
						ids[node][s.SystemID] = true
					}
				}
			}
			for id := range ids["db1"] {
				if ids["db2"][id] {
					return
				}
			}
			t.Fatalf("%s\nbut the fresh answers were %v", text, ids)
		}
	})
}

func TestProperty_Unknown_IsNeitherGoodNorBad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		for _, h := range v.Reports {
			for i := range h.Report.Servers {
				s := &h.Report.Servers[i]
				s.Verdict, s.Answered = replication.VerdictUnknown, view.Never
			}
		}
		for _, code := range []string{view.NoPrimary, view.PostgresDown, view.TwoPrimaries, view.TimelineDivergence, view.CommitsFailing, view.SupersededPrimary, view.UnexpectedRoleChange} {
			if code == view.TimelineDivergence {
				clearDurable(v)
			}
			if found, text := has(v, code); found {
				t.Fatalf("%s out of nothing: %s", code, text)
			}
		}
		st := view.BuildStatus(view.StatusInput{View: v, Limits: view.DefaultLimits()})
		if st.State != view.StateUnknown && !walSeen(v) {
			t.Fatalf("state %s out of nothing", st.State)
		}
	})
}

// clearDurable leaves out what is known without any probe.
func clearDurable(v view.View) {
	for n, h := range v.Reports {
		h.Report.Durable = nil
		for i := range h.Report.Servers {
			if s := h.Report.Servers[i].Status; s != nil {
				s.Epoch = nil
			}
		}
		v.Reports[n] = h
	}
}

func walSeen(v view.View) bool {
	for _, n := range v.Servers() {
		if view.Appraise(v, view.DefaultLimits(), n).ByWAL {
			return true
		}
	}
	return false
}

func TestProperty_Judge_IsRepeatableAndComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		a := view.Judge(v, view.DefaultLimits(), time.Time{})
		b := view.Judge(v, view.DefaultLimits(), time.Time{})
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Fatalf("two answers to one question:\n%v\n%v", a, b)
		}
		seen := map[string]bool{}
		for _, c := range a {
			key := c.Code + "/" + c.Subject
			if seen[key] || c.Text == "" || c.Runbook == "" || c.Hint == "" || c.Hold < 0 || len(c.Evidence) == 0 {
				t.Fatalf("incomplete or doubled: %+v", c)
			}
			seen[key] = true
		}
	})
}

func TestProperty_LosingAVantagePoint_NeverMakesTwoPrimaries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		if found, _ := has(v, view.TwoPrimaries); found {
			return
		}
		for n := range v.Reports {
			if refused := refusedSince(v, "db1") >= 0 || refusedSince(v, "db2") >= 0; n != v.Self && !refused {
				delete(v.Reports, n)
				break
			}
		}
		if found, text := has(v, view.TwoPrimaries); found {
			t.Fatal(text)
		}
	})
}
