package demo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// segment is the id of the server's System V segment, from postmaster.pid.
func segment(t *testing.T, s *demo.Server) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.DataDir, "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(strings.Split(string(data), "\n")[6])
	return fields[1]
}

func TestServer_KilledAndStartedAgain_RecoversAndStreams(t *testing.T) {
	p := testenv.NewPair(t)
	db1, db2 := p.Servers[0], p.Servers[1]
	if err := db1.Exec(t.Context(), "CREATE TABLE kept AS SELECT 42 AS n"); err != nil {
		t.Fatal(err)
	}
	if err := db1.Start(t.Context()); !errors.Is(err, demo.ErrRunning) {
		t.Errorf("start of a running server: %v, want ErrRunning", err)
	}
	testenv.KillServer(t, db1)
	if db1.Running() || db1.Pid() != 0 || db1.State() != "" {
		t.Errorf("killed server: running %v, pid %d, state %q", db1.Running(), db1.Pid(), db1.State())
	}
	if err := db1.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := db1.Ask(t.Context(), "SELECT n FROM kept"); err != nil || got != "42" {
		t.Errorf("row written before the kill: %q, %v; want 42", got, err)
	}
	if err := p.AwaitStreaming(t.Context(), db1, db2); err != nil {
		t.Error(err)
	}
}

func TestServer_Stop_LeavesACleanShutdown(t *testing.T) {
	p := testenv.NewPair(t)
	for i, mode := range []demo.StopMode{demo.StopFast, demo.StopImmediate} {
		s := p.Servers[i]
		if err := s.Stop(t.Context(), mode); err != nil {
			t.Fatal(err)
		}
		if s.Running() {
			t.Errorf("%s has processes after its stop", s.Name)
		}
		if err := s.Stop(t.Context(), mode); err != nil {
			t.Errorf("stop of a stopped server: %v", err)
		}
	}
	if log := p.Servers[0].LogTail(4096); !strings.Contains(log, "database system is shut down") {
		t.Errorf("a fast stop of db1 does not show in its log:\n%s", log)
	}
}

