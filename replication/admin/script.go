package admin

import (
	"fmt"
	"strings"
)

// statement is one SQL statement with the reason that the script prints.
type statement struct {
	why string
	sql string
}

// Script gives the SQL that Apply runs, with a reason before each part, to be
// read, kept or run by psql on the primary. It holds no passwords: set them
// with psql's \password, which sends a SCRAM verifier.
func Script(o Options) (string, error) {
	sts, err := statements(o)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "-- PostgreSQL %d, database %s; run on the primary as a superuser. It may be run again.\n", o.ServerVersion/10000, o.Database)
	b.WriteString("-- Passwords are not in here: \\password ROLE sets one without sending it in clear.\nBEGIN;\n")
	for _, s := range sts {
		if s.why != "" {
			fmt.Fprintf(&b, "\n-- %s\n", s.why)
		}
		b.WriteString(s.sql + ";\n")
	}
	b.WriteString("\nCOMMIT;\n")
	return b.String(), nil
}

func statements(o Options) ([]statement, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var out []statement
	for _, part := range [][]statement{schema(), monitor(o), act(o), replicate(), rewind(o)} {
		out = append(out, part...)
	}
	return out, nil
}

// schema makes the tables. An epoch's number alone is no key: two promotions
// that did not know of each other take the same one, and the id tells them
// apart.
func schema() []statement {
	return []statement{
		{"Our schema. The newest epoch row proves which promotion the data descends from;", "CREATE SCHEMA IF NOT EXISTS watchdog"},
		{"", `CREATE TABLE IF NOT EXISTS watchdog.epoch (
    number    bigint      NOT NULL CHECK (number > 0),
    id        text        NOT NULL CHECK (id <> ''),
    node      text        NOT NULL CHECK (node <> ''),
    operation text        NOT NULL DEFAULT '',
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (number, id)
)`},
		{"the heartbeat serves the measured loss of a restored backup.", `CREATE TABLE IF NOT EXISTS watchdog.heartbeat (
    node text        PRIMARY KEY,
    at   timestamptz NOT NULL DEFAULT now()
)`},
	}
}

// role makes one role without touching the rights of others. Attributes are
// set each time, so that a second run repairs them.
func role(why, name, attributes string) []statement {
	return []statement{
		{why, fmt.Sprintf("DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '%s') THEN CREATE ROLE %s; END IF; END$$", name, name)},
		{"", fmt.Sprintf("ALTER ROLE %s LOGIN %s NOCREATEDB NOCREATEROLE NOBYPASSRLS", name, attributes)},
	}
}

func grantConnect(o Options, name string) statement {
	return statement{"", fmt.Sprintf(`GRANT CONNECT ON DATABASE "%s" TO %s`, o.Database, name)}
}

func monitor(o Options) []statement {
	return append(role("Watching. REPLICATION opens the walsender whose answers need no free connection slot.", RoleMonitor, "NOSUPERUSER REPLICATION"),
		statement{"", "GRANT pg_monitor TO " + RoleMonitor},
		grantConnect(o, RoleMonitor),
		statement{"", "GRANT USAGE ON SCHEMA watchdog TO " + RoleMonitor},
		statement{"", "GRANT SELECT ON watchdog.epoch, watchdog.heartbeat TO " + RoleMonitor},
	)
}

// act grants on functions of the catalogue: they hold in this database alone.
func act(o Options) []statement {
	attributes := "NOSUPERUSER REPLICATION" // REPLICATION: slots
	if o.ServerVersion < alterSystemVersion {
		attributes = "SUPERUSER REPLICATION"
	}
	out := append(role("Acting, on a confirmed command only. REPLICATION makes and drops slots.", RoleAct, attributes),
		statement{"", "GRANT pg_monitor TO " + RoleAct},
		grantConnect(o, RoleAct),
		statement{"", "GRANT USAGE ON SCHEMA watchdog TO " + RoleAct},
		statement{"", "GRANT SELECT, INSERT ON watchdog.epoch TO " + RoleAct},
		statement{"", "GRANT SELECT, INSERT, UPDATE ON watchdog.heartbeat TO " + RoleAct},
		statement{"", `GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean, integer), pg_catalog.pg_reload_conf(),
    pg_catalog.pg_wal_replay_pause(), pg_catalog.pg_wal_replay_resume(), pg_catalog.pg_switch_wal(),
    pg_catalog.pg_create_restore_point(text) TO ` + RoleAct},
	)
	if o.ServerVersion < alterSystemVersion {
		return out
	}
	return append(out,
		statement{"CHECKPOINT before any rewind; restore_command equals OS access as the server's user.", "GRANT pg_checkpoint TO " + RoleAct},
		statement{"", "GRANT ALTER SYSTEM ON PARAMETER primary_conninfo, restore_command, synchronous_standby_names TO " + RoleAct},
	)
}

func replicate() []statement {
	return role("Streaming. It can copy the whole data directory: limit it in pg_hba.conf to the peer.", RoleRepl, "NOSUPERUSER REPLICATION")
}

// rewind grants what pg_rewind asks of its source (PostgreSQL manual,
// pg_rewind, Notes).
func rewind(o Options) []statement {
	return append(role("Rewinding. It can read every file of the data directory.", RoleRewind, "NOSUPERUSER NOREPLICATION"),
		grantConnect(o, RoleRewind),
		statement{"", `GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean), pg_catalog.pg_stat_file(text, boolean),
    pg_catalog.pg_read_binary_file(text), pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO ` + RoleRewind},
	)
}
