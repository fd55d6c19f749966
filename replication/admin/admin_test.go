package admin_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gestionale-fullstack/watchdog/replication/admin"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestScript_ByVersion_GrantsOnlyWhatTheServerKnows(t *testing.T) {
	for _, c := range []struct {
		version    int
		super      bool
		want, lack []string
	}{
		{140005, true, []string{"ALTER ROLE watchdog_act LOGIN SUPERUSER"}, []string{"pg_checkpoint", "ALTER SYSTEM"}},
		{150020, false, []string{"GRANT pg_checkpoint TO watchdog_act", "ALTER SYSTEM ON PARAMETER primary_conninfo", "ALTER ROLE watchdog_act LOGIN NOSUPERUSER"}, []string{" SUPERUSER"}},
		{180001, true, []string{"GRANT pg_checkpoint TO watchdog_act"}, []string{" SUPERUSER"}},
	} {
		got, err := admin.Script(admin.Options{ServerVersion: c.version, Database: "postgres", SuperuserAct: c.super})
		if err != nil {
			t.Fatalf("%d: %v", c.version, err)
		}
		for _, w := range c.want {
			if !strings.Contains(got, w) {
				t.Errorf("%d: script lacks %q", c.version, w)
			}
		}
		for _, w := range c.lack {
			if strings.Contains(got, w) {
				t.Errorf("%d: script has %q", c.version, w)
			}
		}
	}
}

func TestScript_BadOptions_Refuses(t *testing.T) {
	if _, err := admin.Script(admin.Options{ServerVersion: 140005, Database: "postgres"}); !errors.Is(err, admin.ErrNeedsSuperuser) {
		t.Errorf("version 14: %v", err)
	}
	for _, o := range []admin.Options{
		{ServerVersion: 130000, Database: "postgres"},
		{ServerVersion: 150000},
		{ServerVersion: 150000, Database: `x"; DROP ROLE y`},
		{ServerVersion: 150000, Database: "postgres", PasswordFiles: map[string]string{"postgres": "/x"}},
	} {
		if s, err := admin.Script(o); err == nil {
			t.Errorf("%+v accepted: %s", o, s)
		}
	}
}

