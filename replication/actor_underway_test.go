package replication_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication/admin"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// TestPromotionUnderWay_TakenAndNotFinished_IsSeen holds a promotion between its
// request and its end: the server says that it is in recovery all the while.
func TestPromotionUnderWay_TakenAndNotFinished_IsSeen(t *testing.T) {
	pair := installed(t)
	next := pair.Servers[1]
	ctx := soon(t)
	hold := filepath.Join(t.TempDir(), "hold")
	if err := syscall.Mkfifo(hold, 0o600); err != nil {
		t.Fatal(err)
	}
	a := dial(t, as(next, admin.RoleAct))
	under := func(want bool, when string) {
		t.Helper()
		if got, err := a.PromotionUnderWay(ctx); err != nil || got != want {
			t.Errorf("%s: under way %t, %v", when, got, err)
		}
	}
	under(false, "a standby")
	for _, sql := range []string{"ALTER SYSTEM SET recovery_end_command = 'cat " + hold + "'", "SELECT pg_reload_conf()", "SELECT pg_promote(false)"} {
		if err := next.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	request := filepath.Join(next.DataDir, "promote")
	testenv.Wait(t, limit, "the request is taken", func() (bool, string) {
		_, err := os.Stat(request)
		return os.IsNotExist(err), "the file is there"
	})
	testenv.Wait(t, limit, "the promotion is seen", func() (bool, string) {
		on, err := a.PromotionUnderWay(ctx)
		return on && err == nil, "not yet"
	})
	if in, err := a.InRecovery(ctx); err != nil || !in {
		t.Fatalf("in recovery %t, %v: nothing is tested", in, err)
	}
	f, err := os.OpenFile(hold, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, limit, "it is out of recovery", func() (bool, string) {
		in, err := a.InRecovery(ctx)
		return err == nil && !in, "in recovery"
	})
	under(false, "a primary")
}
