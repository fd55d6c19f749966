package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// up makes the site.
func (s *Story) up(ctx context.Context) error {
	kind, command := "synchronous", "watchdog demo up"
	if s.options.Async {
		kind, command = "asynchronous", "watchdog demo up --async"
	}
	s.tell.step("Two real PostgreSQL servers, a %s pair, each watched by a service of its own; a toy application and a mail box.", kind)
	s.tell.typed("", command)
	site, err := NewSite(ctx, SiteOptions{Binary: s.options.Program, Pair: Options{Dir: s.options.Dir, Sync: !s.options.Async, Detached: s.options.Keep}})
	if err != nil {
		return err
	}
	s.site = site
	s.tell.text(s.options.Site(site.Describe(ctx)))
	return nil
}

func (s *Story) healthy(ctx context.Context) error {
	if err := s.site.await(ctx, "db2 knows how far it has replayed", func() (bool, string) {
		out, errs, _ := s.site.Run(ctx, s.site.Nodes[1], "status", "--json")
		return replayKnown([]byte(out)), out + errs
	}); err != nil {
		return err
	}
	s.tell.step("Every value comes with its age and with who saw it; db1 is the primary.")
	_, err := s.want(ctx, 0, "db2", "status")
	return err
}

// replayKnown is true when a status shows how far every standby has replayed:
// the first samples of a new service do not have it yet.
func replayKnown(status []byte) bool {
	var doc struct {
		Nodes []struct {
			Role string  `json:"role"`
			Lag  *uint64 `json:"replay_lag_bytes"`
		} `json:"nodes"`
	}
	if json.Unmarshal(status, &doc) != nil {
		return false
	}
	for _, n := range doc.Nodes {
		if n.Role == "standby" && n.Lag == nil {
			return false
		}
	}
	return len(doc.Nodes) > 0
}

func (s *Story) write(ctx context.Context) error {
	s.tell.step("A client writes rows into the table ledger through four sessions and remembers every row that was acknowledged.")
	if err := s.client(ctx); err != nil {
		return err
	}
	s.tell.text(fmt.Sprintf("ledger: %d rows acknowledged by db1, and going on", s.ledger.Acked()))
	return nil
}

// kill ends the primary; an asynchronous pair loses its network first, or there
// would be nothing to lose on one machine.
func (s *Story) kill(ctx context.Context) error {
	db1 := s.site.Pair.Servers[0]
	if s.options.Async {
		s.tell.step("The network between the servers stalls for a second while db1 goes on acknowledging rows; then db1 dies.")
		if err := stall(ctx, db1, "db2"); err != nil {
			return err
		}
		from := s.ledger.Acked()
		if err := s.site.await(ctx, "db1 acknowledges rows that db2 does not get", func() (bool, string) {
			now := s.ledger.Acked()
			return now > from+150, fmt.Sprintf("%d rows", now-from)
		}); err != nil {
			return err
		}
	} else {
		s.tell.step("The primary dies: every process of db1's PostgreSQL is killed with SIGKILL while the client writes.")
	}
	s.tell.typed("", "watchdog demo break db1")
	pids, err := db1.Processes()
	if err != nil {
		return err
	}
	if err := db1.Kill(ctx); err != nil {
		return err
	}
	s.tell.text(BreakText(db1.Name, len(pids)))
	return nil
}

// BreakText is what `watchdog demo break` says.
func BreakText(node string, processes int) string {
	if processes == 0 {
		return fmt.Sprintf("no process of PostgreSQL runs on %s: nothing was killed", node)
	}
	return fmt.Sprintf("killed all %d processes of PostgreSQL on %s (SIGKILL); its service and everything else run on", processes, node)
}

// stall stops the walsenders that feed a standby, as a stalled network would:
// what they have not sent by then the standby never gets.
func stall(ctx context.Context, primary *Server, standby string) error {
	list, err := primary.Ask(ctx, "SELECT coalesce(string_agg(pid::text, ' '), '') FROM pg_stat_replication WHERE application_name = $1", standby)
	if err != nil {
		return err
	}
	pids := strings.Fields(list)
	if len(pids) == 0 {
		return fmt.Errorf("%s does not stream from %s", standby, primary.Name)
	}
	for _, word := range pids {
		pid, err := strconv.Atoi(word)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGSTOP)
		}
		if err != nil {
			return fmt.Errorf("stop walsender %s: %w", word, err)
		}
	}
	return nil
}