func TestApply_Twice_LeastPrivilege(t *testing.T) {
	pair := testenv.NewPair(t, testenv.Fresh())
	ctx := t.Context()
	primary, standby := pair.Servers[0], pair.Servers[1]
	file := filepath.Join(t.TempDir(), "mon")
	if err := os.WriteFile(file, []byte("s3cret of mon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := admin.Options{PasswordFiles: map[string]string{admin.RoleMonitor: file}}
	for range 2 {
		if err := admin.Apply(ctx, primary.DSN("postgres"), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := admin.Apply(ctx, standby.DSN("postgres"), o); !errors.Is(err, admin.ErrStandby) {
		t.Errorf("on the standby: %v, want ErrStandby", err)
	}
	got, err := primary.Ask(ctx, `SELECT string_agg(rolname || CASE WHEN rolsuper THEN '!' ELSE '' END || CASE WHEN rolreplication THEN '+' ELSE '' END, ' ' ORDER BY rolname)
		FROM pg_roles WHERE rolname LIKE 'watchdog%'`)
	if want := "watchdog_act+ watchdog_mon+ watchdog_repl+ watchdog_rewind"; err != nil || got != want {
		t.Errorf("roles %q, %v; want %q", got, err, want)
	}
	for _, c := range []struct{ role, sql, code string }{
		{admin.RoleMonitor, "SELECT pg_promote()", "42501"},
		{admin.RoleMonitor, "SELECT pg_reload_conf()", "42501"},
		{admin.RoleMonitor, "ALTER SYSTEM SET primary_conninfo = ''", "42501"},
		{admin.RoleMonitor, "INSERT INTO watchdog.epoch (number, id, node) VALUES (1, 'x', 'y')", "42501"},
		{admin.RoleMonitor, "SELECT * FROM watchdog.epoch", ""},
		{admin.RoleAct, "INSERT INTO watchdog.epoch (number, id, node) VALUES (1, 'x', 'y')", ""},
		{admin.RoleAct, "DELETE FROM watchdog.epoch", "42501"},
		{admin.RoleAct, "CHECKPOINT", ""},
		{admin.RoleAct, "ALTER SYSTEM SET work_mem = '1MB'", "42501"},
		{admin.RoleAct, "SELECT pg_read_binary_file('PG_VERSION')", "42501"},
		{admin.RoleRepl, "SELECT pg_promote()", "42501"},
		{admin.RoleRepl, "SELECT * FROM watchdog.epoch", "42501"},
		{admin.RoleRewind, "SELECT pg_read_binary_file('PG_VERSION')", ""},
		{admin.RoleRewind, "SELECT pg_promote()", "42501"},
	} {
		if code := runAs(t, primary.DSN("postgres"), c.role, c.sql); code != c.code {
			t.Errorf("%s: %s: SQLSTATE %q, want %q", c.role, c.sql, code, c.code)
		}
	}
}

// TestApply_Password_LogsIn proves that the verifier we compute is the one
// that PostgreSQL checks, and that no clear text reached its log.
func TestApply_Password_LogsIn(t *testing.T) {
	pair := testenv.NewPair(t)
	ctx := t.Context()
	primary := pair.Servers[0]
	if err := primary.Exec(ctx, "ALTER SYSTEM SET log_statement = 'all'"); err != nil {
		t.Fatal(err)
	}
	hba := "local all all scram-sha-256\nhost all watchdog_mon 127.0.0.1/32 scram-sha-256\nhost all,replication postgres 127.0.0.1/32 trust\n"
	if err := os.WriteFile(filepath.Join(primary.DataDir, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := primary.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "mon")
	const password = `pass'word \ with 99 %`
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := admin.Options{PasswordFiles: map[string]string{admin.RoleMonitor: file}}
	if err := admin.Apply(ctx, primary.DSN("postgres"), o); err != nil {
		t.Fatal(err)
	}
	for pw, want := range map[string]string{password: "", "wrong": "28P01"} {
		cfg, err := pgx.ParseConfig(primary.DSN("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		cfg.User, cfg.Password = admin.RoleMonitor, pw
		if code := connectCode(t, cfg); code != want {
			t.Errorf("password %q: SQLSTATE %q, want %q", pw, code, want)
		}
	}
	if log := primary.LogTail(1 << 20); strings.Contains(log, password) || !strings.Contains(log, "ALTER ROLE watchdog_mon PASSWORD 'SCRAM-SHA-256$4096:") {
		t.Error("log holds the clear text, or lacks the statement with the verifier")
	}
}

func TestApply_BadPasswordFile_ChangesNothing(t *testing.T) {
	pair := testenv.NewPair(t)
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{open, filepath.Join(t.TempDir(), "absent")} {
		o := admin.Options{PasswordFiles: map[string]string{admin.RoleAct: f}}
		if err := admin.Apply(t.Context(), pair.Servers[0].DSN("postgres"), o); err == nil {
			t.Errorf("%s accepted", f)
		}
	}
	if got, err := pair.Servers[0].Ask(t.Context(), "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'watchdog%'"); err != nil || got != "0" {
		t.Errorf("%s roles installed, %v", got, err)
	}
}

func runAs(t *testing.T, dsn, role, sql string) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.User = role
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatalf("%s: %v", role, err)
	}
	defer conn.Close(context.Background())
	_, err = conn.Exec(t.Context(), sql)
	return code(t, err)
}

func connectCode(t *testing.T, cfg *pgx.ConnConfig) string {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err == nil {
		err = conn.Close(t.Context())
	}
	return code(t, err)
}

func code(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		t.Fatalf("no SQLSTATE in %v", err)
	}
	return pg.Code
}
