package state_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// kill -9 at any moment of a change leaves the old state or the new one, and
// never less than what Update had returned for.
func TestStore_Kill9InTheMiddleOfUpdates_OldOrNew(t *testing.T) {
	dir := t.TempDir()
	program := testenv.CommandPath(t, "count")
	before := uint64(0)
	for round := range 12 {
		acked := killedAfter(t, round, program, dir, "0")
		d, err := state.Open(dir, "db1").Read()
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		// Both halves are of this change or the one before: fence.json is first.
		made := fmt.Sprintf("op-%d", d.Epoch.Number)
		next := fmt.Sprintf("op-%d", d.Epoch.Number+1)
		if d.Epoch.Number < max(acked, before) || (d.Intents[0].Operation != made && d.Intents[0].Operation != next) {
			t.Fatalf("round %d: acknowledged %d, found epoch %d with %s", round, acked, d.Epoch.Number, d.Intents[0].Operation)
		}
		before = d.Epoch.Number
	}
	t.Logf("%d changes over 12 kills", before)
	if before == 0 {
		t.Error("nothing was ever written")
	}
}

// killedAfter runs the program, kills it after a number of acknowledged changes
// that differs from round to round, at once, and gives the last number it said.
func killedAfter(t *testing.T, round int, program string, args ...string) uint64 {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	acked := uint64(0)
	for n := 0; n <= round*3%7 && lines.Scan(); n++ {
		if acked, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // what it still said before it died
		if n, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
			acked = n
		}
	}
	_ = cmd.Wait()
	return acked
}

// The gate and the service write one directory: no change of either is lost.
func TestStore_ProcessesAtOnce_NoChangeIsLost(t *testing.T) {
	const processes, each = 4, 25
	dir := t.TempDir()
	program := testenv.CommandPath(t, "count")
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			if out, err := exec.Command(program, dir, strconv.Itoa(each)).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	s := state.Open(dir, "db1")
	read := 0
	over := make(chan struct{})
	go func() { wg.Wait(); close(over) }()
	for last := uint64(0); ; read++ {
		select {
		case <-over:
			d, err := s.Read()
			if err != nil || d.Epoch.Number != processes*each {
				t.Errorf("epoch %d after %d changes, %v", d.Epoch.Number, processes*each, err)
			}
			t.Logf("%d reads beside %d changes", read, processes*each)
			return
		default:
		}
		d, err := s.Read()
		if err != nil && !errors.Is(err, state.ErrAbsent) {
			t.Fatalf("a reader beside the writers: %v", err)
		}
		if d.Epoch.Number < last {
			t.Fatalf("epoch went back from %d to %d", last, d.Epoch.Number)
		}
		last = d.Epoch.Number
	}
}

func TestStore_GoroutinesAtOnce_NoChangeIsLost(t *testing.T) {
	s := state.Open(t.TempDir(), "db1")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := s.Update(func(d fence.Durable) (fence.Durable, error) { return raise(d), nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if d, err := s.Read(); err != nil || d.Epoch.Number != 8 {
		t.Errorf("epoch %d, %v", d.Epoch.Number, err)
	}
}

// Somebody holds the lock and does not let go: the change fails, it does not hang.
func TestStore_LockIsHeldForGood_GivesUp(t *testing.T) {
	t.Parallel() // it waits its five seconds
	s, dir := stored(t)
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	err = s.SetMarker(fence.Marker{Operation: "x"})
	if err == nil || !strings.Contains(err.Error(), "lock") || time.Since(began) > time.Minute {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if _, err := s.Read(); err != nil {
		t.Errorf("reading needs no lock: %v", err)
	}
}

// A journal on a full disk takes half a line, and nothing more for good.
func TestJournal_DiskIsFull_StaysBroken(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.Command(testenv.CommandPath(t, "journal"), dir, "1500").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	accepted, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil || accepted < 2 {
		t.Fatalf("accepted %q", out)
	}
	j := state.OpenJournal(dir)
	all, faults := j.Operations()
	var f *state.Fault
	if len(all) > 0 || len(faults) != 1 || !errors.As(faults[0], &f) || !errors.Is(f, state.ErrDamaged) {
		t.Errorf("after %d records: %d operations, faults %v", accepted, len(all), faults)
	}
}
