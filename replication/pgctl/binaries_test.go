package pgctl_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

func TestFindBinaries_GivesProgramsThatRun(t *testing.T) {
	testenv.NeedPostgres(t)
	b, err := pgctl.FindBinaries()
	if err != nil || b.Major < 13 {
		t.Fatalf("%+v, %v", b, err)
	}
	if _, err := os.Stat(b.Path("pg_ctl")); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	version := func(v string) {
		if err := os.WriteFile(filepath.Join(dir, "PG_VERSION"), []byte(v+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	version(strconv.Itoa(b.Major))
	if same, err := pgctl.FindBinariesFor(dir); err != nil || same != b {
		t.Errorf("%+v, %v; want %+v", same, err, b)
	}
	version("9")
	if other, err := pgctl.FindBinariesFor(dir); !errors.Is(err, pgctl.ErrNoBinaries) {
		t.Errorf("for version 9: %+v, %v", other, err)
	}
	version("fifteen")
	if other, err := pgctl.FindBinariesFor(dir); err == nil {
		t.Errorf("for no version: %+v", other)
	}
	if other, err := pgctl.FindBinariesFor(t.TempDir()); err == nil {
		t.Errorf("for an empty directory: %+v", other)
	}
}
