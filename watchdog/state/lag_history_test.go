package state_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

var lagAt = time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)

func lagPoint(at time.Time, replay uint64) state.LagPoint {
	late := 3 * time.Second
	return state.LagPoint{At: at, Node: "db2", ReplayBytes: &replay, Time: &late}
}

func lagDB(t *testing.T, path string) *bbolt.DB {
	t.Helper()
	db, err := state.OpenDB(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func wantLag(t *testing.T, h *state.LagHistory, from time.Time, want ...state.LagPoint) {
	t.Helper()
	got, err := h.Since(from)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("history: %s", d)
	}
}

func TestLagHistory_Restart_KeepsWhatWasFlushedAndLosesTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), state.DBFile)
	db := lagDB(t, path)
	h := state.NewLagHistory(db)
	first, second, third := lagPoint(lagAt, 0), lagPoint(lagAt.Add(10*time.Second), 7), lagPoint(lagAt.Add(20*time.Second), 9)
	second.ReplayBytes, second.AtLeast = nil, true // not known is not 0
	wantLag(t, h, time.Time{})
	h.Add(first, second)
	if err := h.Flush(lagAt); err != nil {
		t.Fatal(err)
	}
	h.Add(third)
	wantLag(t, h, time.Time{}, first, second, third)
	wantLag(t, h, second.At, second, third)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wantLag(t, state.NewLagHistory(lagDB(t, path)), time.Time{}, first, second)
}

func TestLagHistory_ADayAtTenSeconds_IsBoundedAndOneTransactionAMinute(t *testing.T) {
	db := lagDB(t, filepath.Join(t.TempDir(), state.DBFile))
	db.NoSync = true // the disk's patience is not what is tested
	h := state.NewLagHistory(db)
	const minutes = 25 * 60
	for m := range minutes {
		at := lagAt.Add(time.Duration(m) * time.Minute)
		for s := range 6 {
			h.Add(lagPoint(at.Add(time.Duration(s)*10*time.Second), uint64(m)))
		}
		if err := h.Flush(at.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if err := h.Flush(at.Add(time.Minute)); err != nil { // nothing new: nothing written
			t.Fatal(err)
		}
	}
	got, err := h.Since(time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got); n < 24*360 || n > 24*360+12 || !got[n-1].At.Equal(lagAt.Add(minutes*time.Minute-10*time.Second)) {
		t.Errorf("%d points from %s to %s", n, got[0].At, got[n-1].At)
	}
	if id := txID(t, db); id > minutes+8 {
		t.Errorf("%d transactions in %d minutes", id, minutes)
	}
}

// txID counts the writing transactions of a file.
func txID(t *testing.T, db *bbolt.DB) int {
	t.Helper()
	id := 0
	if err := db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestLagHistory_ClockSetBack_PointsOfTheFutureGo(t *testing.T) {
	h := state.NewLagHistory(lagDB(t, filepath.Join(t.TempDir(), state.DBFile)))
	for _, at := range []time.Time{lagAt.Add(5 * time.Hour), lagAt} {
		h.Add(lagPoint(at, 1))
		if err := h.Flush(at); err != nil {
			t.Fatal(err)
		}
	}
	wantLag(t, h, time.Time{}, lagPoint(lagAt, 1))
}

func TestLagHistory_DamagedRecord_TheOthersAreRead(t *testing.T) {
	db := lagDB(t, filepath.Join(t.TempDir(), state.DBFile))
	h := state.NewLagHistory(db)
	h.Add(lagPoint(lagAt, 1))
	if err := h.Flush(lagAt); err != nil {
		t.Fatal(err)
	}
	err := db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("lag")).Bucket([]byte("points")).Put([]byte("12345678"), []byte("{"))
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Since(time.Time{})
	if len(got) != 1 || err == nil || !strings.Contains(err.Error(), "3132333435363738") {
		t.Errorf("%d points, %v", len(got), err)
	}
}

func TestLagHistory_FormatOfALaterProgram_NothingIsWrittenAndMemoryIsBounded(t *testing.T) {
	db := lagDB(t, filepath.Join(t.TempDir(), state.DBFile))
	err := db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("lag"))
		return errors.Join(err, b.Put([]byte("format"), []byte("9")))
	})
	if err != nil {
		t.Fatal(err)
	}
	h := state.NewLagHistory(db)
	before := txID(t, db)
	for range 3000 {
		h.Add(lagPoint(lagAt, 1))
	}
	if err := h.Flush(lagAt); err == nil || !strings.Contains(err.Error(), `"9"`) || txID(t, db) != before {
		t.Errorf("error %v", err)
	}
	if got, _ := h.Since(time.Time{}); len(got) != 2048 {
		t.Errorf("%d points wait", len(got))
	}
}
