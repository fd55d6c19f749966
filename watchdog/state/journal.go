package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// Journal is the folder of operations: one file of JSON lines per operation,
// append-only, each line fsynced before Append returns. Methods may be called
// concurrently; one service writes it.
type Journal struct {
	dir string
	mu  sync.Mutex
	// broken is the first failed write: after a failed fsync nothing is known
	// of the file any more, so that no later append may pretend to know.
	broken error
}

// OpenJournal gives the journal below the state directory.
func OpenJournal(stateDir string) *Journal {
	return &Journal{dir: filepath.Join(stateDir, "operations")}
}

type line struct {
	Sum    string          `json:"crc32c"`
	Record json.RawMessage `json:"record"`
}

// Append writes one record durably. After the first failure it refuses for
// good: a failed fsync cannot be retried.
func (j *Journal) Append(r runbooks.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.broken != nil {
		return fmt.Errorf("journal is broken since an earlier write: %w", j.broken)
	}
	if err := j.append(r); err != nil {
		j.broken = err
		return err
	}
	return nil
}

func (j *Journal) append(r runbooks.Record) error {
	b, err := encodeLine(r)
	if err != nil {
		return err
	}
	path, isNew, err := j.path(r.Operation, r.At)
	if err != nil {
		return err
	}
	if err := makeDir(j.dir); err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Write(b); err != nil {
		return fmt.Errorf("write journal %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("fsync journal %s: %w", path, err)
	}
	if isNew {
		return syncDir(j.dir)
	}
	return nil
}

func encodeLine(r runbooks.Record) ([]byte, error) {
	rec, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode journal record: %w", err)
	}
	b, err := json.Marshal(line{Sum: sum(rec), Record: rec})
	if err != nil {
		return nil, fmt.Errorf("encode journal line: %w", err)
	}
	return append(b, '\n'), nil
}

// path finds the file of an operation, or names a new one by time and id, so
// that a listing of the folder is in the order of events.
func (j *Journal) path(operation string, at time.Time) (string, bool, error) {
	if operation == "" || strings.ContainsAny(operation, "/\\*?[\x00") {
		return "", false, fmt.Errorf("name journal: operation id %q is not usable", operation)
	}
	have, err := filepath.Glob(filepath.Join(j.dir, "*Z-"+operation+".jsonl"))
	if err != nil {
		return "", false, fmt.Errorf("find journal: %w", err)
	}
	if len(have) > 0 {
		return have[0], false, nil
	}
	name := at.UTC().Format("20060102T150405Z") + "-" + operation + ".jsonl"
	return filepath.Join(j.dir, name), true, nil
}

// Operations gives every readable operation's records, oldest operation first,
// and a Fault for each file that is damaged or half-written. Nothing is
// repaired: somebody has to look.
func (j *Journal) Operations() ([][]runbooks.Record, []error) {
	names, err := filepath.Glob(filepath.Join(j.dir, "*.jsonl"))
	if err != nil {
		return nil, []error{&Fault{File: j.dir, Err: err}}
	}
	sort.Strings(names)
	var all [][]runbooks.Record
	var faults []error
	for _, n := range names {
		recs, err := readJournal(n)
		if err != nil {
			faults = append(faults, &Fault{File: n, Err: err})
			continue
		}
		all = append(all, recs)
	}
	return all, faults
}

// Operation gives the records of one operation; none when it is not known.
func (j *Journal) Operation(id string) ([]runbooks.Record, error) {
	path, isNew, err := j.path(id, time.Now())
	if err != nil || isNew {
		return nil, err
	}
	recs, err := readJournal(path)
	if err != nil {
		return nil, &Fault{File: path, Err: err}
	}
	return recs, nil
}

func readJournal(path string) ([]runbooks.Record, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return decodeJournal(b)
}

// decodeJournal reads whole journals only: a torn last line, a changed byte or
// a gap in the sequence makes the file unusable, and so does a line of another
// operation.
func decodeJournal(b []byte) ([]runbooks.Record, error) {
	if len(b) == 0 || b[len(b)-1] != '\n' {
		return nil, fmt.Errorf("%w: the last line is not complete", ErrDamaged)
	}
	var recs []runbooks.Record
	for n, raw := range bytes.Split(b[:len(b)-1], []byte{'\n'}) {
		r, err := decodeLine(raw)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		if r.Seq != n+1 {
			return nil, fmt.Errorf("line %d: %w: sequence number %d", n+1, ErrDamaged, r.Seq)
		}
		if n > 0 && r.Operation != recs[0].Operation {
			return nil, fmt.Errorf("line %d: %w: it belongs to operation %s", n+1, ErrDamaged, r.Operation)
		}
		recs = append(recs, r)
	}
	return recs, nil
}

func decodeLine(raw []byte) (runbooks.Record, error) {
	var l line
	var r runbooks.Record
	if err := strict(raw, &l); err != nil {
		return r, fmt.Errorf("%w: %v", ErrDamaged, err) //nolint:errorlint // the parser's words, not a cause to match
	}
	if fmt.Sprintf("%08x", crc32.Checksum(l.Record, castagnoli)) != l.Sum {
		return r, fmt.Errorf("%w: checksum does not fit", ErrDamaged)
	}
	if err := json.Unmarshal(l.Record, &r); err != nil {
		return r, fmt.Errorf("%w: %v", ErrDamaged, err) //nolint:errorlint // as above
	}
	if r.Format != runbooks.RecordFormat {
		return r, fmt.Errorf("%w: %d", ErrNewer, r.Format)
	}
	return r, nil
}

// Broken gives the write error after which the journal refuses; nil when it
// works.
func (j *Journal) Broken() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.broken
}

// ErrNoOperation is returned when an operation id is not in the journal.
var ErrNoOperation = errors.New("no such operation")