// mail shows the file that the mail server received.
func (s *Story) mail(ctx context.Context) error {
	s.tell.step("Nobody watches a screen at night: this mail arrived at the mail server, one per recipient; it is the file as it lies there.")
	var found Message
	if err := s.site.await(ctx, "the alert mail arrives", func() (bool, string) {
		all, err := ReadMail(s.site.MailDir)
		for _, m := range all {
			if strings.Contains(m.Subject+m.Body, "NoPrimary") {
				found = m
				return true, ""
			}
		}
		return false, fmt.Sprintf("%d mails, %v", len(all), err)
	}); err != nil {
		return err
	}
	data, err := os.ReadFile(found.File)
	if err != nil {
		return fmt.Errorf("read mail: %w", err)
	}
	s.tell.typed("", "cat "+filepath.Join(s.site.MailDir, "new", filepath.Base(found.File)))
	s.tell.text(strings.ReplaceAll(string(data), "\r\n", "\n"))
	return nil
}

func (s *Story) look(ctx context.Context) error {
	s.tell.step("The operator looks: what was seen, from where, how old it is, and the command to type next.")
	_, err := s.want(ctx, 0, "db2", "status")
	return err
}

// storyPlan is what an operator reads in the plan.
type storyPlan struct {
	id     string
	accept string // the size to accept, when the plan asks for one
}

// Texts of the command's own output that the story goes on with: an operator
// would copy them from the screen.
var (
	planID     = regexp.MustCompile(`(?m)^PLAN (\S+)`)
	acceptSize = regexp.MustCompile(`--accept-data-loss[= ]([0-9]+[A-Za-z]*)`)
	escapes    = regexp.MustCompile(`\x1b\[[0-9;]*m`)
)

func readPlan(out string) storyPlan {
	out = escapes.ReplaceAllString(out, "")
	var p storyPlan
	if m := planID.FindStringSubmatch(out); m != nil {
		p.id = m[1]
	}
	if m := acceptSize.FindStringSubmatch(out); m != nil {
		p.accept = m[1]
	}
	return p
}

// showPlan prints the plan. Of an asynchronous pair it is refused until the
// operator has typed the loss that it announces.
func (s *Story) showPlan(ctx context.Context) error {
	s.tell.step("promote without --confirm changes nothing: it says what would happen, what it costs and what could stop it.")
	if !s.options.Async {
		out, err := s.want(ctx, 0, "db2", "promote")
		if err != nil {
			return err
		}
		if s.plan = readPlan(out); s.plan.id == "" {
			return errors.New("the plan has no id")
		}
		return nil
	}
	out, code, err := s.watchdog(ctx, "db2", "promote")
	if err != nil {
		return err
	}
	refused := readPlan(out)
	if code == 0 || refused.accept == "" {
		return fmt.Errorf("promote would lose rows and does not ask about them (exit %d)", code)
	}
	s.tell.step("It is refused: rows would be lost and none may be. The operator has to type how much.")
	if out, err = s.want(ctx, 0, "db2", "promote", "--accept-data-loss="+refused.accept); err != nil {
		return err
	}
	if s.plan = readPlan(out); s.plan.id == "" {
		return errors.New("the plan has no id")
	}
	s.plan.accept = refused.accept
	s.report.AnnouncedBytes, err = sizeBytes(refused.accept)
	return err
}

// sizeBytes reads a size as the plan prints it for --accept-data-loss.
func sizeBytes(text string) (uint64, error) {
	digits := strings.TrimRight(text, "kKMGiB")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read size %q: %w", text, err)
	}
	for unit, factor := range map[string]uint64{"k": 1 << 10, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30} {
		if strings.HasPrefix(text[len(digits):], unit) {
			n *= factor
		}
	}
	return n, nil
}

