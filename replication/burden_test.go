package replication_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

func TestLookBurden_FilesWaitToBeArchived_AreCounted(t *testing.T) {
	s := testenv.SharedPair(t).Servers[0]
	got, err := replication.LookBurden(soon(t), target(s))
	if err != nil || got.Backups != 0 || got.ArchiveReady != 0 {
		t.Fatalf("a quiet server: %+v, %v", got, err)
	}
	ready := filepath.Join(s.DataDir, "pg_wal", "archive_status", "000000010000000000000001.ready")
	if err := os.WriteFile(ready, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(ready) }()
	if got, err = replication.LookBurden(soon(t), target(s)); err != nil || got.ArchiveReady != 1 {
		t.Errorf("one file waits: %+v, %v", got, err)
	}
}

func TestLookBurden_BaseBackupRuns_IsCounted(t *testing.T) {
	s := testenv.SharedPair(t).Servers[0]
	conn, err := pgconn.Connect(t.Context(), s.DSN("postgres")+" replication=yes")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		_, _ = conn.Exec(ctx, "BASE_BACKUP (MAX_RATE 32, CHECKPOINT 'fast', WAIT false)").ReadAll()
		_ = conn.Close(context.Background())
	}()
	defer func() {
		stop()
		<-done
	}()
	testenv.Wait(t, limit, "the base backup in the look", func() (bool, string) {
		got, err := replication.LookBurden(soon(t), target(s))
		return err == nil && got.Backups == 1, ""
	})
}

// A server that answers anything but numbers tells nothing.
func TestLookBurden_AnswersInWords_IsNotKnown(t *testing.T) {
	got, err := replication.LookBurden(soon(t), hostile(t, login(rows("many"))))
	if err != nil || got.Backups != -1 || got.ArchiveReady != -1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTryReplication_HungServer_EndsWithItsContext(t *testing.T) {
	to := hostile(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	})
	began := time.Now()
	if err := replication.TryReplication(within(t, 300*time.Millisecond), to); err == nil || time.Since(began) > 3*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}
