package replication_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

const limit = 30 * time.Second

// target is the superuser over the loopback address.
func target(s *demo.Server) replication.Target {
	return replication.Target{Host: "127.0.0.1", Port: s.Port, User: "postgres", Database: "postgres", SSLMode: "disable", AppName: "probe"}
}

// seen collects what a watcher says; its callbacks must never overlap.
type seen struct {
	mu        sync.Mutex
	busy      bool
	overlap   bool
	samples   []replication.Sample
	statuses  []replication.Status
	histories []replication.History
}

func (s *seen) add(f func()) {
	s.mu.Lock()
	s.overlap = s.overlap || s.busy
	s.busy = true
	f()
	s.busy = false
	s.mu.Unlock()
}

func (s *seen) last() replication.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.samples) == 0 {
		return replication.Sample{}
	}
	return s.samples[len(s.samples)-1]
}

func (s *seen) all() []replication.Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]replication.Sample(nil), s.samples...)
}

func (s *seen) status() *replication.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.statuses) == 0 {
		return nil
	}
	return &s.statuses[len(s.statuses)-1]
}

func (s *seen) history() *replication.History {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.histories) == 0 {
		return nil
	}
	return &s.histories[len(s.histories)-1]
}

// watch runs a watcher until the test ends and checks that nothing is left.
func watch(t *testing.T, to replication.Target) *seen {
	t.Helper()
	before := goleak.IgnoreCurrent()
	s := &seen{}
	w, err := replication.NewWatcher(to, replication.WatchOptions{
		Period: 100 * time.Millisecond, SQLPeriod: 200 * time.Millisecond,
		OnSample:  func(x replication.Sample) { s.add(func() { s.samples = append(s.samples, x) }) },
		OnStatus:  func(x replication.Status) { s.add(func() { s.statuses = append(s.statuses, x) }) },
		OnHistory: func(x replication.History) { s.add(func() { s.histories = append(s.histories, x) }) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watcher: %v", err)
		}
		// A server started meanwhile is waited for by testenv until the test ends.
		goleak.VerifyNone(t, before, goleak.IgnoreAnyFunction("github.com/gestionale-fullstack/watchdog/testenv/demo.(*Server).spawn.func1"))
		if s.overlap {
			t.Error("callbacks overlapped")
		}
	})
	return s
}

// until waits for a sample with the verdict.
func (s *seen) until(t *testing.T, v replication.Verdict) replication.Sample {
	t.Helper()
	var got replication.Sample
	testenv.Wait(t, limit, "verdict "+v.String(), func() (bool, string) {
		got = s.last()
		return got.Verdict == v, fmt.Sprintf("%v %s %s", got.Verdict, got.Cause, got.Detail)
	})
	return got
}

// freeze stops every process of a server and wakes them when the test ends.
func freeze(t *testing.T, s *demo.Server) (thaw func()) {
	t.Helper()
	pids, err := s.Processes()
	if err != nil || len(pids) == 0 {
		t.Fatalf("processes of %s: %v, %v", s.Name, pids, err)
	}
	signal := func(sig syscall.Signal) {
		for _, pid := range pids {
			_ = syscall.Kill(pid, sig) // one that has ended meanwhile is no matter
		}
	}
	signal(syscall.SIGSTOP)
	var once sync.Once
	thaw = func() { once.Do(func() { signal(syscall.SIGCONT) }) }
	t.Cleanup(thaw)
	return thaw
}

func dial(t *testing.T, to replication.Target) *replication.Actor {
	t.Helper()
	a, err := replication.Dial(soon(t), to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// soon is a context that ends long after what it bounds should have.
func soon(t *testing.T) context.Context { return within(t, limit) }

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
