package replication_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// TestCommitProbe_LocalCommitNeverEnds_OneInFlight talks to something that
// takes commits and ends none, as a server with a frozen disk does: the disk
// under a test cannot be frozen without owning its file system.
func TestCommitProbe_LocalCommitNeverEnds_OneInFlight(t *testing.T) {
	var commits atomic.Int32
	var frozen atomic.Bool
	frozen.Store(true)
	to := hostile(t, login(func(q string, b *pgproto3.Backend) {
		switch {
		case strings.Contains(q, "pg_logical_emit_message"):
			commits.Add(1)
			if frozen.Load() {
				return
			}
			rows("0/1")(q, b)
		case strings.HasPrefix(q, "SELECT pg_is_in_recovery()"):
			b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("f"), []byte("f"), []byte("9")}})
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		default:
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		}
	}))
	probe, err := replication.NewCommitProbe(to, 100*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	for range 3 {
		if got := probe.Probe(t.Context()); got.Verdict != replication.VerdictStorageStalled || got.Cause != replication.CauseTimeout || got.Local != 0 {
			t.Errorf("%+v", got)
		}
	}
	if n := commits.Load(); n != 1 {
		t.Errorf("%d commits under way, want the one", n)
	}
	frozen.Store(false)
	probe.Close()
	if got := probe.Probe(t.Context()); got.Verdict != replication.VerdictHealthy {
		t.Errorf("thawed: %+v", got)
	}
}

// TestCommitProbe_ErrorText_BoundedAndClean checks what reaches an evidence line.
func TestCommitProbe_ErrorText_BoundedAndClean(t *testing.T) {
	to := hostile(t, login(func(_ string, b *pgproto3.Backend) {
		b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "XX000", Message: "\x1b[31m\xff\n" + strings.Repeat("é", 5000)})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	}))
	probe, err := replication.NewCommitProbe(to, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	got := probe.Probe(t.Context())
	if got.Verdict != replication.VerdictUnknown || got.Cause != "XX000" || len(got.Detail) > 310 || strings.ContainsAny(got.Detail, "\x1b\n") || !utf8.ValidString(got.Detail) {
		t.Errorf("%q %+v", got.Detail, got)
	}
}
