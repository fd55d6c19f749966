package lab

import (
	"context"
	"fmt"
	"strings"
)

const dataDir = "/var/lib/postgresql/data"

// makePrimary runs initdb in db1's volume and writes its configuration.
func (l *Lab) makePrimary(ctx context.Context) error {
	script := fmt.Sprintf("set -e\ninitdb -D %[1]s --data-checksums --encoding=UTF8 --locale=C --auth-local=peer --auth-host=scram-sha-256 >/dev/null\ncat >>%[1]s/postgresql.conf <<'EOF'\n%[2]sEOF\ncat >%[1]s/pg_hba.conf <<'EOF'\n%[3]sEOF\n",
		dataDir, serverConf, hba)
	argv := l.oneOff("-i", "--network", "none", "-v", volume("db1-data")+":"+dataDir)
	if _, err := l.run(ctx, strings.NewReader(script), append(argv, l.node, "bash", "-s")...); err != nil {
		return fmt.Errorf("make data directory of db1: %w", err)
	}
	return nil
}

// installRoles makes the application's database and what watchdog needs: its own
// SQL, as an administrator applies it, and the passwords.
func (l *Lab) installRoles(ctx context.Context, s secrets) error {
	sql, err := l.Exec(ctx, "db1", "watchdog", "config", "init-db")
	if err != nil {
		return fmt.Errorf("print SQL of init-db: %w", err)
	}
	// Nothing can wait for a standby that is not there yet.
	const alone = "SET synchronous_commit = local;\n"
	if _, err := l.SQL(ctx, "db1", "postgres", alone+sql); err != nil {
		return fmt.Errorf("apply SQL of init-db: %w", err)
	}
	var b strings.Builder
	b.WriteString(alone)
	fmt.Fprintf(&b, "CREATE ROLE gestionale LOGIN PASSWORD '%s';\n", s.passwords["gestionale"])
	for _, role := range []string{"watchdog_mon", "watchdog_act", "watchdog_repl"} {
		fmt.Fprintf(&b, "ALTER ROLE %s PASSWORD '%s';\n", role, s.passwords[role])
	}
	b.WriteString("SELECT pg_create_physical_replication_slot('watchdog_db2', true);\n")
	if _, err := l.SQL(ctx, "db1", "postgres", b.String()); err != nil {
		return fmt.Errorf("make roles: %w", err)
	}
	if _, err := l.SQL(ctx, "db1", "postgres", alone+"CREATE DATABASE gestionale OWNER gestionale"); err != nil {
		return fmt.Errorf("make database of the application: %w", err)
	}
	return nil
}

// makeStandby clones db1 into db2's volume.
func (l *Lab) makeStandby(ctx context.Context) error {
	conninfo := fmt.Sprintf("host=%s user=watchdog_repl passfile=/etc/pg-watchdog/pgpass", l.address("db1"))
	argv := l.oneOff("--network", Project+"_lan", "-v", volume("db2-data")+":"+dataDir, "-v", volume("db2-etc")+":/etc/pg-watchdog:ro")
	_, err := l.run(ctx, nil, append(argv, l.node, "pg_basebackup", "-D", dataDir, "-d", conninfo, "-R", "-S", "watchdog_db2", "-X", "stream",
		"-c", "fast", "--no-password")...)
	if err != nil {
		return fmt.Errorf("clone db1 into the volume of db2: %w", err)
	}
	return nil
}
