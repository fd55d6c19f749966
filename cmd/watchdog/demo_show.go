package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// printSite shows a site: as a document, or, when it was just started, for
// people who want to play with it.
func (a *app) printSite(d demo.SiteDoc, play bool) error {
	if a.json {
		return a.printDoc(d)
	}
	if play {
		a.out("%s\n%s", demoSite(d), playText(d))
	}
	return nil
}

// demoSite says what was started and where.
func demoSite(d demo.SiteDoc) string {
	kind := "synchronous"
	if !d.Sync {
		kind = "asynchronous"
	}
	rows := [][]cell{plainCells("NODE", "ROLE", "POSTGRES", "PID", "SERVICE", "CONTROL SOCKET")}
	for _, n := range d.Nodes {
		rows = append(rows, plainCells(n.Name, n.Role, fmt.Sprintf("127.0.0.1:%d", n.PgPort), pidText(n.PgPid), pidText(n.ServicePid), n.Socket))
	}
	return table(style{}, "", rows) +
		fmt.Sprintf("pair         %s, adopted: both boot gates are active\n", kind) +
		fmt.Sprintf("application  %s\n", d.AppURL+demo.HealthPath) +
		fmt.Sprintf("mail         %s (nothing leaves this machine)\n", d.MailDir)
}

func pidText(pid int) string {
	if pid == 0 {
		return notApplicableText
	}
	return fmt.Sprint(pid)
}

// dirFlag is what has to be added to a command about a demo in dir.
func dirFlag(dir string) string {
	if own, err := demo.DefaultDir(); err == nil && own == dir {
		return ""
	}
	return " --dir " + shellWord(dir)
}

// shellWord is a word as a shell has to be told it.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// playText gives the lines to copy for playing by hand.
func playText(d demo.SiteDoc) string {
	if len(d.Nodes) < 2 {
		return ""
	}
	one, two := d.Nodes[0], d.Nodes[1]
	var lines [][]cell
	line := func(command, why string) { lines = append(lines, plainCells(command, why)) }
	if dir := notOnPath(); dir != "" {
		line("export PATH="+shellWord(dir)+":$PATH", "")
	}
	line("export WATCHDOG_CONFIG="+shellWord(one.Config), "# ask "+one.Name+", or:")
	line("export WATCHDOG_CONFIG="+shellWord(two.Config), "# ask "+two.Name)
	line("watchdog status --watch", "# or ask by --socket, see above")
	line("watchdog demo break"+dirFlag(d.Dir), "# kill the primary's PostgreSQL")
	line("ls "+shellWord(filepath.Join(d.MailDir, "new")), "# the mails, after two seconds")
	line("watchdog promote", "# read the plan, then: watchdog promote --confirm")
	line("watchdog demo down"+dirFlag(d.Dir), "# end and remove everything")
	var b strings.Builder
	b.WriteString("By hand, in any terminal:\n" + table(style{}, "  ", lines))
	b.WriteString("Write rows (in a terminal of its own; it finds the primary):\n")
	b.WriteString(writeRows(one, two))
	return b.String()
}

// writeRows is a loop that inserts once a second and says who acknowledged.
func writeRows(one, two demo.NodeDoc) string {
	dsn := fmt.Sprintf("host=127.0.0.1,127.0.0.1 port=%d,%d user=postgres dbname=postgres target_session_attrs=read-write", one.PgPort, two.PgPort)
	return fmt.Sprintf(`  P='%s'
  psql "$P" -qc 'CREATE TABLE IF NOT EXISTS mine (n serial, at timestamptz DEFAULT now())'
  while sleep 1; do psql "$P" -Atqc "INSERT INTO mine DEFAULT VALUES RETURNING n, current_setting('cluster_name')"; done
`, dsn)
}

// notOnPath is the folder of this program when typing `watchdog` would not find
// it; the folder of another program of that name is no help.
func notOnPath() string {
	self, err := os.Executable()
	if err != nil {
		return ""
	}
	if found, err := exec.LookPath("watchdog"); err == nil {
		if a, errA := os.Stat(found); errA == nil {
			if b, errB := os.Stat(self); errB == nil && os.SameFile(a, b) {
				return ""
			}
		}
	}
	return filepath.Dir(self)
}

// demoEnd is said when the story is told.
func (a *app) demoEnd(ctx context.Context, r demo.StoryReport, o demo.StoryOptions) string {
	verdict := fmt.Sprintf("none of %d acknowledged rows was lost", r.Acked)
	if r.Lost > 0 {
		verdict = fmt.Sprintf("%d of %d acknowledged rows were lost, within what was announced", r.Lost, r.Acked)
	}
	text := fmt.Sprintf("\nThe story took %.0f s: one writer at every moment, %s.\n", r.Took.Round(time.Second).Seconds(), verdict)
	if o.Keep {
		if site, err := demo.OpenSite(ctx, o.Dir); err == nil {
			return text + "Everything still runs.\n" + playText(site.Describe(ctx))
		}
	}
	program := "watchdog"
	if dir := notOnPath(); dir != "" {
		program = shortPath(filepath.Join(dir, "watchdog"))
	}
	return text + "All of it is removed again. To play by hand:\n" + table(style{}, "  ", [][]cell{
		plainCells(program+" demo up", "two servers that stay; it prints what to type next"),
		plainCells(program+" demo break", "kill the primary"),
		plainCells(program+" demo down", "end and remove everything"),
		plainCells(program+" demo --async", "the same story with a pair that may lose rows"),
	})
}

// shortPath is the path as it is typed from the present folder, when shorter.
func shortPath(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
