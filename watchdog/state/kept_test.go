package state_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// later is a clock for which every change is long ago, so that contents are kept.
func later() time.Time { return time.Now().Add(time.Hour) }

// Another process may replace the files at any moment, with as many bytes as
// before; what was read and kept gives way at once.
func TestStore_Read_FileReplacedByAnother_IsSeen(t *testing.T) {
	s, dir := stored(t)
	s.SetClock(later)
	other := state.Open(dir, "db1")
	for n := range 200 {
		d, err := s.Read()
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Update(func(d fence.Durable) (fence.Durable, error) { return raise(d), nil }); err != nil {
			t.Fatal(err)
		}
		if again, err := s.Read(); err != nil || again.Epoch.Number != d.Epoch.Number+1 {
			t.Fatalf("change %d: epoch %d after %d, %v", n, again.Epoch.Number, d.Epoch.Number, err)
		}
	}
}

func TestStore_Read_FileDamagedOrRemoved_IsSeen(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"cut":     func(path string) error { return os.Truncate(path, 10) },
		"removed": os.Remove,
		"overwritten in place": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, bytes.Repeat([]byte("x"), len(b)), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := stored(t)
			s.SetClock(later)
			if _, err := s.Read(); err != nil {
				t.Fatal(err)
			}
			if err := harm(filepath.Join(dir, state.FenceFile)); err != nil {
				t.Fatal(err)
			}
			var f *state.Fault
			if _, err := s.Read(); !errors.As(err, &f) {
				t.Errorf("error %v, want a fault", err)
			}
		})
	}
}

// A change that is as fresh as the file system's clock is coarse is never kept:
// the next one could look the same.
func TestStore_Read_FreshChange_IsReadAgain(t *testing.T) {
	s, dir := stored(t)
	s.SetClock(time.Now)
	if _, err := s.Read(); err != nil {
		t.Fatal(err)
	}
	if s.Keeps() {
		t.Error("a file of this moment is kept")
	}
	s.SetClock(func() time.Time { return time.Now().Add(-time.Hour) }) // set back
	if _, err := s.Read(); err != nil || s.Keeps() {
		t.Errorf("a file of the future is kept (%v)", err)
	}
	s.SetClock(later)
	if _, err := s.Read(); err != nil || !s.Keeps() {
		t.Errorf("%s: a settled file is not kept (%v)", dir, err)
	}
}

// What a caller does with the value it was given stays with that caller.
func TestStore_Read_CallerWritesIntoTheValue_NobodyElseSeesIt(t *testing.T) {
	s, _ := stored(t)
	if err := s.SetMarker(fence.Marker{Operation: "op-1"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(func(d fence.Durable) (fence.Durable, error) {
		d.Orders = []fence.Order{{Operation: "op-1", Node: "db1", Issuer: "db2"}}
		return d, nil
	}); err != nil {
		t.Fatal(err)
	}
	s.SetClock(later)
	d, err := s.Read()
	if err != nil {
		t.Fatal(err)
	}
	d.Marker.Operation, d.Orders[0].Revoked = "forged", true
	d, err = s.Read()
	if err != nil || d.Marker.Operation != "op-1" || d.Orders[0].Revoked {
		t.Errorf("%+v %+v, %v", d.Marker, d.Orders, err)
	}
}
