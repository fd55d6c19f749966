package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// verdict is what report prints.
type verdict struct {
	V            int    `json:"v"`
	Node         string `json:"node"` // whose rows were compared
	InRecovery   bool   `json:"in_recovery"`
	LostCount    int    `json:"lost_count"`
	PhantomCount int    `json:"phantom_count"`
	demo.LedgerReport
}

func runReport(ctx context.Context, c call) error {
	read := accessFlags(c.flags)
	dir := c.flags.String("dir", "/ledger", "folder of entries.jsonl")
	node := c.flags.String("node", "", "server to compare with (default: the one that is primary)")
	limit := c.flags.Duration("limit", 30*time.Second, "give up after that time")
	if err := c.parse(0, "servers", "user", "dir"); err != nil {
		return err
	}
	a, err := read()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	v, err := judge(ctx, a, *dir, *node)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(c.out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// judge reads the entries first and the rows after them, and a standby's rows
// only once it has replayed all that was there in between: so what is still
// under way is never taken for lost.
func judge(ctx context.Context, a access, dir, node string) (verdict, error) {
	r, err := readRun(dir)
	if err != nil {
		return verdict{}, err
	}
	entries, err := demo.ReadLedger(entriesFile(dir))
	if err != nil {
		return verdict{}, err
	}
	until := time.Since(r.Began)
	p := look(ctx, a)
	defer p.close(ctx)
	if node == "" {
		if len(p.primaries) != 1 {
			return verdict{}, fmt.Errorf("want one primary to compare with, found %d %v; name a server with --node: %w",
				len(p.primaries), p.primaries, errors.Join(p.problems...))
		}
		node = p.primaries[0]
	}
	conn := p.sessions[node]
	if conn == nil {
		return verdict{}, fmt.Errorf("no session on %s: %w", node, errors.Join(p.problems...))
	}
	v := verdict{V: 1, Node: node, InRecovery: p.standby[node]}
	if v.InRecovery {
		if err := p.awaitReplay(ctx, node); err != nil {
			return verdict{}, err
		}
	}
	if v.LedgerReport, err = demo.CompareRows(ctx, entries, until, conn); err != nil {
		return verdict{}, fmt.Errorf("read ledger of %s: %w", node, err)
	}
	v.LostCount, v.PhantomCount = len(v.Lost), len(v.Phantom)
	return v, nil
}

// present is what the servers were when looked at.
type present struct {
	sessions  map[string]*pgx.Conn
	standby   map[string]bool
	primaries []string
	problems  []error
}

func look(ctx context.Context, a access) *present {
	p := &present{sessions: map[string]*pgx.Conn{}, standby: map[string]bool{}}
	for _, name := range a.names() {
		limited, cancel := context.WithTimeout(ctx, 3*time.Second)
		conn, err := a.connect(limited, name, false)
		var standby bool
		if err == nil {
			err = conn.QueryRow(limited, "SELECT pg_is_in_recovery()").Scan(&standby)
		}
		cancel()
		if err != nil {
			p.problems = append(p.problems, fmt.Errorf("%s: %w", name, err))
			continue
		}
		p.sessions[name], p.standby[name] = conn, standby
		if !standby {
			p.primaries = append(p.primaries, name)
		}
	}
	return p
}

func (p *present) close(ctx context.Context) {
	for _, conn := range p.sessions {
		_ = conn.Close(context.WithoutCancel(ctx)) // read only
	}
}

// awaitReplay waits until a standby has replayed what the primary has written;
// without a primary, what the standby itself has received.
func (p *present) awaitReplay(ctx context.Context, node string) error {
	target, of := "", "it has received"
	switch len(p.primaries) {
	case 0:
		err := p.sessions[node].QueryRow(ctx, "SELECT coalesce(pg_last_wal_receive_lsn(), '0/0')::text").Scan(&target)
		if err != nil {
			return fmt.Errorf("read what %s has received: %w", node, err)
		}
	case 1:
		of = p.primaries[0] + " has written"
		if err := p.sessions[p.primaries[0]].QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&target); err != nil {
			return fmt.Errorf("read what %s has written: %w", p.primaries[0], err)
		}
	default:
		return fmt.Errorf("two servers are primary, %s: whose rows %s should have cannot be told", strings.Join(p.primaries, " and "), node)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var there bool
		var at string
		err := p.sessions[node].QueryRow(ctx, `SELECT replayed >= $1::text::pg_lsn, replayed::text
			FROM (SELECT coalesce(pg_last_wal_replay_lsn(), '0/0') AS replayed) AS now`, target).Scan(&there, &at)
		if err != nil {
			return fmt.Errorf("wait until %s has replayed what %s, up to %s: %w", node, of, target, err)
		}
		if there {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has replayed up to %s and not what %s, up to %s: its rows cannot be judged", node, at, of, target)
		case <-tick.C:
		}
	}
}
