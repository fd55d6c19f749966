package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
)

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
	r, err := CompareRows(ctx, entries, until, conn)
	if err != nil {
		return LedgerReport{}, fmt.Errorf("read ledger of %s: %w", s.Name, err)
	}
	return r, nil
}

// CompareRows is CompareLedger over a session. The entries have to be older
// than the call: a row is always there before its entry says so, and what is
// written meanwhile has no entry among them.
func CompareRows(ctx context.Context, entries []LedgerEntry, until time.Duration, conn *pgx.Conn) (LedgerReport, error) {
	rows, err := conn.Query(ctx, "SELECT client, seq FROM ledger")
	if err != nil {
		return LedgerReport{}, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LedgerRow])
	if err != nil {
		return LedgerReport{}, err
	}
	present := make(map[LedgerRow]bool, len(list))
	for _, row := range list {
		present[row] = true
	}
	r := Summarize(entries, until)
	r.compare(entries, present)
	return r, nil
}

// ReadLedger reads the entries that a ledger of another process wrote to its
// file; a half-written last line is left out, one before the last is an error.
func ReadLedger(file string) ([]LedgerEntry, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open ledger file: %w", err)
	}
	defer f.Close()
	var entries []LedgerEntry
	var broken error
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if broken != nil {
			return nil, broken
		}
		var e LedgerEntry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			broken = fmt.Errorf("read ledger file: line %d: %w", len(entries)+1, err)
			continue
		}
		entries = append(entries, e)
	}
	return entries, lines.Err()
}

// openLedger opens the file to write to. A line that the earlier process left
// half-written is cut off: the next entry would be lost behind it.
func openLedger(name string, goOn bool) (*os.File, error) {
	if !goOn {
		return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	}
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := cutTail(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func cutTail(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	const longest = 64 << 10 // of a line; the scanner above takes no more either
	from := max(0, info.Size()-longest)
	tail := make([]byte, info.Size()-from)
	if _, err := file.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	end := from + int64(bytes.LastIndexByte(tail, '\n')) + 1
	if end == info.Size() {
		return nil
	}
	return file.Truncate(end)
}
