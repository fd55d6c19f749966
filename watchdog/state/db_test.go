package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// filledDB gives the bytes of a database with many pages.
func filledDB(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), state.DBFile)
	db, err := state.OpenDB(path)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("alerts"))
		for i := 0; i < 500 && err == nil; i++ {
			err = b.Put(fmt.Append(nil, i), make([]byte, 300))
		}
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestOpenDB_Damaged_NamedNotCrashedNotChanged(t *testing.T) {
	good := filledDB(t)
	metas := 2 * os.Getpagesize()
	for name, raw := range map[string][]byte{
		"something else":       []byte("this is no database"),
		"both heads gone":      append(bytes.Repeat([]byte{'x'}, metas), good[metas:]...),
		"cut after the heads":  good[:metas+1000],
		"cut within the heads": good[:metas/2],
		"pages overwritten":    append(bytes.Clone(good[:metas]), bytes.Repeat([]byte{0xff}, len(good)-metas)...),
		"pages lost":           append(bytes.Clone(good[:metas]), make([]byte, len(good)-metas)...),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), state.DBFile)
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := state.OpenDB(path)
			if err == nil {
				_ = db.Close()
			}
			if !errors.Is(err, state.ErrDamaged) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want ErrDamaged naming the file", err)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, raw) {
				t.Errorf("the damaged file was changed (%v)", err)
			}
		})
	}
}
