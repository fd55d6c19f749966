package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// clientsPerRun is the room in the numbers of clients for one run.
const clientsPerRun = 1000

func runClient(ctx context.Context, c call) error {
	read := accessFlags(c.flags)
	dir := c.flags.String("dir", "/ledger", "folder of entries.jsonl")
	clients := c.flags.Int("clients", 4, "clients that follow the primary")
	every := c.flags.Duration("every", 50*time.Millisecond, "pause of a client between two rows")
	if err := c.parse(0, "servers", "user", "dir"); err != nil {
		return err
	}
	a, err := read()
	if err != nil {
		return err
	}
	if *clients < 1 || *clients+len(a.servers) > clientsPerRun || *every <= 0 {
		return fmt.Errorf("%w: want a client at least, and a pause", errUsage)
	}
	r, err := beginRun(*dir, time.Now())
	if err != nil {
		return err
	}
	last := ""
	l, err := demo.NewLedger(demo.LedgerOptions{
		Names: a.names(), Connect: a.connect, Clients: *clients, Pinned: true, Every: *every, ConnectTimeout: time.Second,
		File: entriesFile(*dir), FileOnly: true, Elapsed: r.elapsed, FirstClient: (r.Runs-1)*clientsPerRun + 1,
		Waiting: func(err error) {
			if text := err.Error(); text != last {
				last = text
				fmt.Fprintf(c.err, "wait for a primary: %v\n", err)
			}
		},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.err, "run %d of the ledger: %d clients on %v, entries in %s\n", r.Runs, *clients, a.names(), entriesFile(*dir))
	return l.Run(ctx)
}

func entriesFile(dir string) string { return filepath.Join(dir, "entries.jsonl") }

// ledgerRun is what the runs of the client on one folder share. It is on disk
// before a row is written: a container that is restarted goes on with the same
// ledger, and never with the number of a client whose last row may be there
// without an entry.
type ledgerRun struct {
	Began   time.Time `json:"began"` // of the first one
	Runs    int       `json:"runs"`
	elapsed time.Duration
}

func runFile(dir string) string { return filepath.Join(dir, "run.json") }

func readRun(dir string) (ledgerRun, error) {
	var r ledgerRun
	data, err := os.ReadFile(runFile(dir))
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err != nil {
		return r, fmt.Errorf("read beginning of the ledger: %w", err)
	}
	return r, nil
}

func beginRun(dir string, now time.Time) (ledgerRun, error) {
	r, err := readRun(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r = ledgerRun{Began: now.UTC()}
	case err != nil:
		return r, err
	default:
		if r.elapsed, err = elapsed(dir, now.Sub(r.Began)); err != nil {
			return r, err
		}
	}
	r.Runs++
	data, err := json.Marshal(r)
	if err == nil {
		err = renameio.WriteFile(runFile(dir), data, 0o600)
	}
	if err != nil {
		return r, fmt.Errorf("write beginning of the ledger: %w", err)
	}
	return r, nil
}

// elapsed is where the time of the ledger goes on: never before its last
// entry, whatever the clock did.
func elapsed(dir string, byClock time.Duration) (time.Duration, error) {
	entries, err := demo.ReadLedger(entriesFile(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	t := max(byClock, time.Nanosecond)
	for _, e := range entries {
		t = max(t, e.End+1)
	}
	return t, nil
}
