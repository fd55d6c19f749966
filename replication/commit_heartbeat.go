package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// HeartbeatPeriod is how often a commit probe renews its heartbeat row (DESIGN
// section 3): it bounds how well the age of restored data can be told.
const HeartbeatPeriod = time.Minute

// beat is the heartbeat row of a commit probe; without a node there is none.
type beat struct {
	node string
	next time.Time
}

// Heartbeat makes the probe renew the row of node in watchdog.heartbeat, about
// once per HeartbeatPeriod and right after a pair of commits that ended, so under
// the same conditions. A server without the table, or a role without the rights,
// goes on without. Not to be called while Probe runs.
func (p *CommitProbe) Heartbeat(node string) { p.beat = beat{node: node} }

// sqlMayBeat looks before it writes: an installation older than the table must
// not get an error into its log every minute.
const sqlMayBeat = `SELECT count(*) > 0 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'watchdog' AND c.relname = 'heartbeat' AND has_schema_privilege(n.oid, 'USAGE')
 AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')`

// sqlBeat gives the statement. It waits for no lock: a row that somebody holds
// must not look like a disk that stands still.
func sqlBeat(node string) string {
	return fmt.Sprintf(`SET synchronous_commit = local; SET lock_timeout = '200ms';
 INSERT INTO watchdog.heartbeat (node, at) VALUES (%s, clock_timestamp()) ON CONFLICT (node) DO UPDATE SET at = excluded.at`, quoteLiteral(node))
}

// heartbeat renews the row when it is time. ok is false only when the
// connection was lost or the commit did not end: a refusal of this one statement
// says nothing about commits, which the pair before it has just proven.
func (p *CommitProbe) heartbeat(ctx context.Context) (r CommitResult, ok bool) {
	if p.beat.node == "" || time.Now().Before(p.beat.next) {
		return CommitResult{}, true
	}
	p.beat.next = time.Now().Add(HeartbeatPeriod)
	ctx, cancel := context.WithTimeout(ctx, p.deadline)
	defer cancel()
	cols, err := p.link.row(ctx, 1, sqlMayBeat)
	if err != nil {
		return p.unbeaten(err, VerdictHung)
	}
	if cols[0].s != "t" {
		return CommitResult{}, true
	}
	if err = p.send(sqlBeat(p.beat.node)); err == nil {
		err = p.receive(ctx)
	}
	if err != nil {
		return p.unbeaten(err, VerdictStorageStalled)
	}
	return CommitResult{}, true
}

func (p *CommitProbe) unbeaten(err error, stalled Verdict) (CommitResult, bool) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !fatal(pg) {
		return CommitResult{}, true
	}
	return p.broken(err, stalled), false
}