func (s *Story) confirm(ctx context.Context) error {
	s.tell.step("The operator confirms this very plan, here as a script does (--confirm alone asks on a terminal); each step is on disk before it begins.")
	args := []string{"promote", "--confirm=db2", "--plan=" + s.plan.id}
	if s.plan.accept != "" {
		args = append(args, "--accept-data-loss="+s.plan.accept)
	}
	if _, err := s.want(ctx, 0, "db2", append(args, "--reason", "demo", "--no-input")...); err != nil {
		return err
	}
	before := s.ledger.Acked()
	return s.site.await(ctx, "the client writes again", func() (bool, string) {
		r := s.ledger.Report()
		return s.ledger.Acked() >= before+200 && len(r.Tenures) > 0 && r.Tenures[len(r.Tenures)-1].Node == "db2", fmt.Sprintf("%+v", r.Tenures)
	})
}

// verdict compares what the client was told with what the new primary holds.
func (s *Story) verdict(ctx context.Context) error {
	s.tell.step("The client compares every row that was acknowledged, before and after, with what db2 holds.")
	r, err := s.ledger.Compare(ctx, s.site.Pair.Servers[1])
	if err != nil {
		return err
	}
	s.tell.text(fmt.Sprintf("ledger: %d rows acknowledged; no write possible for %.1f s, the operator's reading included; acknowledged rows lost: %d%s",
		r.Acked, r.Outage.Seconds(), len(r.Lost), s.announced()))
	return s.withinAnnounced(len(r.Lost))
}

func (s *Story) announced() string {
	if !s.options.Async {
		return ""
	}
	return fmt.Sprintf(" (announced and accepted: %s of WAL, %d bytes; a row takes at least %d)", s.plan.accept, s.report.AnnouncedBytes, rowBytes)
}

// mistake starts the old primary as its unit would at a reboot.
func (s *Story) mistake(ctx context.Context) error {
	s.tell.step("Somebody restarts the old primary by mistake; its boot gate knows of the promotion and lets it up read-only, cut off.")
	db1, n := s.site.Pair.Servers[0], s.site.Nodes[0]
	start := []string{"pg_ctl", "start", "-w", "-s", "-D", db1.DataDir, "-l", db1.LogFile}
	s.tell.typed(n.Name, "watchdog gate --exec -- "+strings.Join(start, " "))
	cmd := s.site.Pair.owner.Command(ctx, s.site.Binary, append([]string{"gate", "--config", n.Config, "--exec", "--", db1.binaries.Path("pg_ctl")}, start[1:]...)...)
	out, code, err := s.runShown(cmd)
	switch {
	case err != nil:
		return err
	case code != 0:
		return fmt.Errorf("start of the old primary: exit %d", code)
	case !strings.Contains(out, "isolated-standby"):
		return errors.New("the gate did not isolate the old primary")
	}
	return nil
}

// refused tries to write to the old primary.
func (s *Story) refused(ctx context.Context) error {
	s.tell.step("It runs, and it takes no write.")
	db1 := s.site.Pair.Servers[0]
	const insert = "INSERT INTO ledger (client, seq) VALUES (99, 1)"
	s.tell.typed(db1.Name, fmt.Sprintf(`psql -h 127.0.0.1 -p %d -U postgres -c %q`, db1.Port, insert))
	out, code, err := s.runShown(s.site.Pair.owner.Command(ctx, db1.binaries.Path("psql"),
		"-X", "-h", "127.0.0.1", "-p", strconv.Itoa(db1.Port), "-U", "postgres", "-d", "postgres", "-c", insert))
	switch {
	case err != nil:
		return err
	case code == 0 || !strings.Contains(out, "read-only"):
		return fmt.Errorf("the old primary took a write (psql exit %d)", code)
	}
	return nil
}

func (s *Story) history(ctx context.Context) error {
	s.tell.step("Who did what, when and why stays on record.")
	out, err := s.want(ctx, 0, "db2", "history", "--since", "1h")
	if err == nil && !(strings.Contains(out, "promote") && strings.Contains(out, "demo")) {
		err = errors.New("history does not tell who promoted and why")
	}
	// The pinned client gets time to find a server that should not write.
	watched := time.Now().Add(300 * time.Millisecond)
	return errors.Join(err, s.site.await(ctx, "the old primary stays silent", func() (bool, string) { return time.Now().After(watched), "" }))
}
