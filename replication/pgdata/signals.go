package pgdata

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Names of the files that decide how a server starts.
const (
	StandbySignal  = "standby.signal"
	RecoverySignal = "recovery.signal"
	BackupLabel    = "backup_label"
	TablespaceMap  = "tablespace_map"
	PostmasterPID  = "postmaster.pid"
	VersionFile    = "PG_VERSION"
)

// Signals are the small files of a data directory that decide what a server
// becomes when it starts.
type Signals struct {
	Standby       bool     // standby.signal: starts read-only and stays so
	Recovery      bool     // recovery.signal: ends recovery at its target and becomes writable
	BackupLabel   bool     // a copy that was restored or is half made
	TablespaceMap bool     // as backup_label, with tablespaces
	PID           *PIDFile // postmaster.pid; nil when absent. It may be stale.
	Version       string   // PG_VERSION, "15"; empty when absent
}

// ReadSignals reads them. A file whose presence cannot be told is an error,
// never "absent". With ErrBadPIDFile all other fields are still right.
func ReadSignals(dir string) (Signals, error) {
	var s Signals
	for name, present := range map[string]*bool{
		StandbySignal: &s.Standby, RecoverySignal: &s.Recovery,
		BackupLabel: &s.BackupLabel, TablespaceMap: &s.TablespaceMap,
	} {
		var err error
		if *present, err = exists(filepath.Join(dir, name)); err != nil {
			return Signals{}, err
		}
	}
	v, err := readHead(filepath.Join(dir, VersionFile), 64)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Signals{}, fmt.Errorf("read %s: %w", VersionFile, err)
	}
	s.Version = strings.TrimSpace(string(v))
	s.PID, err = ReadPIDFile(dir)
	return s, err
}

// exists follows symbolic links, as the server's own stat does.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Empty reports a data directory that holds no data: missing, empty, or with
// nothing but a fresh file system's lost+found. An entrypoint would initdb it.
func Empty(dir string) (bool, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("open data directory: %w", err)
	}
	defer f.Close()
	names, err := f.Readdirnames(2)
	if err != nil && len(names) == 0 && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("list data directory %s: %w", dir, err)
	}
	return len(names) == 0 || (len(names) == 1 && names[0] == "lost+found"), nil
}