func TestServer_PostmasterKilledAlone_BackendsCountAsRunning(t *testing.T) {
	p := testenv.NewPair(t)
	db1 := p.Servers[0]
	conn, err := db1.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	busy := make(chan error, 1)
	// A backend that never waits for its client does not notice the end of the
	// postmaster.
	go func() {
		_, err := conn.Exec(context.Background(), "DO $$BEGIN LOOP PERFORM 1; END LOOP; END$$")
		busy <- err
	}()
	testenv.Wait(t, 10*time.Second, "a busy backend", func() (bool, string) {
		got, err := db1.Ask(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO %'")
		if err != nil {
			return false, err.Error()
		}
		return got == "1", got
	})
	testenv.KillPostmaster(t, db1)
	testenv.Wait(t, 10*time.Second, "the postmaster's end", func() (bool, string) {
		return db1.Pid() == 0, strconv.Itoa(db1.Pid())
	})
	if !db1.Running() {
		t.Error("a server with a busy backend does not count as running")
	}
	testenv.KillServer(t, db1)
	if err := <-busy; err == nil {
		t.Error("the busy backend outlived the kill of the whole server")
	}
}

func TestPair_Close_LeavesNeitherProcessNorSegmentNorFolder(t *testing.T) {
	p, err := demo.NewPair(t.Context(), demo.Options{Names: [2]string{"left", "right"}})
	if err != nil {
		t.Fatal(err)
	}
	id := segment(t, p.Servers[0])
	testenv.KillServer(t, p.Servers[1])
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Servers {
		if s.Running() {
			t.Errorf("%s runs after Close", s.Name)
		}
	}
	if _, err := os.Stat(p.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder after Close: %v, want none", err)
	}
	list, err := os.ReadFile("/proc/sysvipc/shm")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == id {
			t.Errorf("shared memory segment left behind: %s", line)
		}
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestOpenPair_Detached_AnotherProcessReachesAndEndsIt(t *testing.T) {
	made, err := demo.NewPair(t.Context(), demo.Options{Detached: true})
	if err != nil {
		t.Fatal(err)
	}
	p, err := demo.OpenPair(t.Context(), made.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Server("db1").Ask(t.Context(), "SHOW cluster_name"); err != nil || got != "db1" {
		t.Errorf("db1 over the opened pair: %q, %v", got, err)
	}
	if p.Server("db3") != nil {
		t.Error("a server that is not there was found")
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if made.Servers[0].Running() || made.Servers[1].Running() {
		t.Error("servers run after the pair was closed by another")
	}
	if err := made.Close(); err != nil {
		t.Errorf("close by its maker afterwards: %v", err)
	}
}

// TestNewPair_MakerKilled_ServersEndAndTheNextRunCleansUp kills a process that
// has a pair, as a test binary dies at its time limit.
func TestNewPair_MakerKilled_ServersEndAndTheNextRunCleansUp(t *testing.T) {
	testenv.NeedPostgres(t)
	cmd := exec.CommandContext(t.Context(), testenv.CommandPath(t, makerCommand))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // it reads, and so lives, until it is killed
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	n, err := out.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	orphan, err := demo.OpenPair(t.Context(), strings.TrimSpace(string(buffer[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	testenv.Wait(t, 20*time.Second, "the servers to end with their maker", func() (bool, string) {
		return !orphan.Servers[0].Running() && !orphan.Servers[1].Running(), "running"
	})
	testenv.NewPair(t)
	if _, err := os.Stat(orphan.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder of the orphaned pair: %v, want none", err)
	}
}

func TestNewPair_BadOptions_RefusedWithNothingLeft(t *testing.T) {
	testenv.NeedPostgres(t)
	deep := filepath.Join(t.TempDir(), strings.Repeat("long/", 25))
	tests := map[string]struct {
		options demo.Options
		says    string
	}{
		"one name twice":        {demo.Options{Names: [2]string{"db1", "db1"}}, "two nodes of one name"},
		"a name for no slot":    {demo.Options{Names: [2]string{"db-1", "db2"}}, `node name "db-1"`},
		"too deep for a socket": {demo.Options{Dir: deep}, "choose a shorter folder"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := demo.NewPair(t.Context(), tt.options)
			if err == nil {
				t.Fatalf("made a pair: %v", p.Close())
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v; want it to say %q", err, tt.says)
			}
		})
	}
	if _, err := os.Stat(deep); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder of a refused pair: %v, want none", err)
	}
}

// TestServer_KilledWhileItStarts_IsGone takes the moment of an interrupt in
// which the postmaster runs and has not gone to its data directory yet.
func TestServer_KilledWhileItStarts_IsGone(t *testing.T) {
	p := testenv.NewPair(t)
	db1 := p.Servers[0]
	testenv.KillServer(t, db1)
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for range 5 {
		if err := db1.Start(interrupted); !errors.Is(err, context.Canceled) {
			t.Fatalf("interrupted start: %v, want context.Canceled", err)
		}
		killed := make(chan error, 1)
		go func() { killed <- db1.Kill(t.Context()) }()
		testenv.Wait(t, 30*time.Second, "the kill to end", func() (bool, string) {
			return len(killed) == 1, "Kill still waits for the postmaster"
		})
		if err := <-killed; err != nil || db1.Running() {
			t.Fatalf("after the kill: %v, running %v", err, db1.Running())
		}
	}
}

// TestNewPair_InterruptedDuringTheCopy_EndsAtOnce: pg_basebackup receives WAL in
// a child, which must not keep us waiting for its output.
func TestNewPair_InterruptedDuringTheCopy_EndsAtOnce(t *testing.T) {
	testenv.NeedPostgres(t)
	dir, err := os.MkdirTemp("", "wd-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended := make(chan error, 1)
	go func() {
		_, err := demo.NewPair(ctx, demo.Options{Dir: dir, Ready: func(ctx context.Context, _ *demo.Server) error {
			<-ctx.Done() // a copy that was quicker than us is interrupted here
			return ctx.Err()
		}})
		ended <- err
	}()
	testenv.Wait(t, time.Minute, "the copy receives WAL", func() (bool, string) {
		segments, _ := filepath.Glob(filepath.Join(dir, "db2/data/pg_wal/0*"))
		return len(segments) > 0, fmt.Sprintf("no segment, ended: %d", len(ended))
	})
	interrupt()
	at := time.Now()
	if err := <-ended; err == nil {
		t.Fatal("a pair was made in spite of the interrupt")
	}
	const outputDelay = 5 * time.Second // what os/exec waits for a child's output
	if took := time.Since(at); took >= outputDelay {
		t.Errorf("the interrupt took %s", took)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder after the interrupt: %v, want none", err)
	}
}
