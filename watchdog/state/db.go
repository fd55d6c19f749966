package state

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// DBFile holds incidents and the spool of messages, inside the state directory.
const DBFile = "watchdog.db"

// dbLockLimit is how long another service may take to let go of the file.
const dbLockLimit = 5 * time.Second

// OpenDB opens a bbolt file, or makes it. bbolt panics on damaged pages, and
// reads through a memory map that faults where the file is shorter than it says:
// both become ErrDamaged, for the service must watch on without its spool.
func OpenDB(path string) (db *bbolt.DB, err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if p := recover(); p != nil {
			// What bbolt had opened is not reachable from here: its lock stays with
			// this process, which does not open the file again.
			db, err = nil, fmt.Errorf("open %s, which %w: %v", path, ErrDamaged, p)
		}
	}()
	// bbolt has no name for this one, and begins anew only in an empty file.
	if info, err := os.Stat(path); err == nil && info.Size() > 0 && info.Size() < int64(2*os.Getpagesize()) {
		return nil, fmt.Errorf("open %s, which %w: it has %d bytes", path, ErrDamaged, info.Size())
	}
	db, err = bbolt.Open(path, 0o640, &bbolt.Options{Timeout: dbLockLimit})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("open %s: another service holds it", path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return nil, fmt.Errorf("open %s, which %w: %w", path, ErrDamaged, err)
	}
	return nil, fmt.Errorf("open %s: %w", path, err)
}
