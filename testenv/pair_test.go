package testenv

import (
	"context"
	"os"
	"testing"
	"time"
)

func TestNewPair_Synchronous_StreamsAndEndsWithNothingLeft(t *testing.T) {
	var dir string
	t.Run("pair", func(t *testing.T) {
		p := NewPair(t, Sync())
		dir = p.Dir
		ctx := context.Background()
		db1, db2 := p.Servers[0], p.Servers[1]
		if err := db1.Exec(ctx, "CREATE TABLE seen (n int)"); err != nil {
			t.Fatal(err)
		}
		Wait(t, 10*time.Second, "the table on the standby", func() (bool, string) {
			got, err := db2.Ask(ctx, "SELECT coalesce(to_regclass('seen')::text, 'absent')")
			if err != nil {
				return false, err.Error()
			}
			return got == "seen", got
		})
		if in, err := db2.InRecovery(ctx); err != nil || !in {
			t.Errorf("db2 in recovery: %v, %v; want true", in, err)
		}
		if in, err := db1.InRecovery(ctx); err != nil || in {
			t.Errorf("db1 in recovery: %v, %v; want false", in, err)
		}
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("folder of the pair after the test: %v; want it gone", err)
	}
}
