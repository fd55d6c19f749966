package replication

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

func TestPatience_LateWaking_WidensAndIsForgotten(t *testing.T) {
	const deadline = 500 * time.Millisecond
	now := time.Now()
	var p patience
	for _, c := range []struct {
		late, want time.Duration
	}{
		{0, deadline}, {10 * time.Millisecond, deadline}, {-time.Hour, deadline}, // a wall clock is not asked
		{200 * time.Millisecond, 900 * time.Millisecond},
		{0, 700 * time.Millisecond}, {0, 600 * time.Millisecond}, {0, 550 * time.Millisecond}, {0, deadline},
		{time.Hour, 5 * deadline}, // bounded: a server that is gone is still found
	} {
		p.woke(now, now.Add(c.late))
		if got := p.widen(deadline); got != c.want {
			t.Errorf("woken %s late: deadline %s, want %s", c.late, got, c.want)
		}
	}
}

// answering serves one connection: it logs in, waits for one query, answers it
// if it may, and says that the answer is on its way.
func answering(t *testing.T, answer bool) (Target, <-chan struct{}) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sent, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := pgproto3.NewBackend(c, c)
		if _, err := b.ReceiveStartupMessage(); err != nil {
			return
		}
		b.Send(&pgproto3.AuthenticationOk{})
		b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		_ = b.Flush()
		if _, err := b.Receive(); err != nil {
			return
		}
		if answer {
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 0")})
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
			_ = b.Flush()
		}
		close(sent)
		_, _ = b.Receive() // until the other end goes
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return Target{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, User: "x", Database: "x", SSLMode: "disable"}, sent
}

// A process that was stopped finds its deadline passed and the answer in its
// socket: the server was not late. One that is silent is still found.
func TestAsk_DeadlineNoticedLate_WhatHasComeCounts(t *testing.T) {
	for name, answer := range map[string]bool{"answer lies in the socket": true, "silence": false} {
		t.Run(name, func(t *testing.T) {
			target, sent := answering(t, answer)
			l, _, err := connect(t.Context(), target, modeOrdinary, newWire(0))
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			l.pg.Frontend().SendQuery(&pgproto3.Query{String: "x"})
			if err := l.pg.Frontend().Flush(); err != nil {
				t.Fatal(err)
			}
			<-sent
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-200*time.Millisecond))
			defer cancel()
			_, err = l.finish(ctx)
			if answer && err != nil {
				t.Errorf("an answer that came in time is lost: %v", err)
			}
			if v, cause := Classify(err, PhaseQuery); !answer && (v != VerdictHung || cause != CauseTimeout || !errors.Is(ctx.Err(), context.DeadlineExceeded)) {
				t.Errorf("silence is %s (%s): %v", v, cause, err)
			}
		})
	}
}

// The service stops: a read ends at once and is no finding about the server.
func TestAsk_ContextIsCancelled_EndsAtOnce(t *testing.T) {
	target, sent := answering(t, false)
	l, _, err := connect(t.Context(), target, modeOrdinary, newWire(0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	go func() { <-sent; cancel() }()
	began := time.Now()
	if _, err := l.ask(ctx, "x"); err == nil || ctx.Err() == nil || time.Since(began) > 30*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}
