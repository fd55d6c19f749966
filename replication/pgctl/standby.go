package pgctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// WriteStandbySignal makes the server start as a standby from now on: an empty
// standby.signal of the data directory's owner, mode 0600, durable in file and
// directory when it returns nil. In a running primary it takes effect at the
// next start, a restart after a crash included. Nothing here removes it.
func WriteStandbySignal(dir string) error {
	if err := writeStandbySignal(dir); err != nil {
		return fmt.Errorf("write %s: %w", pgdata.StandbySignal, err)
	}
	return nil
}

func writeStandbySignal(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("owner of the data directory cannot be told")
	}
	// O_NOFOLLOW: as root, a link there must not lead to another file.
	f, err := os.OpenFile(filepath.Join(dir, pgdata.StandbySignal), os.O_CREATE|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	var chown error
	if os.Geteuid() != int(owner.Uid) {
		chown = f.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err := errors.Join(chown, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes names in a directory durable: a rename or a new file survives a
// power loss only after this.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
