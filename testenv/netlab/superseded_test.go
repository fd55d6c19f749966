package netlab

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// TestNetwork_FalseStatement_OldPrimaryIsSealedWhenTheCutHeals is row 16 of the
// fault matrix with an operator who errs: db1 is cut off from the other nodes
// and goes on serving clients, and somebody says that it is switched off. For as
// long as the cut lasts nothing can know better; when it heals, everybody must.
func TestNetwork_FalseStatement_OldPrimaryIsSealedWhenTheCutHeals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	db1, db2 := s.Pair.Server("db1"), s.Pair.Server("db2")
	s.must(db1.Exec(s.ctx, "CREATE TABLE entries (said text)"))
	s.must(s.net.Cut(s.ctx, "db1", "db2"))
	s.must(s.net.Cut(s.ctx, "db1", "wit"))
	s.awaitFiring("db2", view.NoPrimary)
	if out, exit := s.watchdog("db2", "promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown"); exit != 5 {
		t.Errorf("promotion without any fence: exit %d, want 5: %s", exit, out)
	}
	if out, exit := s.watchdog("db2", "promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown", "--i-have-powered-off", "db1"); exit != 0 {
		t.Fatalf("promotion on a statement: exit %d: %s", exit, out)
	}
	s.must(db2.Exec(s.ctx, "INSERT INTO entries VALUES ('on the new primary')"))
	// The statement was false: the old one takes writes. This is what it costs.
	s.must(db1.Exec(s.ctx, "INSERT INTO entries VALUES ('on the old primary')"))
	s.must(s.net.Heal(s.ctx))
	s.awaitSealed(db1)
	// The seal comes within a moment of the healing; somebody must be told that
	// there were two, and what only the old one holds.
	testenv.Wait(t, 30*time.Second, "a page about the superseded primary", func() (bool, string) {
		return strings.Contains(s.pages(), view.SupersededPrimary), s.pages()
	})
	if c := s.awaitFiring("db1", view.SupersededPrimary); !strings.Contains(c.Text, "is sealed now") || !strings.Contains(c.Text, "Committed here alone: ") {
		t.Errorf("what was written on the old primary is told as: %s", c.Text)
	}
	s.must(db2.Exec(s.ctx, "INSERT INTO entries VALUES ('after the healing')"))
	if n, err := db2.Ask(s.ctx, "SELECT count(*) FROM entries"); err != nil || n != "2" {
		t.Errorf("rows on the new primary: %s, %v; want its own 2", n, err)
	}
	// It comes back through its gate, and reads only; the entry that it took is kept.
	if out, err := s.StartThroughGate(s.ctx, s.Node("db1")); err != nil {
		t.Fatalf("start of the sealed server: %v: %s", err, out)
	}
	if n, err := db1.Ask(s.ctx, "SELECT count(*) FROM entries"); err != nil || n != "1" {
		t.Errorf("rows on the sealed server: %s, %v; want the 1 that it took", n, err)
	}
	if err := db1.Exec(s.ctx, "INSERT INTO entries VALUES ('late')"); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a write on the sealed server: %v", err)
	}
}

// awaitSealed waits until a node's service has obeyed: marker set, no server that
// takes writes.
func (s *site) awaitSealed(server *demo.Server) {
	s.t.Helper()
	testenv.Wait(s.t, 45*time.Second, server.Name+" to obey the standing order", func() (bool, string) {
		st, err := s.status(server.Name)
		if err != nil {
			return false, err.Error()
		}
		for _, n := range st.Nodes {
			if n.Node == server.Name && n.Fence == "marker" && !server.Running() {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%+v", st.Nodes)
	})
}

// pages joins the subjects of all mails.
func (s *site) pages() string {
	s.t.Helper()
	all, err := demo.ReadMail(s.MailDir)
	s.must(err)
	var subjects []string
	for _, m := range all {
		subjects = append(subjects, m.Subject)
	}
	return strings.Join(subjects, " | ")
}
