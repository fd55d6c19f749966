package pgdata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// HistoryFile is one pg_wal/*.history: its timeline and its text as written.
// Package replication parses the text.
type HistoryFile struct {
	Timeline replication.Timeline
	Text     string
}

// historyLimit bounds one history file; each promotion adds a line of about 60 bytes.
const historyLimit = 1 << 20

// NewestHistory gives the history file with the highest timeline; a zero
// Timeline when there is none, as before the first promotion. A standby also
// keeps histories that it fetched from its upstream.
func NewestHistory(dir string) (HistoryFile, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "pg_wal"))
	if err != nil {
		return HistoryFile{}, fmt.Errorf("list history files: %w", err)
	}
	var newest replication.Timeline
	for _, e := range entries {
		if tli, ok := historyName(e.Name()); ok && tli > newest {
			newest = tli
		}
	}
	if newest == 0 {
		return HistoryFile{}, nil
	}
	return ReadHistory(dir, newest)
}

// ReadHistory reads the history file of one timeline; a zero HistoryFile when
// there is none.
func ReadHistory(dir string, tli replication.Timeline) (HistoryFile, error) {
	b, err := readHead(filepath.Join(dir, "pg_wal", fmt.Sprintf("%08X.history", uint32(tli))), historyLimit)
	if errors.Is(err, fs.ErrNotExist) {
		return HistoryFile{}, nil
	}
	if err != nil {
		return HistoryFile{}, fmt.Errorf("read history of timeline %d: %w", tli, err)
	}
	return HistoryFile{Timeline: tli, Text: string(b)}, nil
}

// historyName takes exactly eight upper-case hex digits and the suffix, as the
// server's own IsTLHistoryFileName.
func historyName(name string) (replication.Timeline, bool) {
	digits, ok := strings.CutSuffix(name, ".history")
	if !ok || len(digits) != 8 || strings.Trim(digits, "0123456789ABCDEF") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	return replication.Timeline(n), err == nil && n != 0
}
