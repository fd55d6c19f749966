package demo

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// A demo that waits for a forgotten one must not look as if it hung.
func TestFlock_HeldByAnother_SaysOnceThatItWaits(t *testing.T) {
	owner, err := FindOwner()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lock")
	never := func() { t.Error("said that it waits for a free lock") }
	held, err := flock(t.Context(), owner, path, never)
	if err != nil {
		t.Fatal(err)
	}
	said := make(chan struct{}, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience+time.Second)
	defer cancel()
	if f, err := flock(ctx, owner, path, func() { said <- struct{}{} }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("took a lock that is held: %v, %v", f, err)
	}
	if len(said) != 1 {
		t.Errorf("said %d times that it waits, want once", len(said))
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := flock(t.Context(), owner, path, never)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
