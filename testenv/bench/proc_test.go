package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// threadTime is the processor time that the living threads of a process have
// spent, in nanoseconds from the scheduler: the first number of each schedstat
// (Documentation/scheduler/sched-stats). The Go runtime keeps its threads.
func threadTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	spent, err := threads(pid)
	if err != nil {
		b.Fatalf("read processor time of %d: %v", pid, err)
	}
	return spent
}

func threads(pid int) (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("process %d has no threads: %w", pid, err)
	}
	var sum time.Duration
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // ended between the two
		}
		first, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", name, err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// tick is the unit of the times in /proc/PID/stat (USER_HZ).
const tick = 10 * time.Millisecond

// serverTime is the processor time of all processes of a server: what the
// living ones have spent, and what the postmaster has been told of the ended
// ones, in ticks. A process that ends between two readings moves from the one
// to the other.
func serverTime(b *testing.B, s *demo.Server) time.Duration {
	b.Helper()
	pids, err := s.Processes()
	if err != nil {
		b.Fatal(err)
	}
	var sum time.Duration
	for _, pid := range pids {
		spent, err := threads(pid)
		if err == nil {
			sum += spent
		}
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.Pid()))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	const cutime, cstime = 13, 14 // fields 16 and 17 of proc(5), counted from the state
	for _, field := range []int{cutime, cstime} {
		n, err := strconv.ParseInt(fields[field], 10, 64)
		if err != nil {
			b.Fatalf("read processor time of ended children: %v", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum
}

// memory reads one figure of a process, in bytes.
func memory(b *testing.B, pid int, file, key string) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		b.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		rest, found := strings.CutPrefix(line, key)
		if !found {
			continue
		}
		kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
		if err != nil {
			b.Fatalf("read %s of %d: %v", key, pid, err)
		}
		return kb * 1024
	}
	b.Fatalf("/proc/%d/%s has no %s", pid, file, key)
	return 0
}
