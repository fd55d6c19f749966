package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// operations lists what a node's journal holds, newest first.
func (s *site) operations(node string) []control.OperationLine {
	s.t.Helper()
	a := s.wants(0, node, "ops", "list", "--json")
	var doc struct {
		Operations []control.OperationLine `json:"operations"`
	}
	if err := json.Unmarshal([]byte(a.out), &doc); err != nil {
		s.t.Fatalf("operations of %s: %v: %s", node, err, a)
	}
	return doc.Operations
}

// newest gives the newest operation of a kind in a node's journal.
func (s *site) newest(node string, kind runbooks.Kind) control.OperationLine {
	s.t.Helper()
	all := s.operations(node)
	for _, o := range all {
		if o.Kind == kind {
			return o
		}
	}
	s.t.Fatalf("%s has no %s in its journal: %+v", node, kind, all)
	return control.OperationLine{}
}

// none fails when a node's journal holds an operation of a kind.
func (s *site) none(node string, kind runbooks.Kind) {
	s.t.Helper()
	for _, o := range s.operations(node) {
		if o.Kind == kind {
			s.t.Errorf("%s has journaled %s %s: %+v", node, kind, o.ID, o)
		}
	}
}

// journal gives every record of one operation.
func (s *site) journal(node, id string) []runbooks.Record {
	s.t.Helper()
	a := s.wants(0, node, "ops", "show", id, "--json")
	var doc control.Records
	if err := json.Unmarshal([]byte(a.out), &doc); err != nil {
		s.t.Fatalf("journal of %s: %v: %s", id, err, a)
	}
	return doc.Records
}

// figure gives the newest journaled figure of a name.
func (s *site) figure(node, id, name string) int64 {
	s.t.Helper()
	n, found := runbooks.Replay(s.journal(node, id)).Figure(name)
	if !found {
		s.t.Fatalf("operation %s has journaled no figure %s", id, name)
	}
	return n
}

// unchanged remembers the durable state of both nodes; the function that it
// gives fails when one of them has changed since. The boot record is left out:
// the service writes it by itself.
func (s *site) unchanged() func(when string) {
	s.t.Helper()
	was := map[string]fence.Durable{}
	read := func(node string) fence.Durable {
		d := s.durable(node)
		d.Boot = nil
		return d
	}
	for _, p := range s.Pair.Servers {
		was[p.Name] = read(p.Name)
	}
	return func(when string) {
		s.t.Helper()
		for node, d := range was {
			if now := read(node); !reflect.DeepEqual(d, now) {
				s.t.Errorf("%s: the state of %s changed from %+v to %+v", when, node, d, now)
			}
		}
	}
}

// idle waits until no node holds a lock or an intent: copies on a node that was
// away are closed by its service.
func (s *site) idle(nodes ...string) {
	s.t.Helper()
	for _, node := range nodes {
		testenv.Wait(s.t, 15*time.Second, node+" holds neither lock nor intent", func() (bool, string) {
			d := s.durable(node)
			return d.Lock == nil && len(d.Intents) == 0, fmt.Sprintf("lock %+v, intents %+v", d.Lock, d.Intents)
		})
	}
}

// killService ends a node's service as a power loss would.
func (s *site) killService(node string) {
	s.t.Helper()
	if err := s.KillService(s.Node(node)); err != nil {
		s.t.Fatal(err)
	}
}

// startService starts a node's service, with additions to its environment.
func (s *site) startService(node string, env ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.StartService(ctx, s.Node(node), env...); err != nil {
		s.t.Fatal(err)
	}
}

// awaitServiceEnd waits until a node's service has killed itself.
func (s *site) awaitServiceEnd(node string) {
	s.t.Helper()
	pid := s.Node(node).ServicePid
	testenv.Wait(s.t, 60*time.Second, "the service of "+node+" ends", func() (bool, string) {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH), fmt.Sprintf("process %d lives", pid)
	})
}

// stopWalsenders freezes what a server streams through, standby and probes
// alike, so that its position is seen by nobody while its sessions go on.
func (s *site) stopWalsenders(node string, onlyStandby bool) {
	s.t.Helper()
	sql := "SELECT coalesce(string_agg(pid::text, ' '), '') FROM pg_stat_activity WHERE backend_type = 'walsender'"
	if onlyStandby {
		sql = "SELECT coalesce(string_agg(pid::text, ' '), '') FROM pg_stat_replication WHERE state = 'streaming'"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	list, err := s.Pair.Server(node).Ask(ctx, sql)
	if err != nil || list == "" {
		s.t.Fatalf("walsenders of %s: %q, %v", node, list, err)
	}
	for _, word := range strings.Fields(list) {
		pid, err := strconv.Atoi(word)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGSTOP)
		}
		if err != nil {
			s.t.Fatalf("stop walsender %q of %s: %v", word, node, err)
		}
	}
}

// compare holds a ledger against the server that is primary now; two nodes that
// acknowledged at once, or a refused row that is there, fail at once.
func (s *site) compare(l *demo.Ledger, node string) demo.LedgerReport {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := l.Compare(ctx, s.Pair.Server(node))
	if err != nil {
		s.t.Fatal(err)
	}
	if r.Overlaps > 0 {
		s.t.Errorf("two nodes acknowledged at once: %+v", r.Tenures)
	}
	if len(r.Phantom) > 0 {
		s.t.Errorf("%d refused rows are there: %v", len(r.Phantom), r.Phantom)
	}
	return r
}

// readOnly demands that a server answers and is in recovery.
func (s *site) readOnly(node string) {
	s.t.Helper()
	if in, err := s.inRecovery(node); err != nil || !in {
		s.t.Fatalf("%s: in recovery %v, %v; want it read-only", node, in, err)
	}
}

// writable demands that a server answers and is out of recovery.
func (s *site) writable(node string) {
	s.t.Helper()
	if in, err := s.inRecovery(node); err != nil || in {
		s.t.Fatalf("%s: in recovery %v, %v; want it writable", node, in, err)
	}
}
