package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// limited gives a context for one act of a scenario.
func limited(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// powerOff ends everything of a node at once, as a power loss would.
func (s *site) powerOff(node string) {
	s.t.Helper()
	if err := s.KillService(s.Node(node)); err != nil {
		s.t.Fatal(err)
	}
	s.kill(node)
}

// boot starts a node's service, as its unit does before PostgreSQL.
func (s *site) boot(node string, env ...string) {
	s.t.Helper()
	if err := s.StartService(limited(s.t), s.Node(node), env...); err != nil {
		s.t.Fatal(err)
	}
}

// gate starts a node's server as its unit would and wants the boot gate to
// decide so. It gives what the gate said.
func (s *site) gate(node string, want fence.GateOutcome) string {
	s.t.Helper()
	out, err := s.startThroughGate(node)
	if refused := want == fence.GateRefuse; refused != (err != nil) {
		s.t.Fatalf("start of %s through the gate: %v: %s", node, err, out)
	}
	if !strings.Contains(out, "gate: "+want.String()+":") && want != fence.GateRefuse {
		s.t.Fatalf("gate of %s: want %s, got %s", node, want, out)
	}
	return out
}

// refuses wants the gate to refuse with exit 5, naming each word, and no server
// to run afterwards.
func (s *site) refuses(node string, words ...string) string {
	s.t.Helper()
	out, err := s.startThroughGate(node)
	if code := exitOf(err); code != 5 {
		s.t.Fatalf("gate of %s: want exit 5, got %d (%v): %s", node, code, err, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			s.t.Errorf("the gate of %s does not name %q: %s", node, w, out)
		}
	}
	if s.Pair.Server(node).Running() {
		s.t.Fatalf("%s runs although its gate refused", node)
	}
	return out
}

func exitOf(err error) int {
	var exit interface{ ExitCode() int }
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// wantsRecovery asks a server itself whether it is read-only.
func (s *site) wantsRecovery(node string, want bool) {
	s.t.Helper()
	in, err := s.inRecovery(node)
	if err != nil || in != want {
		s.t.Fatalf("%s in recovery: %v (%v), want %v", node, in, err, want)
	}
}

// ask runs a query that gives one value on a node's server.
func (s *site) ask(node, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.Pair.Server(node).Ask(ctx, sql)
}

// timeline asks a primary for the timeline that it writes.
func (s *site) timeline(node string) string {
	s.t.Helper()
	tl, err := s.ask(node, "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
	if err != nil {
		s.t.Fatal(err)
	}
	return tl
}

// awaitStreams waits until a standby has replayed a row that its upstream
// writes now: "streaming" alone proves nothing.
func (s *site) awaitStreams(upstream, standby string) {
	s.t.Helper()
	mark := fmt.Sprintf("mark_%d", time.Now().UnixNano())
	ctx := limited(s.t)
	if err := s.Pair.Server(upstream).Exec(ctx, "SET synchronous_commit=local; CREATE TABLE "+mark+"()"); err != nil {
		s.t.Fatal(err)
	}
	testenv.Wait(s.t, 30*time.Second, standby+" replays what "+upstream+" writes", func() (bool, string) {
		got, err := s.ask(standby, "SELECT to_regclass('"+mark+"') IS NOT NULL AND pg_is_in_recovery()")
		if err != nil {
			return false, err.Error()
		}
		from, _ := s.ask(standby, "SELECT coalesce((SELECT status || ' tl ' || received_tli FROM pg_stat_wal_receiver), 'no receiver')")
		return got == "true", from
	})
}

// durable reads a node's state directory as its gate would.
func (s *site) durable(node string) fence.Durable {
	s.t.Helper()
	d, err := state.Open(s.Node(node).StateDir, node).Read()
	if err != nil {
		s.t.Fatalf("read state of %s: %v", node, err)
	}
	return d
}

// dataFile gives the path of a file in a node's data directory.
func (s *site) dataFile(node string, name ...string) string {
	return filepath.Join(append([]string{s.Pair.Server(node).DataDir}, name...)...)
}

func (s *site) exists(path string) bool {
	s.t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return err == nil
}

// write puts text into a file, as an operator with an editor would.
func (s *site) write(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) read(path string) string {
	s.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

// set changes a server's own configuration in the file above its data directory.
func (s *site) set(node, settings string) {
	s.t.Helper()
	path := filepath.Join(filepath.Dir(s.Pair.Server(node).DataDir), "node.conf")
	s.write(path, s.read(path)+settings)
}

// neverTwoWritable watches both servers until the test ends: at no moment may
// both be out of recovery.
func (s *site) neverTwoWritable() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan []string, 1)
	go func() { done <- watchWriters(ctx, s.Pair) }()
	s.t.Cleanup(func() {
		cancel()
		if seen := <-done; len(seen) > 0 {
			s.t.Errorf("two writable servers at once: %s", strings.Join(seen, "; "))
		}
	})
}

func watchWriters(ctx context.Context, p *demo.Pair) []string {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var both []string
	for {
		select {
		case <-ctx.Done():
			return both
		case <-tick.C:
		}
		writers := 0
		for _, server := range p.Servers {
			if server.State() != "ready" {
				continue // nobody accepts connections there
			}
			if in, err := server.InRecovery(ctx); err == nil && !in {
				writers++
			}
		}
		if writers > 1 {
			both = append(both, time.Now().Format(time.TimeOnly))
		}
	}
}

func describeState(d fence.Durable) string {
	b, err := json.Marshal(d)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
