package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// full is a state with something in every field.
func full() fence.Durable {
	at := time.Unix(1_700_000_000, 0).UTC()
	e := fence.Epoch{Number: 4, ID: "four", Primary: "db1"}
	return fence.Durable{Node: "db1", SystemID: 7_000_000_000_000_000_001, DataDirectory: "/data/db1", Epoch: e, Role: replication.RolePrimary,
		Boot:    &fence.BootRecord{KernelBootID: "boot-1", At: at},
		Marker:  &fence.Marker{Operation: "fence-1", Kind: "fence", Epoch: e, SystemID: 7, DataDirectory: "/data/db1", By: "mario", Reason: "by hand", SetAt: at},
		Orders:  []fence.Order{{Operation: "fence-1", Node: "db1", Issuer: "db2", IssuedAt: at, Obeyed: true}},
		Intents: []fence.Intent{{Operation: "release-2", Kind: "release", Owner: "db1", Target: "db1", OpenedAt: at, Over: []string{"promote-1"}}},
		Lock:    &fence.Lock{Operation: "release-2", Kind: "release", Owner: "db1", Since: at},
		Closed:  []fence.Closed{{Operation: "fence-1", Result: fence.ResultDone, At: at}}}
}

func stored(t *testing.T) (*state.Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	s := state.Open(dir, "db1")
	put(t, s, full())
	return s, dir
}

func put(t *testing.T, s *state.Store, d fence.Durable) {
	t.Helper()
	if err := s.Update(func(fence.Durable) (fence.Durable, error) { return d, nil }); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{state.EpochFile, state.FenceFile} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			all[name] = string(b)
		}
	}
	return all
}

func TestStore_WhatIsWritten_IsReadBack(t *testing.T) {
	s, dir := stored(t)
	got, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full(), got); diff != "" {
		t.Errorf("read back:\n%s", diff)
	}
	again, err := state.Open(dir, "db1").Read()
	if diff := cmp.Diff(full(), again); err != nil || diff != "" {
		t.Errorf("another process reads (%v):\n%s", err, diff)
	}
}

func TestStore_NothingThere_IsAbsence(t *testing.T) {
	s := state.Open(filepath.Join(t.TempDir(), "never", "made"), "db1")
	if _, err := s.Read(); !errors.Is(err, state.ErrAbsent) {
		t.Errorf("got %v", err)
	}
	if m, err := s.Marker(); m != nil || err != nil {
		t.Errorf("marker %+v, %v", m, err)
	}
}

func TestStore_MarkerBeforeTheFirstEpoch_IsKept(t *testing.T) {
	s := state.Open(t.TempDir(), "db1")
	if err := s.SetMarker(fence.Marker{Operation: "fence-1"}); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Read(); err != nil || d.Marker == nil || !d.Epoch.Zero() {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestStore_RefusedChange_WritesNothing(t *testing.T) {
	s, dir := stored(t)
	before := contents(t, dir)
	no := errors.New("no")
	if err := s.Update(func(d fence.Durable) (fence.Durable, error) { d.Orders[0].Revoked = true; return d, no }); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	if err := s.Apply(fence.Notice{Lock: &fence.Lock{Operation: "x", Owner: "db2"}}); !errors.Is(err, fence.ErrLocked) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Errorf("written:\n%s", diff)
	}
}

// A change that writes into what it was given is a change all the same.
func TestStore_ChangeInPlace_IsWritten(t *testing.T) {
	s, _ := stored(t)
	if err := s.Update(func(d fence.Durable) (fence.Durable, error) { d.Orders[0].Revoked = true; return d, nil }); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Read(); err != nil || !d.Orders[0].Revoked {
		t.Errorf("%+v, %v", d.Orders, err)
	}
}

func TestStore_BindData_KeepsTheEpoch(t *testing.T) {
	s, _ := stored(t)
	boot := fence.BootRecord{KernelBootID: "boot-2"}
	if err := s.BindData("", boot); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Read(); err != nil || d.Boot.KernelBootID != "boot-2" || d.DataDirectory != "/data/db1" || d.Epoch.Number != 4 {
		t.Errorf("%+v, %v", d, err)
	}
}

// damages are what can befall a state file.
var damages = map[string]func(b []byte) []byte{
	"empty":            func([]byte) []byte { return nil },
	"one byte short":   func(b []byte) []byte { return b[:len(b)-3] },
	"torn in half":     func(b []byte) []byte { return b[:len(b)/2] },
	"zeros":            func(b []byte) []byte { return make([]byte, len(b)) },
	"zeros at the end": func(b []byte) []byte { return append(b[:len(b)/2:len(b)/2], make([]byte, len(b)/2)...) },
	"twice":            func(b []byte) []byte { return append(b[:len(b):len(b)], b...) },
	"a bracket more":   func(b []byte) []byte { return append(b[:len(b):len(b)], '}') },
	"newer format":     func(b []byte) []byte { return []byte(strings.Replace(string(b), `"v": 1`, `"v": 2`, 1)) },
	"edited by hand":   func(b []byte) []byte { return []byte(strings.Replace(string(b), `db1`, `db2`, 1)) },
	"no checksum":      func(b []byte) []byte { return []byte(strings.Replace(string(b), `"crc32c"`, `"crc"`, 1)) },
	"another's JSON":   func([]byte) []byte { return []byte(`{"hello":"world"}`) },
	"text":             func([]byte) []byte { return []byte("primary\n") },
}

// Bad input of every kind: the file is named, and nothing is ever overwritten.
func TestStore_DamagedFile_IsNamedAndLeftAlone(t *testing.T) {
	for _, file := range []string{state.EpochFile, state.FenceFile} {
		for name, damage := range damages {
			t.Run(file+" "+name, func(t *testing.T) {
				s, dir := stored(t)
				path := filepath.Join(dir, file)
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, damage(b), 0o640); err != nil {
					t.Fatal(err)
				}
				wantFault(t, s, dir, path)
			})
		}
	}
}

