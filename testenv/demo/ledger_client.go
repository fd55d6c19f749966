package demo

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// client is one writer of the ledger with at most one session.
type client struct {
	ledger *Ledger
	id     int
	dial   dial
	conn   *pgx.Conn
	node   string // of the session
	seq    int64
}

func (c *client) run(ctx context.Context) {
	defer c.hangUp()
	for ctx.Err() == nil {
		if c.conn == nil {
			c.call(ctx)
		}
		if c.conn != nil {
			c.insert(ctx)
		}
		pause(ctx, c.ledger.options.Every)
	}
}

func (c *client) call(ctx context.Context) {
	conn, node, err := c.dial(ctx)
	if err != nil {
		return // nothing was sent, so there is nothing to record
	}
	c.conn, c.node = conn, node
	if c.node != "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.ledger.options.Timeout)
	defer cancel()
	if err := conn.QueryRow(ctx, "SELECT current_setting('cluster_name')").Scan(&c.node); err != nil {
		c.hangUp()
	}
}

// insert writes one row and records what is known of it. A row has a number of
// its own whatever becomes of it; it is never tried again.
func (c *client) insert(ctx context.Context) {
	c.seq++
	e := LedgerEntry{Client: c.id, Seq: c.seq, Node: c.node, Begin: c.ledger.now()}
	// Not bound to ctx: the end of the ledger lets the last insert end.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ledger.options.Timeout)
	defer cancel()
	_, err := c.conn.Exec(limited, "INSERT INTO ledger (client, seq) VALUES ($1, $2)", c.id, c.seq)
	e.End = c.ledger.now()
	e.Result = classify(err)
	if err != nil {
		e.Error = err.Error()
		c.hangUp()
	}
	c.ledger.add(e)
}

// classify tells a refused insert from one whose fate is open. An ERROR ends
// the transaction. A FATAL does not say so: a server that shuts down ends a
// session that waits for its synchronous standby after the commit.
func classify(err error) Result {
	if err == nil {
		return ResultAcked
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.SeverityUnlocalized == "ERROR" || pgconn.SafeToRetry(err) {
		return ResultFailed
	}
	return ResultUnknown
}

func (c *client) hangUp() {
	if c.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = c.conn.Close(ctx) // the session is given up either way
	c.conn = nil
}

// pause waits, or less when the context ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
