package replication

import (
	"context"
	"fmt"
	"strconv"
)

// Burden is what stands in the way of a clean stop or a change of roles and
// costs more to read than a probe may: it is looked at once a minute at most.
// The zero value is no answer; LookBurden gives -1 for what it may not see.
type Burden struct {
	// Backups counts base backups that are being taken from the server now; -1
	// when not known (PostgreSQL: pg_stat_progress_basebackup).
	Backups int
	// ArchiveReady counts WAL files that wait to be archived: a server that
	// stops waits until all of them are; -1 when not known (PostgreSQL:
	// pg_ls_archive_statusdir, for pg_monitor).
	ArchiveReady int
}

const (
	sqlBackups      = `SELECT count(*) FROM pg_stat_progress_basebackup`
	sqlArchiveReady = `SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'`
)

// LookBurden asks a server over a walsender session of its own, which takes no
// connection slot and holds up no shutdown, as t's role (pg_monitor). What the
// server refuses to tell is -1 and no error.
func LookBurden(ctx context.Context, t Target) (Burden, error) {
	l, _, err := connect(ctx, t, modeWalsender, newWire(0))
	if err != nil {
		return Burden{}, fmt.Errorf("look at burden: %w", err)
	}
	defer l.close()
	as, err := l.ask(ctx, sqlBackups, sqlArchiveReady)
	if err != nil {
		return Burden{}, fmt.Errorf("look at burden of %s: %w", t.Address(), err)
	}
	return Burden{Backups: countOf(as[0]), ArchiveReady: countOf(as[1])}, nil
}

// countOf reads the one number of an answer; -1 when it is none.
func countOf(a answer) int {
	cols, err := a.one(1)
	if err != nil {
		return -1
	}
	n, err := strconv.Atoi(cols[0].s)
	if err != nil || n < 0 {
		return -1
	}
	return n
}