// wantFault checks that reading and every kind of writing name the file, and
// that nothing is written.
func wantFault(t *testing.T, s *state.Store, dir, path string) {
	t.Helper()
	before := contents(t, dir)
	_, rerr := s.Read()
	_, merr := s.Marker()
	for what, err := range map[string]error{"read": rerr, "marker": merr, "set marker": s.SetMarker(fence.Marker{Operation: "x"}),
		"bind": s.BindData("/x", fence.BootRecord{}), "apply": s.Apply(fence.Notice{Unlock: &fence.Lock{Operation: "x"}})} {
		var f *state.Fault
		if !errors.As(err, &f) || f.File != path || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Errorf("written:\n%s", diff)
	}
}

func TestStore_OneOfTwoFilesMissing(t *testing.T) {
	s, dir := stored(t)
	if err := os.Remove(filepath.Join(dir, state.FenceFile)); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s, dir, filepath.Join(dir, state.FenceFile))

	// Without epoch.json nobody can tell lost state from a node that holds an
	// order and was never adopted: no fault, no epoch, and the marker stands.
	s, dir = stored(t)
	if err := os.Remove(filepath.Join(dir, state.EpochFile)); err != nil {
		t.Fatal(err)
	}
	if d, err := s.Read(); err != nil || !d.Epoch.Zero() || d.Marker == nil {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestStore_FileThatCannotBeRead_IsAFault(t *testing.T) {
	s, dir := stored(t)
	for _, file := range []string{state.EpochFile, state.FenceFile} {
		path := filepath.Join(dir, file)
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		if f, err := os.Open(path); err == nil {
			_ = f.Close()
			t.Skip("this user reads everything")
		}
		_, err := s.Read()
		var f *state.Fault
		if !errors.As(err, &f) || f.File != path {
			t.Errorf("%s: %v", file, err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	// A directory in the place of the file, and a file in that of the directory.
	if err := errors.Join(os.Remove(filepath.Join(dir, state.EpochFile)), os.Mkdir(filepath.Join(dir, state.EpochFile), 0o750)); err != nil {
		t.Fatal(err)
	}
	wantFault(t, s, dir, filepath.Join(dir, state.EpochFile))
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(plain, "db1").Read(); errors.Is(err, state.ErrAbsent) || err == nil {
		t.Errorf("a file in the place of the directory: %v", err)
	}
}

func TestStore_Receiving_OlderValueStays(t *testing.T) {
	s := state.Open(t.TempDir(), "db1")
	first, second := replication.Receiving{ConnInfo: "host=a"}, replication.Receiving{ConnInfo: "host=b"}
	if err := errors.Join(s.SaveReceiving(first), s.SaveReceiving(second)); err != nil {
		t.Fatal(err)
	}
	if r, kept, err := s.Receiving(); !kept || err != nil || r != first {
		t.Errorf("kept %v, %v", kept, err)
	}
	if err := errors.Join(s.ForgetReceiving(), s.ForgetReceiving()); err != nil {
		t.Error(err)
	}
	if _, kept, err := s.Receiving(); kept || err != nil {
		t.Errorf("kept %v, %v", kept, err)
	}
}
