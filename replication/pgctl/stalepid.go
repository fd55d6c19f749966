package pgctl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// removeStalePID removes a postmaster.pid that names no server of this
// directory. The caller has proven that none holds it; here it is looked at once
// more after reading the file, since a server enters the directory before it
// writes that file.
func removeStalePID(dir string) (bool, error) {
	path := filepath.Join(dir, pgdata.PostmasterPID)
	before, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read stale %s: %w", pgdata.PostmasterPID, err)
	}
	held, err := pgdata.Holders(dir)
	if left := pgdata.Servers(held); len(left) > 0 || err != nil {
		return false, heldBy(left, err)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != string(before) {
		return false, nil // somebody else's now
	}
	if err := os.Remove(path); err != nil {
		return false, fmt.Errorf("remove stale %s: %w", pgdata.PostmasterPID, err)
	}
	return true, syncDir(dir)
}
