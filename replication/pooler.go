package replication

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// ErrPooler is returned when something between us and the server hands out
// sessions: what one answer says is then of one server, and the next may be of
// another, and a role is nobody's.
var ErrPooler = errors.New("a connection pooler answers in the server's place")

// sqlBackend asks a session for its own process. A server gives the same number
// with the key for cancel requests at the login (PostgreSQL manual, 55.2.8); a
// pooler gives out keys of its own.
const sqlBackend = "SELECT pg_backend_pid()"

// direct compares the two numbers, once per connection. What is not told (a
// refusal, no key at all) proves nothing and passes.
func (l *link) direct(a answer) error {
	cols, err := a.one(1)
	if err != nil || l.pg.PID() == 0 {
		return nil //nolint:nilerr // nothing is told
	}
	pid, err := strconv.ParseUint(cols[0].s, 10, 32)
	if err != nil {
		return nil //nolint:nilerr // nothing is told
	}
	if uint32(pid) != l.pg.PID() {
		return fmt.Errorf("login gave process %d, the session runs in %d: %w", l.pg.PID(), pid, ErrPooler)
	}
	l.proven = true
	return nil
}

// checkDirect asks where no other question goes along.
func (l *link) checkDirect(ctx context.Context) error {
	if l.proven {
		return nil
	}
	as, err := l.ask(ctx, sqlBackend)
	if err != nil {
		return err
	}
	return l.direct(as[0])
}
