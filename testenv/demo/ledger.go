package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
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
	if len(o.Servers) == 0 {
		return nil, errors.New("ledger without servers")
	}
	setDefault(&o.Clients, 4)
	setDefault(&o.Every, 10*time.Millisecond)
	setDefault(&o.Timeout, 2*time.Second)
	setDefault(&o.ConnectTimeout, 500*time.Millisecond)
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
		file, err := os.OpenFile(l.options.File, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("open ledger file: %w", err)
		}
		l.out = bufio.NewWriter(file)
		defer func() { err = errors.Join(err, l.flush(), file.Close()) }()
	}
	if err := l.createTable(ctx); err != nil {
		return err
	}
	var clients sync.WaitGroup
	for n := range l.options.Clients {
		c := &client{ledger: l, id: n + 1, servers: l.options.Servers, roams: true}
		clients.Go(func() { c.run(ctx) })
	}
	if l.options.Pinned {
		for n, s := range l.options.Servers {
			c := &client{ledger: l, id: l.options.Clients + n + 1, servers: []*Server{s}}
			clients.Go(func() { c.run(ctx) })
		}
	}
	clients.Wait()
	return nil
}

func (l *Ledger) createTable(ctx context.Context) error {
	conn, err := connectAny(ctx, l.options.Servers, true, 5*time.Second)
	if err != nil {
		return fmt.Errorf("connect ledger: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, ledgerTable); err != nil {
		return fmt.Errorf("create ledger table: %w", err)
	}
	return nil
}

// now is the time since the ledger began, on the monotonic clock.
func (l *Ledger) now() time.Duration { return time.Since(l.start) }

func (l *Ledger) add(e LedgerEntry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
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

// Compare reads the ledger table of one server and adds to the report which
// acknowledged rows are missing there.
func (l *Ledger) Compare(ctx context.Context, s *Server) (LedgerReport, error) {
	return CompareLedger(ctx, l.Entries(), l.now(), s)
}

// CompareLedger is Compare for entries that another process wrote.
func CompareLedger(ctx context.Context, entries []LedgerEntry, until time.Duration, s *Server) (LedgerReport, error) {
	conn, err := s.Connect(ctx, "postgres")
	if err != nil {
		return LedgerReport{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, "SELECT client, seq FROM ledger")
	if err != nil {
		return LedgerReport{}, fmt.Errorf("read ledger of %s: %w", s.Name, err)
	}
	present := map[LedgerRow]bool{}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LedgerRow])
	if err != nil {
		return LedgerReport{}, fmt.Errorf("read ledger of %s: %w", s.Name, err)
	}
	for _, row := range list {
		present[row] = true
	}
	r := Summarize(entries, until)
	r.compare(entries, present)
	return r, nil
}

// ReadLedger reads the entries that a ledger of another process wrote to its
// file; a half-written last line is left out.
func ReadLedger(file string) ([]LedgerEntry, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open ledger file: %w", err)
	}
	defer f.Close()
	var entries []LedgerEntry
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e LedgerEntry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			break
		}
		entries = append(entries, e)
	}
	return entries, lines.Err()
}
