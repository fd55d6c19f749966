package story

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// TestStory_Readiness_IsKnownAllDay lets a healthy pair lose, one by one, what a
// change of roles needs, and gives it back.
func TestStory_Readiness_IsKnownAllDay(t *testing.T) {
	t.Parallel()
	s := newSite(t, extra("probes: {readiness: 5s}\n"))
	t.Run("a healthy pair is ready in both directions", s.on((*site).allReady))
	t.Run("replay is paused, and resumed", s.on((*site).pausedReplay))
	t.Run("the way back is closed by pg_hba.conf, and opened", s.on((*site).closedWayBack))
	t.Run("settings that a reload changes, and changes back", s.on((*site).reloadedSettings))
	t.Run("the standby receives nothing, and streams again", s.on((*site).noStream))
	t.Run("the standby runs with other limits than the primary", s.on((*site).otherLimits))
	t.Run("the primary loses every other node: it says so first and pages", s.on((*site).leftAlone))
}

// ready waits until one operation is in the state, as a node tells it, and gives
// the checks that fail.
func (s *site) ready(node, operation, target, state string, failing ...string) {
	s.t.Helper()
	testenv.Wait(s.t, 60*time.Second, fmt.Sprintf("%s to %s is %s on %s", operation, target, state, node), func() (bool, string) {
		st, err := s.status(node)
		if err != nil {
			return false, err.Error()
		}
		for _, r := range st.Readiness {
			if r.Operation != operation || r.Target != target {
				continue
			}
			var names []string
			for _, f := range r.Failing {
				names = append(names, f.Name)
			}
			return r.State == state && slices.Equal(names, failing), fmt.Sprintf("%+v", st.Readiness)
		}
		return false, fmt.Sprintf("not judged: %+v", st.Readiness)
	})
}

func (s *site) allReady() {
	for _, node := range []string{"db1", "db2"} {
		s.ready(node, "promote", "db2", view.ReadyYes)
		s.ready(node, "switchover", "db2", view.ReadyYes)
		s.ready(node, "switchover", "db1", view.ReadyYes)
	}
	s.awaitState("db1", "HEALTHY")
	if a := s.wants(0, "db1", "status"); !strings.Contains(a.out, "promote to db2: ready, checked ") || !strings.Contains(a.out, "switchover back to db1: ready") {
		s.t.Errorf("status does not tell of readiness: %s", a)
	}
	if n := s.metric("db1", `pgwatchdog_ready{operation="promote",target="db2"}`); n != "1" {
		s.t.Errorf("metric: %s", n)
	}
}

func (s *site) pausedReplay() {
	if _, err := s.Pair.Server("db2").Ask(limited(s.t), "SELECT pg_wal_replay_pause()::text"); err != nil {
		s.t.Fatal(err)
	}
	s.ready("db1", "promote", "db2", view.ReadyNo, "replay")
	s.ready("db1", "switchover", "db2", view.ReadyNo, "replay")
	st, err := s.status("db1")
	if err != nil || strings.Contains(st.Summary, "promote") {
		s.t.Errorf("a minute's pause takes the first line: %s, %q, %v", st.State, st.Summary, err)
	}
	if i := slices.IndexFunc(st.Open, func(c view.OpenCondition) bool { return c.Code == view.FailoverNotReady }); i < 0 || st.Open[i].Firing || st.Open[i].Subject != "db2" {
		s.t.Errorf("conditions: %+v", st.Open)
	}
	if a := s.wants(0, "db2", "status"); !strings.Contains(a.out, "mend: SELECT pg_wal_replay_resume() on db2") {
		s.t.Errorf("status does not say what mends it: %s", a)
	}
	if _, err := s.Pair.Server("db2").Ask(limited(s.t), "SELECT pg_wal_replay_resume()::text"); err != nil {
		s.t.Fatal(err)
	}
	s.ready("db1", "promote", "db2", view.ReadyYes)
	s.ready("db2", "switchover", "db2", view.ReadyYes)
}

