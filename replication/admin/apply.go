package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrStandby is returned by Apply on a server in recovery: schema and roles are
// installed on the primary and reach the standby by replication.
var ErrStandby = errors.New("server is in recovery: run it on the primary")

// Apply installs everything on the server at dsn in one transaction: all of it
// or nothing. It may be run again. Passwords are sent as SCRAM verifiers, so a
// server that logs its statements logs no clear text.
func Apply(ctx context.Context, dsn string, o Options) (err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("install schema and roles: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var standby bool
	err = conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_database(), pg_is_in_recovery()").
		Scan(&o.ServerVersion, &o.Database, &standby)
	if err != nil {
		return fmt.Errorf("install schema and roles: read server: %w", err)
	}
	if standby {
		return fmt.Errorf("install schema and roles: %w", ErrStandby)
	}
	sts, err := statements(o)
	if err != nil {
		return err
	}
	passwords, err := passwordStatements(o)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, s := range append(sts, passwords...) {
			if _, err := tx.Exec(ctx, s.sql, pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("install schema and roles: %s: %w", s.name(), err)
			}
		}
		return nil
	})
}

// name gives the head of a statement for messages; never a password, which
// stands at the end.
func (s statement) name() string {
	const head = 48
	if len(s.sql) <= head {
		return s.sql
	}
	return s.sql[:head] + " ..."
}

func passwordStatements(o Options) ([]statement, error) {
	var out []statement
	for _, role := range Roles() {
		file, ok := o.PasswordFiles[role]
		if !ok || file == "" {
			continue
		}
		verifier, err := verifierFromFile(file)
		if err != nil {
			return nil, fmt.Errorf("install password of %s: %w", role, err)
		}
		out = append(out, statement{"", fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", role, verifier)})
	}
	return out, nil
}
