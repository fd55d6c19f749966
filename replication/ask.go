package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// text is one value as the simple protocol gives it.
type text struct {
	s    string
	null bool
}

// answer is what one statement gave: rows, or the server's refusal.
type answer struct {
	rows [][]text
	err  *pgconn.PgError
}

// maxRows bounds one answer. No view that is read here comes near it.
const maxRows = 10000

// ask sends the statements in one flight, each as a message of its own (so one
// refusal spoils no other), and reads their answers. The error is of the
// connection: transport, FATAL, or ErrProtocol. A deadline that passes leaves
// the connection open with the rest of the answers still to come; see finish.
func (l *link) ask(ctx context.Context, sqls ...string) ([]answer, error) {
	for _, q := range sqls {
		l.pg.Frontend().SendQuery(&pgproto3.Query{String: q})
	}
	if err := l.pg.Frontend().Flush(); err != nil {
		return nil, fmt.Errorf("send command: %w", err)
	}
	out := make([]answer, 0, len(sqls))
	for range sqls {
		a, err := l.finish(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// finish reads one answer up to ReadyForQuery. After an expired deadline it
// may be called again to go on waiting (rows read so far are lost).
func (l *link) finish(ctx context.Context) (answer, error) {
	var a answer
	defer l.bounded(ctx)()
	for {
		msg, err := l.nextOfAnswer(ctx)
		if err != nil {
			return a, fmt.Errorf("read answer: %w", err)
		}
		switch m := msg.(type) {
		case *pgproto3.DataRow:
			if len(a.rows) >= maxRows {
				return a, fmt.Errorf("read answer: more than %d rows: %w", maxRows, ErrProtocol)
			}
			a.rows = append(a.rows, texts(m.Values))
		case *pgproto3.ErrorResponse:
			a.err = pgconn.ErrorResponseToPgError(m)
			if fatal(a.err) {
				return a, fmt.Errorf("read answer: %w", a.err)
			}
		case *pgproto3.ReadyForQuery:
			return a, nil
		case *pgproto3.RowDescription, *pgproto3.CommandComplete, *pgproto3.EmptyQueryResponse,
			*pgproto3.NoticeResponse, *pgproto3.ParameterStatus, *pgproto3.NotificationResponse:
		default:
			return a, fmt.Errorf("read answer: unexpected %T: %w", msg, ErrProtocol)
		}
	}
}

// fatal tells whether the server closes the connection after this error. The
// untranslated field exists since 9.6; class 57P ends the session in any case.
func fatal(e *pgconn.PgError) bool {
	return e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC" || len(e.Code) == 5 && e.Code[:3] == "57P"
}

// texts copies values out of pgproto3's buffer, which the next read overwrites.
func texts(values [][]byte) []text {
	out := make([]text, len(values))
	for i, v := range values {
		out[i] = text{s: string(v), null: v == nil}
	}
	return out
}

// row asks one statement that gives exactly one row of n columns.
func (l *link) row(ctx context.Context, n int, sql string) ([]text, error) {
	as, err := l.ask(ctx, sql)
	if err != nil {
		return nil, err
	}
	return as[0].one(n)
}

// exec runs one statement for its effect.
func (l *link) exec(ctx context.Context, sql string) error {
	as, err := l.ask(ctx, sql)
	if err != nil {
		return err
	}
	if as[0].err != nil {
		return as[0].err
	}
	return nil
}

// one gives the only row of the answer, checked for its width.
func (a answer) one(n int) ([]text, error) {
	if a.err != nil {
		return nil, a.err
	}
	if len(a.rows) != 1 || len(a.rows[0]) < n {
		return nil, fmt.Errorf("read answer: %d rows, want one of %d columns: %w", len(a.rows), n, ErrProtocol)
	}
	return a.rows[0], nil
}

// idle waits on the quiet connection until the context ends, the server speaks
// or the socket breaks. It returns nil when nothing happened: this is how a
// killed server is known in milliseconds. Notices and changed parameters are
// no news.
func (l *link) idle(ctx context.Context) error {
	defer l.bounded(ctx)()
	for {
		msg, err := l.next(ctx)
		if err != nil {
			if ctx.Err() != nil && (pgconn.Timeout(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
				return nil
			}
			return fmt.Errorf("wait on connection: %w", err)
		}
		switch m := msg.(type) {
		case *pgproto3.ErrorResponse:
			return fmt.Errorf("wait on connection: %w", pgconn.ErrorResponseToPgError(m))
		case *pgproto3.ParameterStatus, *pgproto3.NoticeResponse, *pgproto3.NotificationResponse:
		default:
			return fmt.Errorf("wait on connection: unexpected %T: %w", msg, ErrProtocol)
		}
	}
}
