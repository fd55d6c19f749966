package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

const healthTable = `CREATE TABLE IF NOT EXISTS app_health (
	app text PRIMARY KEY, token text NOT NULL,
	written_at timestamptz NOT NULL DEFAULT clock_timestamp())`

// undefinedTable is SQLSTATE 42P01.
const undefinedTable = "42P01"

// write commits a token that nobody could guess and reads it back in the same
// session: neither a cache nor an old row can stand in for the database.
func (a *App) write(ctx context.Context) error {
	token := rand.Text()
	err := a.upsert(ctx, token)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == undefinedTable {
		// Only now, because IF NOT EXISTS asks for the right to create even where
		// the table is there, and an administrator may have made it beforehand.
		if _, err := a.conn.Exec(ctx, healthTable); err != nil {
			return fmt.Errorf("table app_health does not exist, and making it: %w", err)
		}
		err = a.upsert(ctx, token)
	}
	if err != nil {
		return err
	}
	var read string
	if err := a.conn.QueryRow(ctx, "SELECT token FROM app_health WHERE app = $1", a.options.Name).Scan(&read); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if read != token {
		return fmt.Errorf("read back another row than was written; does a second application run as %q?", a.options.Name)
	}
	return nil
}

func (a *App) upsert(ctx context.Context, token string) error {
	_, err := a.conn.Exec(ctx, `INSERT INTO app_health (app, token) VALUES ($1, $2)
		ON CONFLICT (app) DO UPDATE SET token = excluded.token, written_at = clock_timestamp()`, a.options.Name, token)
	return err
}
