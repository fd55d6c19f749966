package bench

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// The idle cost is measured for a minute, in as many windows as there are
// rounds; before it the services settle, and after it the servers are looked at
// without them.
const (
	idleTime   = 60 * time.Second
	settleTime = 15 * time.Second
	loggedTime = 30 * time.Second
)

// place is one node while nothing happens: its service and its server.
type place struct {
	node            *demo.SiteNode
	server          *demo.Server
	rss, pss, cpu   figure
	with, without   figure // CPU of the whole server, services running or stopped
	kept, sent, new figure
}

func newPlace(s *demo.Site, i int, role string) *place {
	p := &place{node: s.Nodes[i], server: s.Pair.Servers[i]}
	name := func(f *figure, u unit, what string) { f.name, f.unit = what+" ("+role+")", u }
	name(&p.rss, mebibytes, "service: resident memory, VmRSS")
	name(&p.pss, mebibytes, "service: resident memory, PSS")
	name(&p.cpu, percent, "service: CPU of one core")
	name(&p.with, percent, "PostgreSQL: CPU of all its processes, services running")
	name(&p.without, percent, "PostgreSQL: the same, services stopped")
	name(&p.kept, count, "PostgreSQL: kept connections of both services, pg_stat_activity")
	name(&p.sent, perSecond, "PostgreSQL: statements and replication commands of both services, log_statement=all")
	name(&p.new, perSecond, "PostgreSQL: connections opened by both services, log_connections")
	p.rss, p.cpu = p.rss.below(30<<20), p.cpu.below(0.005)
	return p
}

// BenchmarkIdle watches a healthy pair on which nobody works, with the periods
// and holds of a configuration that does not mention them.
func BenchmarkIdle(b *testing.B) {
	s := newSite(b)
	defer closeSite(b, s)
	useDefaults(b, s)
	places := []*place{newPlace(s, 0, "primary's node"), newPlace(s, 1, "standby's node")}
	for _, p := range places {
		awaitHealthy(b, p.node)
	}
	b.ResetTimer()
	pass(b, settleTime)
	for range *rounds {
		window(b, places, idleTime/time.Duration(*rounds), true)
	}
	for _, p := range places {
		p.countStatements(b)
	}
	for _, n := range s.Nodes {
		if err := s.StopService(n); err != nil {
			b.Fatal(err)
		}
	}
	for range *rounds {
		window(b, places, idleTime/time.Duration(*rounds), false)
	}
	var all []figure
	for _, p := range places {
		all = append(all, p.rss, p.pss, p.cpu, p.with, p.without, p.kept, p.sent, p.new)
	}
	write(os.Stdout, fmt.Sprintf("Idle over %s (default periods, application asked every 5 s)", idleTime), all...)
}

// pass lets time go by: here waiting is the measurement.
func pass(b *testing.B, d time.Duration) {
	b.Helper()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-b.Context().Done():
		b.Fatal(b.Context().Err())
	}
}

// window measures all places over one stretch of time.
func window(b *testing.B, places []*place, d time.Duration, running bool) {
	b.Helper()
	began := time.Now()
	var service, server []time.Duration
	for _, p := range places {
		if running {
			service = append(service, threadTime(b, p.node.ServicePid))
		}
		server = append(server, serverTime(b, p.server))
	}
	pass(b, d)
	for i, p := range places {
		took := time.Since(began).Seconds()
		spent := (serverTime(b, p.server) - server[i]).Seconds() / took
		if !running {
			p.without.add(spent)
			continue
		}
		p.with.add(spent)
		p.cpu.add((threadTime(b, p.node.ServicePid) - service[i]).Seconds() / took)
		p.rss.add(memory(b, p.node.ServicePid, "status", "VmRSS:"))
		p.pss.add(memory(b, p.node.ServicePid, "smaps_rollup", "Pss:"))
		p.kept.add(float64(p.connections(b)))
	}
}

// ours matches the application_name of a service's session.
const ours = "pg-watchdog/"

func (p *place) connections(b *testing.B) int {
	b.Helper()
	var n int
	text, err := p.server.Ask(b.Context(), "SELECT count(*)::text FROM pg_stat_activity WHERE application_name LIKE $1 || '%'", ours)
	if err == nil {
		_, err = fmt.Sscan(text, &n)
	}
	if err != nil {
		b.Fatalf("count connections: %v", err)
	}
	return n
}

// The lines that PostgreSQL logs for a statement or a replication command of a
// named session, and for a new session, whose name stands at the end of the line.
var (
	statementLine  = regexp.MustCompile(`\] ` + ours + `\S* LOG:  (statement|execute|received replication command)`)
	connectionLine = regexp.MustCompile(`LOG:  (replication )?connection authorized: .*application_name=` + ours)
)

// countStatements has the server log everything for a while, apart from the
// measurement of CPU, which the logging would spoil.
func (p *place) countStatements(b *testing.B) {
	b.Helper()
	set := func(verb string) {
		for _, name := range []string{"log_statement", "log_connections", "log_replication_commands"} {
			value := map[string]string{"log_statement": " = 'all'"}[name]
			if value == "" {
				value = " = on"
			}
			if verb == "RESET" {
				value = ""
			}
			if err := p.server.Exec(b.Context(), "ALTER SYSTEM "+verb+" "+name+value); err != nil {
				b.Fatal(err)
			}
		}
		if err := p.server.Exec(b.Context(), "SELECT pg_reload_conf()"); err != nil {
			b.Fatal(err)
		}
	}
	set("SET")
	from, began := len(p.server.LogTail(1<<30)), time.Now()
	pass(b, loggedTime)
	text := p.server.LogTail(1 << 30)[from:]
	took := time.Since(began).Seconds()
	set("RESET")
	p.sent.add(float64(len(statementLine.FindAllString(text, -1))) / took)
	p.new.add(float64(len(connectionLine.FindAllString(text, -1))) / took)
	if testing.Verbose() {
		tell(b, p.node.Name, text)
	}
}

// tell prints each kind of statement with its number.
func tell(b *testing.B, node, text string) {
	kinds := map[string]int{}
	for _, line := range strings.Split(text, "\n") {
		if at := statementLine.FindStringIndex(line); at != nil {
			_, what, _ := strings.Cut(line[at[0]:], "LOG:  ")
			kinds[what[:min(len(what), 90)]]++
		}
	}
	for what, n := range kinds {
		b.Logf("%s: %4d in %s: %s", node, n, loggedTime, what)
	}
}