// closedWayBack forbids what nobody uses until the old primary must follow.
func (s *site) closedWayBack() {
	two := s.Pair.Server("db2")
	path := filepath.Join(two.DataDir, "pg_hba.conf")
	good := s.read(path)
	reload := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
		if _, err := two.Ask(limited(s.t), "SELECT pg_reload_conf()::text"); err != nil {
			s.t.Fatal(err)
		}
	}
	reload(strings.ReplaceAll(good, "host replication all 127.0.0.1/32 trust\n", ""))
	s.ready("db2", "switchover", "db2", view.ReadyNo, "login")
	s.ready("db2", "promote", "db2", view.ReadyYes)
	reload(good)
	s.ready("db2", "switchover", "db2", view.ReadyYes)
}

// alter changes one setting of a node's server by a reload; empty takes it back.
func (s *site) alter(node, name, value string) {
	s.t.Helper()
	sql := "ALTER SYSTEM SET " + name + " = '" + value + "'"
	if value == "" {
		sql = "ALTER SYSTEM RESET " + name
	}
	for _, statement := range []string{sql, "SELECT pg_reload_conf()"} {
		if err := s.Pair.Server(node).Exec(limited(s.t), statement); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) reloadedSettings() {
	s.alter("db2", "recovery_min_apply_delay", "1h")
	s.ready("db2", "switchover", "db2", view.ReadyNo, "delay", "replay")
	s.ready("db2", "promote", "db2", view.ReadyNo, "replay")
	s.alter("db2", "recovery_min_apply_delay", "")
	s.alter("db1", "full_page_writes", "off")
	s.ready("db2", "switchover", "db2", view.ReadyNo, "rewind")
	s.ready("db2", "promote", "db2", view.ReadyYes)
	s.alter("db1", "full_page_writes", "")
	s.ready("db2", "switchover", "db2", view.ReadyYes)
}

func (s *site) noStream() {
	s.alter("db2", "primary_conninfo", " ")
	s.ready("db2", "promote", "db2", view.ReadyNo, "stream")
	s.alter("db2", "primary_conninfo", "")
	s.ready("db2", "promote", "db2", view.ReadyYes)
}

// otherLimits restarts db2 with more connections than db1 has, so that db1 could
// not follow it, and with no slot to spare.
func (s *site) otherLimits() {
	two := s.Pair.Server("db2")
	restart := func(args ...string) {
		if err := two.Stop(limited(s.t), demo.StopFast); err != nil {
			s.t.Fatal(err)
		}
		if err := two.Start(limited(s.t), args...); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := two.Exec(limited(s.t), "SELECT pg_create_physical_replication_slot('somebody')"); err != nil {
		s.t.Fatal(err)
	}
	restart("-c", "max_connections=61", "-c", "max_replication_slots=1")
	s.ready("db2", "switchover", "db2", view.ReadyNo, "slots", "settings")
	s.ready("db1", "switchover", "db1", view.ReadyYes)
	if err := two.Exec(limited(s.t), "SELECT pg_drop_replication_slot('somebody')"); err != nil {
		s.t.Fatal(err)
	}
	restart()
	s.ready("db2", "switchover", "db2", view.ReadyYes)
}

// leftAlone leaves db1 alone in the world.
func (s *site) leftAlone() {
	before := len(s.mails(0))
	if err := s.KillService(s.Node("db2")); err != nil {
		s.t.Fatal(err)
	}
	s.kill("db2")
	testenv.Wait(s.t, 60*time.Second, "db1 says that it is alone", func() (bool, string) {
		st, err := s.status("db1")
		if err != nil {
			return false, err.Error()
		}
		return st.CutOff && strings.HasPrefix(st.Summary, "Cut off: nobody else is seen."), st.Summary
	})
	c := s.awaitCondition("db1", "PeerUnreachable")
	if c.Severity != "page" || !strings.Contains(c.Text, "Promote nothing while it runs") {
		s.t.Errorf("%+v", c)
	}
	testenv.Wait(s.t, 30*time.Second, "both recipients are paged", func() (bool, string) {
		return len(s.begun("PeerUnreachable", 0)) >= 2, subjects(s.mails(before))
	})
}
