package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

func TestApp_HealthCheckOfContainers_PrimaryOnly(t *testing.T) {
	p := testenv.NewPair(t)
	passfile := filepath.Join(t.TempDir(), "pass")
	writeFile(t, passfile, "*:*:*:*:not asked for\n")
	app := func(s *demo.Server) string {
		url, _ := start(t, `listens: (\S+)`, "app", "--listen", "127.0.0.1:0", "--dsn", s.DSN("postgres"), "--passfile", passfile)
		return url
	}
	if code, out, errOut := do(t, "get", app(p.Servers[0])); code != 0 || out != `{"ok":true,"database":"db1"}`+"\n" {
		t.Errorf("on the primary: exit %d, %q %q", code, out, errOut)
	}
	if code, _, errOut := do(t, "get", app(p.Servers[1])); code != 1 || !strings.Contains(errOut, "503") || !strings.Contains(errOut, "read-only") {
		t.Errorf("on the standby: exit %d, %q; want 1 with the cause", code, errOut)
	}
	if code, _, errOut := do(t, "get", "http://127.0.0.1:1/"); code != 1 || errOut == "" {
		t.Errorf("nobody there: exit %d, %q", code, errOut)
	}
}

// reportOf runs report and wants a verdict.
func reportOf(t *testing.T, args ...string) verdict {
	t.Helper()
	code, out, errOut := do(t, append([]string{"report"}, args...)...)
	var v verdict
	if err := json.Unmarshal([]byte(out), &v); code != 0 || err != nil {
		t.Fatalf("report: exit %d, %v, %s%s", code, err, out, errOut)
	}
	return v
}

func TestReport_WhileTheWriterRuns_PrimaryKilledAndPromoted(t *testing.T) {
	p := testenv.NewPair(t, testenv.Sync())
	db1, db2 := p.Servers[0], p.Servers[1]
	args := []string{"--servers", fmt.Sprintf("db1=127.0.0.1:%d,db2=127.0.0.1:%d", db1.Port, db2.Port),
		"--user", "postgres", "--database", "postgres", "--dir", t.TempDir()}
	if code, _, errOut := do(t, append([]string{"report"}, args...)...); code != 1 || !strings.Contains(errOut, "beginning of the ledger") {
		t.Errorf("report before the ledger: exit %d, %q; want 1 with a reason", code, errOut)
	}
	client := append([]string{"client", "--every", "5ms"}, args...)
	_, stop := start(t, "run 1 of the ledger", client...)
	testenv.Wait(t, 30*time.Second, "the table", func() (bool, string) {
		there, err := db2.Ask(t.Context(), "SELECT to_regclass('ledger') IS NOT NULL")
		return err == nil && there == "true", there
	})
	atLeast := func(rows int, args ...string) (v verdict) {
		testenv.Wait(t, 30*time.Second, "acknowledged rows", func() (bool, string) {
			v = reportOf(t, args...)
			return v.Acked >= rows, fmt.Sprint(v.Acked)
		})
		return v
	}
	atLeast(100, args...)
	for range 10 {
		for _, node := range []string{"db1", "db2"} {
			if v := reportOf(t, append(args, "--node", node)...); v.LostCount+v.PhantomCount > 0 || v.Node != node || v.InRecovery != (node == "db2") {
				t.Fatalf("with all well: %+v", v)
			}
		}
	}
	testenv.KillServer(t, db1)
	if code, _, errOut := do(t, append([]string{"report"}, args...)...); code != 1 || !strings.Contains(errOut, "found 0") {
		t.Errorf("without a primary: exit %d, %q; want 1 with a reason", code, errOut)
	}
	if v := reportOf(t, append(args, "--node", "db2")...); v.LostCount > 0 || !v.InRecovery {
		t.Errorf("standby alone: %+v", v)
	}
	if err := db2.Exec(t.Context(), "ALTER SYSTEM SET synchronous_standby_names = ''"); err != nil {
		t.Fatal(err)
	}
	if promoted, err := db2.Ask(t.Context(), "SELECT pg_promote() AND pg_reload_conf()"); err != nil || promoted != "true" {
		t.Fatalf("promote db2: %q, %v", promoted, err)
	}
	testenv.Wait(t, 30*time.Second, "rows on db2", func() (bool, string) {
		v := reportOf(t, args...)
		return len(v.Tenures) == 2 && v.Tenures[1].Acked > 50, fmt.Sprintf("%+v", v)
	})
	// The container is restarted: the same ledger, other clients.
	stop()
	before := reportOf(t, args...)
	_, stop = start(t, "run 2 of the ledger", client...)
	v := atLeast(before.Acked+50, args...)
	if v.LostCount+v.PhantomCount+v.Overlaps > 0 || v.Node != "db2" || len(v.Tenures) != 2 {
		t.Errorf("after the promotion: %+v, want nothing lost and db1 then db2", v)
	}
	stop()
	if err := db2.Exec(t.Context(), "DELETE FROM ledger WHERE client = 1 AND seq <= 3"); err != nil {
		t.Fatal(err)
	}
	if v := reportOf(t, args...); v.LostCount != 3 || len(v.Lost) != 3 {
		t.Errorf("%d rows counted as lost, want the 3 that were taken away", v.LostCount)
	}
}
