package replication

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// bounded lets reads of the link end with ctx until the caller says over. What
// pgconn does for the same purpose starts a goroutine for every message; an
// answer is four of them, and a service that probes all day is mostly that.
func (l *link) bounded(ctx context.Context) (over func()) {
	raw := l.socket()
	end, _ := ctx.Deadline() // the zero time bounds nothing
	_ = raw.SetReadDeadline(end)
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(fired)
		if errors.Is(ctx.Err(), context.Canceled) {
			_ = raw.SetReadDeadline(time.Unix(1, 0)) // a read under way ends at once
		}
	})
	return func() {
		if !stop() {
			<-fired
		}
		_ = raw.SetReadDeadline(time.Time{}) // fails on a closed socket only, which the next read tells
	}
}

func (l *link) socket() net.Conn {
	l.wire.mu.Lock()
	defer l.wire.mu.Unlock()
	return l.wire.raw
}

// next reads one message within what bounded set. When it gave up because ctx
// ended, ctx.Err() says so: the socket's clock may be a moment before ctx's.
func (l *link) next(ctx context.Context) (pgproto3.BackendMessage, error) {
	msg, err := l.pg.ReceiveMessage(context.Background())
	if errors.Is(err, os.ErrDeadlineExceeded) { // ours, not the kernel's ETIMEDOUT
		<-ctx.Done()
	}
	return msg, err
}

// nextOfAnswer is next for an answer that was asked for: when the deadline itself
// is noticed late, what lies in the socket has come in time and is read.
func (l *link) nextOfAnswer(ctx context.Context) (pgproto3.BackendMessage, error) {
	msg, err := l.next(ctx)
	end, bounded := ctx.Deadline()
	if !errors.Is(err, os.ErrDeadlineExceeded) || !bounded || errors.Is(ctx.Err(), context.Canceled) {
		return msg, err
	}
	now := time.Now()
	more := secondLook(end, now)
	if more == 0 {
		return msg, err
	}
	_ = l.socket().SetReadDeadline(now.Add(more))
	return l.next(ctx)
}
