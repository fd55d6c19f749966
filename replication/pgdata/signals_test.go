package pgdata

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadSignals_EachFile_IsSeenAlone(t *testing.T) {
	for name, want := range map[string]Signals{
		StandbySignal:  {Standby: true},
		RecoverySignal: {Recovery: true},
		BackupLabel:    {BackupLabel: true},
		TablespaceMap:  {TablespaceMap: true},
		VersionFile:    {Version: "15"},
		"standby.sig":  {},
	} {
		dir := t.TempDir()
		write(t, dir, name, "15\n")
		got, err := ReadSignals(dir)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
}

func TestReadSignals_PresenceCannotBeTold_IsAnErrorAndNotAbsent(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, StandbySignal)
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSignals(dir); err == nil {
		t.Error("a signal file that cannot be looked at was taken for absent")
	}
}

func TestReadPIDFile_Forms(t *testing.T) {
	full := "4711\n/srv/data\n1700000000\n5433\n/run/pg\n127.0.0.1\n 5433001  65544\nready   \n"
	for name, c := range map[string]struct {
		text string
		want PIDFile
		err  error
	}{
		"running server": {text: full, want: PIDFile{
			PID: 4711, DataDir: "/srv/data", Started: time.Unix(1700000000, 0), Port: 5433,
			SocketDir: "/run/pg", Listen: "127.0.0.1", Status: "ready",
		}},
		"no TCP":         {text: "12\n/d\n1\n5432\n/run\n\n", want: PIDFile{PID: 12, DataDir: "/d", Started: time.Unix(1, 0), Port: 5432, SocketDir: "/run"}},
		"just begun":     {text: "12\n/d\n1\n", want: PIDFile{PID: 12, DataDir: "/d", Started: time.Unix(1, 0)}},
		"single user":    {text: "-12\n/d\n1\n", want: PIDFile{PID: 12, SingleUser: true, DataDir: "/d", Started: time.Unix(1, 0)}},
		"empty":          {text: "", err: ErrBadPIDFile},
		"zeroes":         {text: "\x00\x00\x00\x00", err: ErrBadPIDFile},
		"pid 0":          {text: "0\n", err: ErrBadPIDFile},
		"huge pid":       {text: "99999999999\n", err: ErrBadPIDFile},
		"port too large": {text: "12\n/d\n1\n70000\n/run\n", want: PIDFile{PID: 12, DataDir: "/d", Started: time.Unix(1, 0), SocketDir: "/run"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, PostmasterPID, c.text)
			write(t, dir, StandbySignal, "")
			got, err := ReadSignals(dir)
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if !got.Standby {
				t.Error("standby.signal was lost beside postmaster.pid")
			}
			if c.err == nil && !cmp.Equal(*got.PID, c.want) {
				t.Error(cmp.Diff(c.want, *got.PID))
			}
		})
	}
}

func TestEmpty_OnlyWithoutData(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		want  bool
	}{
		"empty":                {nil, true},
		"fresh file system":    {[]string{"lost+found/x"}, true},
		"one file":             {[]string{"PG_VERSION"}, false},
		"lost+found and data":  {[]string{"lost+found/x", "base/1"}, false},
		"a hidden file counts": {[]string{".keep"}, false},
	} {
		dir := t.TempDir()
		for _, f := range c.files {
			write(t, dir, f, "")
		}
		if got, err := Empty(dir); err != nil || got != c.want {
			t.Errorf("%s: %v, %v; want %v", name, got, err, c.want)
		}
	}
	if got, err := Empty(filepath.Join(t.TempDir(), "none")); err != nil || !got {
		t.Errorf("missing: %v, %v; want true", got, err)
	}
	dir := t.TempDir()
	write(t, dir, "file", "x")
	if got, err := Empty(filepath.Join(dir, "file")); err == nil || got {
		t.Errorf("a file: %v, %v; want an error", got, err)
	}
}

func TestNewestHistory_TakesOnlyTheServersNames(t *testing.T) {
	dir := t.TempDir()
	if _, err := NewestHistory(dir); err == nil {
		t.Error("a data directory without pg_wal gave no error")
	}
	write(t, dir, "pg_wal/000000010000000000000001", "")
	if h, err := NewestHistory(dir); err != nil || h != (HistoryFile{}) {
		t.Errorf("without history: %+v, %v", h, err)
	}
	for name, text := range map[string]string{
		"00000002.history": "two", "0000000A.history": "ten", "0000000b.history": "lower case",
		"000000FF.history.tmp": "unfinished", "00000.history": "short", "00000000.history": "zero",
	} {
		write(t, dir, "pg_wal/"+name, text)
	}
	if h, err := NewestHistory(dir); err != nil || h != (HistoryFile{Timeline: 10, Text: "ten"}) {
		t.Errorf("newest: %+v, %v; want timeline 10", h, err)
	}
	if h, err := ReadHistory(dir, 2); err != nil || h.Text != "two" {
		t.Errorf("timeline 2: %+v, %v", h, err)
	}
	if h, err := ReadHistory(dir, 3); err != nil || h != (HistoryFile{}) {
		t.Errorf("timeline 3: %+v, %v; want none", h, err)
	}
}
