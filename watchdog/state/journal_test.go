package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

func journaled(t *testing.T, records int) (j *state.Journal, dir, file string) {
	t.Helper()
	dir = t.TempDir()
	j = state.OpenJournal(dir)
	for n := range records {
		if err := j.Append(record("op-1", n+1)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "operations", "*.jsonl"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	return j, dir, files[0]
}

func TestJournal_WhatIsAppended_IsReadBack(t *testing.T) {
	_, dir, file := journaled(t, 3)
	if name := filepath.Base(file); name != "20231114T221320Z-op-1.jsonl" {
		t.Errorf("named %s", name)
	}
	j := state.OpenJournal(dir)
	later := record("op-2", 1)
	later.At = later.At.Add(time.Hour)
	earlier := record("op-0", 1)
	earlier.At = earlier.At.Add(-time.Hour)
	for _, r := range []runbooks.Record{later, earlier, record("op-1", 4)} {
		if err := j.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	all, faults := j.Operations()
	want := [][]runbooks.Record{{earlier}, {record("op-1", 1), record("op-1", 2), record("op-1", 3), record("op-1", 4)}, {later}}
	if diff := cmp.Diff(want, all); diff != "" || len(faults) > 0 {
		t.Errorf("faults %v, operations:\n%s", faults, diff)
	}
	one, err := j.Operation("op-2")
	if diff := cmp.Diff([]runbooks.Record{later}, one); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if none, err := j.Operation("op-9"); none != nil || err != nil {
		t.Errorf("an unknown operation: %v, %v", none, err)
	}
}

func TestJournal_NothingThere_IsEmpty_AndReadingMakesNothing(t *testing.T) {
	dir := t.TempDir()
	j := state.OpenJournal(dir)
	if all, faults := j.Operations(); len(all)+len(faults) > 0 {
		t.Errorf("%v, %v", all, faults)
	}
	if _, err := j.Operation("op-1"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("made %v, %v", left, err)
	}
}

// Bad input: a half-written or corrupt journal is named, and nothing repaired.
func TestJournal_DamagedFile_IsNamedAndLeftAlone(t *testing.T) {
	lines := func(change func(l []string) []string) func([]byte) []byte {
		return func(b []byte) []byte {
			return []byte(strings.Join(change(strings.SplitAfter(strings.TrimSuffix(string(b), "\n"), "\n")), ""))
		}
	}
	_, _, foreign := journaled(t, 1)
	other, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(b []byte) []byte{
		"empty":            func([]byte) []byte { return nil },
		"half a line":      func(b []byte) []byte { return b[:len(b)-10] },
		"newline missing":  func(b []byte) []byte { return b[:len(b)-1] },
		"zeros at the end": func(b []byte) []byte { return append(b[:len(b):len(b)], 0, 0, 0, '\n') },
		"an empty line":    func(b []byte) []byte { return append(b[:len(b):len(b)], '\n') },
		"first line gone":  lines(func(l []string) []string { return append(l[1:], "\n") }),
		"a line gone":      lines(func(l []string) []string { return []string{l[0], l[2], "\n"} }),
		"a line twice":     lines(func(l []string) []string { return []string{l[0], l[0], l[1], l[2], "\n"} }),
		"lines exchanged":  lines(func(l []string) []string { return []string{l[1], l[0], l[2], "\n"} }),
		"a word changed":   func(b []byte) []byte { return []byte(strings.Replace(string(b), "record 2", "record 9", 1)) },
		"a newer format":   func(b []byte) []byte { return []byte(strings.Replace(string(b), `"v":1`, `"v":9`, 1)) },
		"a bracket more":   func(b []byte) []byte { return []byte(strings.Replace(string(b), "}\n", "}}\n", 1)) },
		"text":             func([]byte) []byte { return []byte("promoted db2\n") },
		"another's line behind": func(b []byte) []byte {
			return append(b[:len(b):len(b)], []byte(strings.ReplaceAll(string(other), "op-1", "op-2"))...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, dir, file := journaled(t, 3)
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			bad := damage(b)
			if err := os.WriteFile(file, bad, 0o640); err != nil {
				t.Fatal(err)
			}
			j := state.OpenJournal(dir)
			if err := j.Append(record("op-7", 1)); err != nil {
				t.Errorf("another operation's journal: %v", err)
			}
			all, faults := j.Operations()
			var f *state.Fault
			if len(all) != 1 || len(faults) != 1 || !errors.As(faults[0], &f) || f.File != file {
				t.Errorf("%d operations, faults %v", len(all), faults)
			}
			if _, err := j.Operation("op-1"); !errors.As(err, &f) {
				t.Errorf("one operation: %v", err)
			}
			if after, err := os.ReadFile(file); err != nil || string(after) != string(bad) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
}

// A journal is read whole or not at all: every prefix that is no whole number of
// lines is refused, and one that is reads as it was then.
func TestJournal_EveryPrefix(t *testing.T) {
	_, dir, file := journaled(t, 3)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if err := os.WriteFile(file, whole[:n], 0o640); err != nil {
			t.Fatal(err)
		}
		recs, err := state.OpenJournal(dir).Operation("op-1")
		complete := n > 0 && whole[n-1] == '\n'
		if complete != (err == nil) || (complete && len(recs) != strings.Count(string(whole[:n]), "\n")) {
			t.Fatalf("%d of %d bytes: %d records, %v", n, len(whole), len(recs), err)
		}
	}
}

func TestJournal_AnyFlippedBit_IsNoticedOrHarmless(t *testing.T) {
	_, dir, file := journaled(t, 2)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := []runbooks.Record{record("op-1", 1), record("op-1", 2)}
	for bit := range len(whole) * 8 {
		b := append([]byte(nil), whole...)
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(file, b, 0o640); err != nil {
			t.Fatal(err)
		}
		if recs, err := state.OpenJournal(dir).Operation("op-1"); err == nil && !cmp.Equal(want, recs) {
			t.Fatalf("byte %d (%q to %q) changed what is read: %+v", bit/8, whole[bit/8], b[bit/8], recs)
		}
	}
}

// Rule 11: after a failed write nothing is known of the file any more, also when
// the cause has gone.
func TestJournal_FailedWrite_StaysBroken(t *testing.T) {
	j, dir, file := journaled(t, 1)
	if j.Broken() != nil {
		t.Fatal(j.Broken())
	}
	if err := os.Chmod(file, 0o440); err != nil {
		t.Fatal(err)
	}
	if f, err := os.OpenFile(file, os.O_WRONLY, 0); err == nil {
		_ = f.Close()
		t.Skip("this user writes everything")
	}
	if err := j.Append(record("op-1", 2)); err == nil {
		t.Fatal("appended to a read-only file")
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(record("op-1", 2)); err == nil || j.Broken() == nil {
		t.Errorf("a broken journal took a record: %v", err)
	}
	if err := state.OpenJournal(dir).Append(record("op-1", 2)); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

func TestJournal_UnusableOperationID_Refused(t *testing.T) {
	for _, id := range []string{"", "../x", "a*", "a?", "a[b]", "a\\b", "a\x00b"} {
		if err := state.OpenJournal(t.TempDir()).Append(record(id, 1)); err == nil {
			t.Errorf("operation id %q was taken", id)
		}
	}
}
