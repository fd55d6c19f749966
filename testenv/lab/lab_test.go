package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// bench is a lab under test.
type bench struct {
	*Lab
	t   *testing.T
	ctx context.Context
}

// newBench starts a lab and removes it with the test. It runs only through
// `make test-lab`: it needs the machine's engine to itself for minutes.
func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Getenv("WATCHDOG_LAB") == "" {
		t.Skip("skipped: the compose lab runs with make test-lab")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	l, err := New(ctx, Options{Postgres: os.Getenv("LAB_PG"), Port: os.Getenv("LAB_PORT"), Subnet: os.Getenv("LAB_LAN"),
		Compose: strings.Fields(os.Getenv("LAB_COMPOSE")), Say: t.Logf})
	if errors.Is(err, ErrNoEngine) && os.Getenv("WATCHDOG_LAB") != "required" {
		t.Skipf("skipped: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Lab: l, t: t, ctx: ctx}
	t.Cleanup(b.end)
	if err := l.Up(ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) end() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if b.t.Failed() {
		for _, service := range []string{"wd1", "wd2", "db1", "db2", "helper1", "power", "client"} {
			if id, err := b.Container(ctx, service); err == nil {
				out, _ := b.run(ctx, nil, "sh", "-c", "docker logs --tail 60 "+id+" 2>&1")
				b.t.Logf("end of the log of %s:\n%s", service, out)
			}
		}
	}
	if err := b.Down(ctx); err != nil {
		b.t.Error(err)
	}
	if left, err := b.Left(ctx); err != nil || len(left) > 0 {
		b.t.Errorf("left after the lab: %v, %v", left, err)
	}
}

// on runs a stage of a story; the first that fails ends it.
func (b *bench) on(name string, stage func(*bench)) {
	b.t.Helper()
	if !b.t.Run(name, func(t *testing.T) { stage(&bench{Lab: b.Lab, t: t, ctx: b.ctx}) }) {
		b.t.FailNow()
	}
}

func (b *bench) must(out string, err error) string {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// killInit ends a container as a power loss would: by SIGKILL of its first
// process from the host. `docker kill` would mark it as stopped by hand.
func (b *bench) killInit(services ...string) {
	b.t.Helper()
	for _, s := range services {
		id := b.must(b.Container(b.ctx, s))
		var pid int
		if _, err := fmt.Sscan(b.must(b.docker(b.ctx, "inspect", "--format", "{{.State.Pid}}", id)), &pid); err != nil || pid < 2 {
			b.t.Fatalf("first process of %s: %d, %v", s, pid, err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			b.t.Fatal(err)
		}
	}
}

// stopProcesses stops every process of a container where it stands.
func (b *bench) stopProcesses(service string) {
	b.t.Helper()
	for _, field := range strings.Fields(b.must(b.docker(b.ctx, "top", b.must(b.Container(b.ctx, service)), "-eo", "pid")))[1:] {
		pid, err := strconv.Atoi(field)
		if err != nil {
			b.t.Fatalf("processes of %s: %v", service, err)
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			b.t.Fatal(err)
		}
	}
}

// powerLoss takes a whole host's power: nothing on it restarts anything.
func (b *bench) powerLoss(services ...string) {
	b.t.Helper()
	for _, s := range services {
		b.must(b.docker(b.ctx, "update", "--restart", "no", b.must(b.Container(b.ctx, s))))
	}
	b.killInit(services...)
	for _, s := range services {
		b.awaitContainer(s, "exited")
	}
}

func (b *bench) awaitContainer(service, status string) {
	b.t.Helper()
	testenv.Wait(b.t, 30*time.Second, service+" to be "+status, func() (bool, string) {
		got, _ := b.inspect(service, "{{.State.Status}}")
		return got == status, got
	})
}

func (b *bench) inspect(service, format string) (string, error) {
	id, err := b.Container(b.ctx, service)
	if err != nil {
		return "", err
	}
	out, err := b.docker(b.ctx, "inspect", "--format", format, id)
	return strings.TrimSpace(out), err
}

// inRecovery asks a server itself.
func (b *bench) inRecovery(server string) (bool, error) {
	out, err := b.SQL(b.ctx, server, "postgres", "SELECT pg_is_in_recovery()")
	return out == "t", err
}

// awaitReadOnly waits until a server answers, and wants it in recovery.
func (b *bench) awaitReadOnly(server, why string) {
	b.t.Helper()
	testenv.Wait(b.t, 60*time.Second, server+" to refuse a write as read-only "+why, func() (bool, string) {
		out, err := b.SQL(b.ctx, server, "gestionale", "CREATE TABLE scratch ()")
		if err == nil {
			b.t.Fatalf("%s took a write %s: %q", server, why, out)
		}
		return strings.Contains(err.Error(), "read-only"), err.Error()
	})
	if in, err := b.inRecovery(server); err != nil || !in {
		b.t.Fatalf("%s in recovery %s: %v, %v", server, why, in, err)
	}
}

// letter is a mail as the tool tells it.
type letter struct {
	To            []string
	Subject, Text string
}

// mails reads the mailbox.
func (b *bench) mails() []letter {
	b.t.Helper()
	var all []letter
	out := b.must(b.Exec(b.ctx, "mail", "lab", "mailbox", "--dir", "/mail", "--json"))
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		b.t.Fatalf("%v: %s", err, out)
	}
	return all
}

// awaitPage waits until an incident of code is open at both recipients: its
// beginning was mailed once more often than its end.
func (b *bench) awaitPage(code string) {
	b.t.Helper()
	testenv.Wait(b.t, 60*time.Second, "the page "+code+" at both recipients", func() (bool, string) {
		open := map[string]int{}
		var seen []string
		for _, m := range b.mails() {
			seen = append(seen, m.Subject)
			if to := strings.Join(m.To, ","); strings.Contains(m.Subject, code) {
				if strings.Contains(m.Text, "RESOLVED at") {
					open[to] = 0
				} else {
					open[to]++
				}
			}
		}
		return open["ced@example.it"] > 0 && open["titolare@example.it"] > 0, strings.Join(seen, " | ")
	})
}

// ledgerReport is the client's verdict by now.
func (b *bench) ledgerReport() demo.LedgerReport {
	b.t.Helper()
	var r demo.LedgerReport
	out := b.must(b.Exec(b.ctx, "client", "lab", "report", "--servers", "db1,db2", "--user", "gestionale", "--passfile", "/secret/pgpass", "--dir", "/ledger"))
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		b.t.Fatalf("%v: %s", err, out)
	}
	return r
}

// nothingLost wants no acknowledged row lost and never two writers.
func (b *bench) nothingLost(writer string) {
	b.t.Helper()
	var r demo.LedgerReport
	testenv.Wait(b.t, 60*time.Second, "the ledger writes on "+writer, func() (bool, string) {
		r = b.ledgerReport()
		n := len(r.Tenures)
		return n > 0 && r.Tenures[n-1].Node == writer, fmt.Sprintf("%+v", r.Tenures)
	})
	if len(r.Lost) > 0 || r.Overlaps > 0 || r.Acked == 0 {
		b.t.Errorf("ledger: %d acknowledged, lost %v, %d times a former primary wrote again, tenures %+v", r.Acked, r.Lost, r.Overlaps, r.Tenures)
	}
	b.t.Logf("ledger: %d acknowledged, %d unknown, longest time without a write %s, lost %d", r.Acked, r.Unknown, r.Outage.Round(time.Millisecond), len(r.Lost))
}

// plan gives the plan of a command at a service.
func (b *bench) plan(service string, args ...string) runbooks.Plan {
	b.t.Helper()
	out, err := b.Watchdog(b.ctx, service, append(args, "--json")...)
	var doc struct {
		Plan runbooks.Plan `json:"plan"`
	}
	if jerr := json.Unmarshal([]byte(out), &doc); jerr != nil {
		b.t.Fatalf("plan: %v: %v: %s", err, jerr, out)
	}
	return doc.Plan
}
