package replication_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// healthWhen waits until the newest status has a health that fits.
func (s *seen) healthWhen(t *testing.T, what string, fits func(replication.Status, replication.Health) bool) {
	t.Helper()
	testenv.Wait(t, limit, what, func() (bool, string) {
		st := s.status()
		if st == nil || st.Health == nil {
			return false, "no health"
		}
		return fits(*st, *st.Health), fmt.Sprintf("%+v", *st.Health)
	})
}

func TestHealth_FreshPair_IsKnownAndQuiet(t *testing.T) {
	pair := testenv.SharedPair(t)
	for _, server := range pair.Servers {
		w := watch(t, target(server))
		w.healthWhen(t, "health of "+server.Name, func(st replication.Status, h replication.Health) bool {
			return h.ReservedConnections == 3 && h.ChecksumFailures == 0 && h.Collations == "" && h.Prepared == 0 &&
				len(h.PendingRestart) == 0 && len(h.Expiring) == 0 && h.Idle == nil && st.XIDAge > 0
		})
	}
}

func TestHealth_ForgottenTransactionAndRestartAndPassword_AreNamed(t *testing.T) {
	pair := testenv.NewPair(t)
	ctx, server := t.Context(), pair.Servers[0]
	w := watch(t, target(server))
	conn, err := server.Connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx) //nolint:errcheck // the test is over
	for _, q := range []string{"SET application_name = 'cassa'", "BEGIN", "SELECT 1"} {
		if _, err := conn.Exec(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []string{
		"CREATE ROLE soon LOGIN REPLICATION VALID UNTIL 'tomorrow'", "CREATE ROLE over LOGIN REPLICATION VALID UNTIL '2020-01-01'",
		"CREATE ROLE other LOGIN VALID UNTIL '2020-01-01'",
		"ALTER SYSTEM SET max_connections = 61", "SELECT pg_reload_conf()",
	} {
		if err := server.Exec(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	w.healthWhen(t, "all three findings", func(_ replication.Status, h replication.Health) bool {
		return h.Idle != nil && h.Idle.ApplicationName == "cassa" && h.Idle.Database == "postgres" && h.Idle.Lasted > 300*time.Millisecond &&
			slices.Equal(h.PendingRestart, []string{"max_connections"}) &&
			len(h.Expiring) == 2 && h.Expiring[0].Expired && h.Expiring[0].Role == "over" &&
			!h.Expiring[1].Expired && h.Expiring[1].Left > time.Second && h.Expiring[1].Replication
	})
	if _, err := conn.Exec(ctx, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"DROP ROLE soon", "DROP ROLE over", "ALTER SYSTEM RESET max_connections", "SELECT pg_reload_conf()"} {
		if err := server.Exec(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	w.healthWhen(t, "quiet again", func(_ replication.Status, h replication.Health) bool {
		return h.Idle == nil && len(h.PendingRestart) == 0 && len(h.Expiring) == 0
	})
}

func TestHealth_CollationLibraryChanged_NamesTheDatabase(t *testing.T) {
	pair := testenv.NewPair(t)
	ctx, server := t.Context(), pair.Servers[0]
	if err := server.Exec(ctx, "CREATE DATABASE negozio TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'it-IT'"); err != nil {
		t.Skipf("this PostgreSQL has no ICU: %v", err)
	}
	w := watch(t, target(server))
	if err := server.Exec(ctx, "UPDATE pg_database SET datcollversion = '0.1' WHERE datname = 'negozio'"); err != nil {
		t.Fatal(err)
	}
	w.healthWhen(t, "the changed library", func(_ replication.Status, h replication.Health) bool { return h.Collations == "negozio" })
	if err := server.Exec(ctx, "ALTER DATABASE negozio REFRESH COLLATION VERSION"); err != nil {
		t.Fatal(err)
	}
	w.healthWhen(t, "quiet again", func(_ replication.Status, h replication.Health) bool { return h.Collations == "" })
}
