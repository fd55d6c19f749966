package state

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// receivingFile keeps where a standby received from, while an operation has
// switched its WAL receiver off.
const receivingFile = "receiving.json"

// SaveReceiving keeps it durably; a value that is already kept stays, because
// it is the older one.
func (s *Store) SaveReceiving(r replication.Receiving) error {
	if _, kept, err := s.Receiving(); err != nil || kept {
		return err
	}
	return writeFile(filepath.Join(s.dir, receivingFile), r)
}

// Receiving gives what was kept, and whether there is anything.
func (s *Store) Receiving() (replication.Receiving, bool, error) {
	var r replication.Receiving
	_, kept, err := readFile(filepath.Join(s.dir, receivingFile), &r)
	return r, kept, err
}

// ForgetReceiving removes it.
func (s *Store) ForgetReceiving() error {
	err := os.Remove(filepath.Join(s.dir, receivingFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncDir(s.dir))
}
