package observe

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMachine_ReadsDirectories(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	h := Machine(dir, data)
	if h.StateFS == "" || h.DataTotalBytes <= 0 || h.DataMode != 0o700 || h.DataDir != data {
		t.Errorf("%+v", h)
	}
	if err := os.Chmod(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if h := Machine(dir, data); h.DataMode != 0o755 {
		t.Errorf("mode %04o", h.DataMode)
	}
	if h := Machine(filepath.Join(dir, "none"), filepath.Join(dir, "none")); h.StateFS != "" || h.DataTotalBytes != 0 || h.DataMode != 0 {
		t.Errorf("what is not there was read: %+v", h)
	}
	if _, err := os.Stat("/dev/shm"); err == nil && fileSystem("/dev/shm") != "tmpfs" {
		t.Errorf("/dev/shm is on %q", fileSystem("/dev/shm"))
	}
	if synced, known := ClockSynced(); synced && !known {
		t.Error("a clock that is not known is synchronised")
	}
}
