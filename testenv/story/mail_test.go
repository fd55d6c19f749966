package story

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// mails gives what has arrived after the first n.
func (s *site) mails(n int) []demo.Message {
	s.t.Helper()
	all, err := demo.ReadMail(s.MailDir)
	if err != nil {
		s.t.Fatal(err)
	}
	return all[min(n, len(all)):]
}

// begun gives the mails that tell the beginning of an incident of one code, from
// the n-th of them on. An end may be told twice, see awaitEndsTold, and late.
func (s *site) begun(code string, n int) []demo.Message {
	s.t.Helper()
	all := slices.DeleteFunc(s.mails(0), func(m demo.Message) bool {
		return !strings.Contains(m.Subject, code) || !strings.Contains(m.Body, "FIRING since")
	})
	return all[min(n, len(all)):]
}

// awaitEndsTold waits until every incident that was mailed is mailed as over.
func (s *site) awaitEndsTold() {
	s.t.Helper()
	testenv.Wait(s.t, 60*time.Second, "every incident is told as over", func() (bool, string) {
		open := map[string]int{}
		for _, m := range s.mails(0) {
			key := fmt.Sprint(m.To, m.Subject)
			switch {
			case strings.Contains(m.Body, "RESOLVED at"):
				open[key]--
			case strings.Contains(m.Body, "FIRING since"):
				open[key]++
			}
		}
		for key, n := range open {
			// A sender that dies before its mark was heard is told after by the
			// other one: an end may come twice, never not at all.
			if n > 0 {
				return false, fmt.Sprintf("%d of %s", n, key)
			}
		}
		return true, ""
	})
}

func subjects(all []demo.Message) string {
	var out []string
	for _, m := range all {
		out = append(out, fmt.Sprintf("%v: %s", m.To, m.Subject))
	}
	return strings.Join(out, "\n")
}

// toldOnce wants exactly one mail of each event to each of the two recipients,
// every one about code.
func (s *site) toldOnce(all []demo.Message, code string, events int) {
	s.t.Helper()
	count := map[string]int{}
	for _, m := range all {
		if len(m.To) != 1 || !strings.Contains(m.Body, code) {
			s.t.Errorf("a mail to %v that is not about %s: %s\n%s", m.To, code, m.Subject, m.Body)
			continue
		}
		count[m.To[0]]++
	}
	for _, to := range []string{"ced@example.it", "titolare@example.it"} {
		if count[to] != events {
			s.t.Errorf("%s got %d mails, want %d:\n%s", to, count[to], events, subjects(all))
		}
	}
	if len(count) != 2 {
		s.t.Errorf("recipients: %v", count)
	}
}

// awaitLasted waits until conditions have been true on a node for longer than
// any hold and any turn of the other service.
func (s *site) awaitLasted(node string, codes ...string) {
	s.t.Helper()
	testenv.Wait(s.t, 60*time.Second, fmt.Sprintf("%v have lasted on %s", codes, node), func() (bool, string) {
		st, err := s.status(node)
		if err != nil {
			return false, err.Error()
		}
		for _, code := range codes {
			if !slices.ContainsFunc(st.Open, func(c view.OpenCondition) bool { return c.Code == code && c.For > 9*time.Second }) {
				return false, fmt.Sprintf("%s; open %+v", code, st.Open)
			}
		}
		return true, ""
	})
}

// explained is what stands inside a NoPrimary.
var explained = [...]string{view.PostgresDown, view.ReplicationDown, view.AppHealthFailing}

// oneIncident: both services see everything, each recipient is told once, and
// what an incident explains is listed inside it.
func (s *site) oneIncident() {
	if before := s.mails(0); len(before) > 0 {
		s.t.Fatalf("mail about a healthy pair:\n%s", subjects(before))
	}
	s.kill("db1")
	for _, node := range []string{"db1", "db2"} {
		s.awaitLasted(node, append(explained[:], view.NoPrimary)...)
	}
	all := s.mails(0)
	s.toldOnce(all, view.NoPrimary, 1)
	for _, m := range all {
		// The others are seen only after the mail is out: status lists them.
		if !strings.Contains(m.Body, view.PostgresDown) {
			s.t.Errorf("the mail about NoPrimary does not list %s:\n%s", view.PostgresDown, m.Body)
		}
	}
	s.gate("db1", fence.GatePrimary)
	s.awaitState("db1", "HEALTHY")
	s.awaitState("db2", "HEALTHY")
	s.awaitEndsTold()
}

// takeOver: db1 is the lower name and would send. All is well again at the end.
func (s *site) takeOver() {
	before := len(s.begun(view.NoPrimary, 0))
	s.powerOff("db1")
	s.awaitLasted("db2", view.NoPrimary)
	testenv.Wait(s.t, 30*time.Second, "db2 tells both recipients", func() (bool, string) {
		now := s.begun(view.NoPrimary, before)
		return len(now) >= 2, subjects(now)
	})
	now := s.begun(view.NoPrimary, before)
	s.toldOnce(now, view.NoPrimary, 1)
	for _, m := range now {
		if !strings.Contains(m.Body, "db2") {
			s.t.Errorf("the mail does not say who sent it:\n%s", m.Body)
		}
	}
	s.boot("db1")
	s.gate("db1", fence.GatePrimary)
	s.awaitState("db1", "HEALTHY")
	s.awaitState("db2", "HEALTHY")
	s.awaitEndsTold()
	// The service of db1 had just started, and saw the primary come back within
	// its hold: what db2 had told explains the rest there, too.
	for _, code := range explained {
		if all := s.begun(code, 0); len(all) > 0 {
			s.t.Errorf("what NoPrimary explains was mailed by itself:\n%s", subjects(all))
		}
	}
}
