package observe_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// session opens a session that ends with the test, if not before.
func session(t *testing.T, s *demo.Server, statements ...string) *pgx.Conn {
	t.Helper()
	conn, err := s.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, q := range statements {
		if _, err := conn.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

func leave(t *testing.T, conns ...*pgx.Conn) {
	t.Helper()
	for _, c := range conns {
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReal_Upkeep_EachFindingIsToldAndResolves(t *testing.T) {
	p := testenv.NewPair(t)
	primary := p.Servers[0]
	v := watchFrom(t, p, primary.Name, nil)
	t.Run("connections", func(t *testing.T) {
		codes := []string{view.ConnectionSaturation}
		v.untilOf(t, codes)
		var open []*pgx.Conn
		for range 46 { // of 60, of which 3 are reserved
			open = append(open, session(t, primary))
		}
		v.untilOf(t, codes, "ConnectionSaturation/"+primary.Name+" warning")
		for range 7 {
			open = append(open, session(t, primary))
		}
		v.untilOf(t, codes, "ConnectionSaturation/"+primary.Name+" page")
		leave(t, open...)
		v.untilOf(t, codes)
	})
	t.Run("forgotten transaction", func(t *testing.T) {
		codes := []string{view.LongTransaction}
		v.untilOf(t, codes)
		v.limits.IdleInTransaction = time.Second
		forgotten := session(t, primary, "BEGIN", "SELECT 1")
		v.untilOf(t, codes, "LongTransaction/"+primary.Name+" warning")
		leave(t, forgotten)
		v.untilOf(t, codes)
	})
	t.Run("pending restart", func(t *testing.T) {
		codes := []string{view.PendingRestart}
		execute(t, primary, "ALTER SYSTEM SET shared_buffers = '17MB'", "SELECT pg_reload_conf()")
		v.untilOf(t, codes, "PendingRestart/"+primary.Name+" warning")
		execute(t, primary, "ALTER SYSTEM RESET shared_buffers", "SELECT pg_reload_conf()")
		v.untilOf(t, codes)
	})
	t.Run("wraparound", func(t *testing.T) {
		codes := []string{view.XidWraparound}
		execute(t, primary, "CREATE DATABASE old")
		execute(t, primary, "UPDATE pg_database SET datfrozenxid = (txid_current() + 4294967296 - 1100000000)::text::xid WHERE datname = 'old'")
		v.untilOf(t, codes, "XidWraparound/"+primary.Name+" warning")
		execute(t, primary, "DROP DATABASE old")
		v.untilOf(t, codes)
	})
	t.Run("damaged page", func(t *testing.T) { damagedPage(t, v, primary) })
}

// damagedPage changes a byte of a table on disk and lets PostgreSQL read it.
func damagedPage(t *testing.T, v *vantage, primary *demo.Server) {
	codes := []string{view.ChecksumFailures}
	execute(t, primary, "CREATE TABLE damaged AS SELECT 1 AS n", "CHECKPOINT")
	file, err := primary.Ask(t.Context(), "SELECT pg_relation_filepath('damaged')")
	if err != nil {
		t.Fatal(err)
	}
	stopServer(t, primary)
	f, err := os.OpenFile(filepath.Join(primary.DataDir, file), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, 8000); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	startServer(t, primary)
	if err := primary.Exec(t.Context(), "SELECT * FROM damaged"); err == nil {
		t.Fatal("the damaged page was read as if it were none")
	}
	v.untilOf(t, codes, "ChecksumFailures/"+primary.Name+" page")
	execute(t, primary, "DROP TABLE damaged", "SELECT pg_stat_reset()")
	v.untilOf(t, codes)
}

func TestReal_PrimaryRaisesASettingFirst_StandbyIsBelowAndItPages(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	v := watchFrom(t, p, standby.Name, nil)
	codes, pair := []string{view.ConfigDrift}, primary.Name+"-"+standby.Name
	v.untilOf(t, codes)
	stopServer(t, primary)
	startServer(t, primary, "-c", "max_connections=70")
	v.untilOf(t, codes, "ConfigDrift/"+pair+" page")
	stopServer(t, primary)
	startServer(t, primary)
	v.untilOf(t, codes)
}

func TestReal_LoginTakenAway_IsToldAndResolves(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	execute(t, primary, "CREATE ROLE watcher LOGIN REPLICATION", "GRANT pg_monitor TO watcher")
	// A login that comes into being between two tries would leave the probe
	// without SQL.
	testenv.Wait(t, limit, "the role on the standby", func() (bool, string) {
		got, err := standby.Ask(t.Context(), "SELECT count(*)::text FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = 'watcher'")
		return err == nil && got == "1", fmt.Sprint(got, err)
	})
	v := watchFrom(t, p, standby.Name, func(o *observe.Options) {
		o.Servers = nil
		for _, s := range p.Servers {
			to := target(s)
			to.User = "watcher"
			o.Servers = append(o.Servers, observe.Server{Node: s.Name, Watch: observe.PostgreSQL(to, replication.WatchOptions{
				Period: 100 * time.Millisecond, SQLPeriod: 200 * time.Millisecond})})
		}
	})
	codes := []string{view.AuthBroken}
	v.untilOf(t, codes)
	execute(t, primary, "ALTER ROLE watcher VALID UNTIL 'tomorrow'")
	v.untilOf(t, codes, "AuthBroken/"+primary.Name+"/watcher warning")
	execute(t, primary, "ALTER ROLE watcher VALID UNTIL 'infinity'")
	v.untilOf(t, codes)
	execute(t, primary, "ALTER ROLE watcher NOLOGIN", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'watcher'")
	v.untilOf(t, codes, "AuthBroken/"+primary.Name+" warning")
	execute(t, primary, "ALTER ROLE watcher LOGIN")
	v.untilOf(t, codes)
}

func TestReal_ReplayCancelsQueries_IsTold(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	execute(t, standby, "ALTER SYSTEM SET max_standby_streaming_delay = 0", "SELECT pg_reload_conf()")
	v := watchFrom(t, p, standby.Name, nil)
	v.limits.Conflicts = 2
	codes := []string{view.StandbyConflicts}
	v.untilOf(t, codes)
	for i := range 2 {
		table := fmt.Sprintf("gone%d", i)
		execute(t, primary, "CREATE TABLE "+table+" (n int)")
		testenv.Wait(t, limit, "the table on the standby", func() (bool, string) {
			got, err := standby.Ask(t.Context(), "SELECT coalesce(to_regclass('"+table+"')::text, '')")
			return err == nil && got == table, fmt.Sprint(got, err)
		})
		session(t, standby, "BEGIN", "SELECT * FROM "+table)
		execute(t, primary, "DROP TABLE "+table)
	}
	v.untilOf(t, codes, "StandbyConflicts/"+standby.Name+" warning")
	execute(t, standby, "SELECT pg_stat_reset()") // the window itself is ten minutes long; see TestCounters
	v.untilOf(t, codes)
}

func TestReal_ClocksApart_AreToldAndResolve(t *testing.T) {
	p := testenv.SharedPair(t)
	var skew box[time.Duration]
	v := watchFrom(t, p, "db1", func(o *observe.Options) {
		o.Edges, o.EdgePeriod = []string{"db2"}, 50*time.Millisecond
		o.Edge = func(context.Context, string) (observe.Edge, error) {
			return observe.Edge{RTT: time.Millisecond, Skew: skew.get()}, nil
		}
	})
	codes := []string{view.ClockSkew}
	v.untilOf(t, codes)
	skew.set(-3 * time.Second)
	v.untilOf(t, codes, "ClockSkew/db1-db2 warning")
	skew.set(time.Minute)
	v.untilOf(t, codes, "ClockSkew/db1-db2 page")
	skew.set(20 * time.Millisecond)
	v.untilOf(t, codes)
}
