package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// A folder that this user may not remove was once the end of every new pair.
func TestSweep_LeftoverThatCannotBeRemoved_KeepsItsEntryAndStopsNobody(t *testing.T) {
	owner, err := FindOwner()
	if err != nil {
		t.Fatal(err)
	}
	if owner.Switch || os.Getuid() == 0 {
		t.Skip("skipped: root may remove everything")
	}
	dir, err := registerDir(owner)
	if err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(t.TempDir(), "closed")
	leftover, removable := filepath.Join(closed, "wd-left"), filepath.Join(t.TempDir(), "wd-right")
	if err := errors.Join(os.MkdirAll(leftover, 0o700), os.MkdirAll(removable, 0o700), os.Chmod(closed, 0o500)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700) })
	files := map[string]string{}
	for name, d := range map[string]string{"kept": leftover, "swept": removable} {
		data, err := json.Marshal(entry{Dir: d, DataDirs: []string{filepath.Join(d, "db1", "data")}, Pid: os.Getpid(), Started: "never"})
		if err != nil {
			t.Fatal(err)
		}
		files[name] = filepath.Join(dir, fmt.Sprintf("%d-%s.json", os.Getpid(), name))
		if err := os.WriteFile(files[name], data, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(files[name]) })
	}
	if err := sweep(t.Context(), owner); err != nil {
		t.Errorf("sweep: %v", err)
	}
	if _, err := os.Stat(files["kept"]); err != nil {
		t.Errorf("the entry of what is left: %v; want it kept for a later run", err)
	}
	for _, gone := range []string{files["swept"], removable} {
		if _, err := os.Stat(gone); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v; want it gone", gone, err)
		}
	}
}
