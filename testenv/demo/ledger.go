package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Result is what a client of the ledger knows of one insert.
type Result string

// The results. Unknown means that it was sent and no answer came: the row may
// be there or not, and both are right.
const (
	ResultUnknown Result = ""
	ResultAcked   Result = "ok"
	ResultFailed  Result = "fail"
)

// LedgerEntry is one insert as its client saw it.
type LedgerEntry struct {
	Client int    `json:"client"`
	Seq    int64  `json:"seq"`
	Node   string `json:"node"` // server of the session
	Result Result `json:"result"`
	// Begin and End count from the start of the ledger on the monotonic clock.
	Begin time.Duration `json:"begin_ns"`
	End   time.Duration `json:"end_ns"`
	Error string        `json:"error,omitempty"`
}

// LedgerOptions say how the ledger writes.
type LedgerOptions struct {
	// Servers of the pair, in any order.
	Servers []*Server
	// Names and Connect stand in for Servers where the ledger reaches them over
	// a network, with a name of its own for each. Connect opens one session;
	// writable refuses a server that does not accept writes.
	Names   []string
	Connect func(ctx context.Context, name string, writable bool) (*pgx.Conn, error)
	// Waiting is told why no primary could be used yet, and the ledger tries
	// again until one can; without it the first failure is the end of Run.
	Waiting func(error)
	// Clients that follow the primary, default 4. Each keeps its session until
	// that breaks, so that sessions from before a fault are always there.
	Clients int
	// Pinned adds a client per server that never goes to another one: it finds
	// a former primary that accepts writes again.
	Pinned bool
	// Every is the pause between two inserts of a client, default 10 ms.
	Every time.Duration
	// Timeout of one insert and of one connection attempt to one server,
	// default 2 s and 500 ms.
	Timeout        time.Duration
	ConnectTimeout time.Duration
	// File receives one JSON line per entry, without fsync; empty: memory only.
	File string
	// FileOnly keeps no entry in memory, for a ledger without an end: whoever
	// judges reads the file.
	FileOnly bool
	// Elapsed is, for a ledger that goes on with the file of an ended process,
	// the time since that one began; zero begins the file anew.
	Elapsed time.Duration
	// FirstClient numbers the clients, default 1. Who goes on takes numbers that
	// no earlier client had, whose last rows may be there without an entry.
	FirstClient int
}

// Ledger writes rows and remembers which of them were acknowledged, when, and
// by whom: the judge of every operation on the pair.
type Ledger struct {
	options LedgerOptions
	start   time.Time

	mu      sync.Mutex
	entries []LedgerEntry
	acked   int
	out     *bufio.Writer
}

const ledgerTable = `CREATE TABLE IF NOT EXISTS ledger (
	client int NOT NULL, seq bigint NOT NULL,
	written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (client, seq))`

// NewLedger prepares a ledger; nothing is connected before Run.
func NewLedger(o LedgerOptions) (*Ledger, error) {
	if len(o.Servers) == 0 && (len(o.Names) == 0 || o.Connect == nil) {
		return nil, errors.New("ledger without servers")
	}
	setDefault(&o.Clients, 4)
	setDefault(&o.Every, 10*time.Millisecond)
	setDefault(&o.Timeout, 2*time.Second)
	setDefault(&o.ConnectTimeout, 500*time.Millisecond)
	setDefault(&o.FirstClient, 1)
	return &Ledger{options: o, start: time.Now()}, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Run creates the table and writes until the context ends. It returns an error
// only when it could not begin, or could not write its file.
func (l *Ledger) Run(ctx context.Context) (err error) {
	if l.options.File != "" {
		file, err := openLedger(l.options.File, l.options.Elapsed > 0)
		if err != nil {
			return fmt.Errorf("open ledger file: %w", err)
		}
		l.out = bufio.NewWriter(file)
		defer func() { err = errors.Join(err, l.flush(), file.Close()) }()
	}
	if err := l.begin(ctx); err != nil {
		return err
	}
	var clients sync.WaitGroup
	id := l.options.FirstClient
	add := func(d dial) {
		c := &client{ledger: l, id: id, dial: d}
		clients.Go(func() { c.run(ctx) })
		id++
	}
	for range l.options.Clients {
		add(l.options.roaming(l.options.ConnectTimeout))
	}
	if l.options.Pinned {
		for _, d := range l.options.pinned() {
			add(d)
		}
	}
	clients.Wait()
	return nil
}

// begin makes the table.
func (l *Ledger) begin(ctx context.Context) error {
	for {
		err := l.createTable(ctx)
		if err == nil || l.options.Waiting == nil {
			return err
		}
		if ctx.Err() != nil {
			return nil // asked to end before a primary was there
		}
		l.options.Waiting(err)
		pause(ctx, 500*time.Millisecond)
	}
}

func (l *Ledger) createTable(ctx context.Context) error {
	conn, _, err := l.options.roaming(5 * time.Second)(ctx)
	if err != nil {
		return fmt.Errorf("connect ledger: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	// Asked first, because IF NOT EXISTS wants the right to create all the same.
	var there bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('ledger') IS NOT NULL").Scan(&there); err != nil {
		return fmt.Errorf("look for ledger table: %w", err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, ledgerTable); err != nil {
		return fmt.Errorf("create ledger table: %w", err)
	}
	return nil
}

// now is the time since the ledger began, on the monotonic clock.
func (l *Ledger) now() time.Duration { return l.options.Elapsed + time.Since(l.start) }

func (l *Ledger) add(e LedgerEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.options.FileOnly {
		l.entries = append(l.entries, e)
	}
	if e.Result == ResultAcked {
		l.acked++
	}
	if l.out != nil {
		data, _ := json.Marshal(e) // cannot fail: strings and numbers only
		_, _ = l.out.Write(append(data, '\n'))
		_ = l.out.Flush() // the writer keeps its first error; flush reports it at the end
	}
}

func (l *Ledger) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.out.Flush(); err != nil {
		return fmt.Errorf("write ledger file: %w", err)
	}
	return nil
}

// Acked counts the acknowledged rows so far.
func (l *Ledger) Acked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acked
}

// Entries is a copy of all entries so far, in the order in which they ended.
func (l *Ledger) Entries() []LedgerEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]LedgerEntry(nil), l.entries...)
}

// Report sums up what was written until now.
func (l *Ledger) Report() LedgerReport { return Summarize(l.Entries(), l.now()) }
