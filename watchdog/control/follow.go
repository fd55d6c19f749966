package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/runbooks"
)

const (
	// heartbeatEvery is how often a quiet stream sends a blank line, so that
	// both ends notice when the other is gone.
	heartbeatEvery = 10 * time.Second
	// streamQuiet is how long a follower waits for a sign of life.
	streamQuiet = 3 * heartbeatEvery
)

// Following sends an operation's records through send, past ones first, and
// returns when the operation is closed or ctx ends. It must not call send after
// it has returned.
type Following func(ctx context.Context, by Caller, id string, send func(runbooks.Record) error) error

// HandleFollow registers the stream of FollowPath: one record per line, blank
// lines as heartbeat. An error before the first record is answered as a Problem;
// after it the connection is cut, so that the follower does not take the end of
// the stream for the end of the operation.
func HandleFollow(r *Router, f Following) {
	r.mux.HandleFunc("GET "+FollowPath, func(w http.ResponseWriter, q *http.Request) {
		by, id, err := r.admit(w, q, FollowPath)
		if err != nil {
			return
		}
		ctx, cancel := context.WithCancel(q.Context())
		defer cancel()
		s := &stream{w: w, control: http.NewResponseController(w), every: heartbeatEvery}
		var beat sync.WaitGroup
		beat.Go(func() { s.beat(ctx, cancel) })
		_, err = guarded(r.log, false, func() (None, error) { return None{}, f(ctx, by, id, s.send) })
		cancel()
		beat.Wait()
		s.end(r.log, err)
	})
}

// stream writes records and heartbeats to one follower.
type stream struct {
	control *http.ResponseController
	every   time.Duration

	mu    sync.Mutex
	w     http.ResponseWriter
	begun bool
}

func (s *stream) write(line []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(bodyLimit)) // a recorder in a test has none
	if _, err := s.w.Write(line); err != nil {
		return fmt.Errorf("write to follower: %w", err)
	}
	if err := s.control.Flush(); err != nil {
		return fmt.Errorf("write to follower: %w", err)
	}
	return nil
}

func (s *stream) send(rec runbooks.Record) error {
	b, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	return s.write(append(b, '\n'))
}

// beat sends blank lines until ctx ends; it ends the stream when nobody reads.
func (s *stream) beat(ctx context.Context, cancel context.CancelFunc) {
	t := time.NewTicker(s.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if s.write([]byte("\n")) != nil {
				cancel()
				return
			}
		}
	}
}

func (s *stream) end(log *zap.Logger, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil && !s.begun:
		s.w.Header().Set("Content-Type", "application/x-ndjson")
		s.w.WriteHeader(http.StatusOK)
	case err == nil:
	case !s.begun:
		p := problemFrom(err, false)
		writeProblem(s.w, p, p.status())
	default:
		if !errors.Is(err, context.Canceled) {
			log.Info("stream broken off", zap.NamedError("err", err))
		}
		panic(http.ErrAbortHandler) // net/http's way to cut a connection
	}
}

// Follow gives each record of an operation to each, past ones first, until the
// operation is closed (nil), each gives an error, or ctx ends. A stream that was
// cut, or is silent for three heartbeats, gives *Unreachable.
func (c *Client) Follow(ctx context.Context, id string, each func(runbooks.Record) error) error {
	path, err := fillPath(FollowPath, id)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(streamQuiet, func() {
		cancel(fmt.Errorf("no sign of life for %s: %w", streamQuiet, context.DeadlineExceeded))
	})
	defer quiet.Stop()
	resp, err := c.open(ctx, &progress{}, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxRequestBytes)
	for lines.Scan() {
		quiet.Reset(streamQuiet)
		if err := c.followLine(lines.Bytes(), each); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return c.broken(fmt.Errorf("follow operation: %w", err))
	}
	return nil
}

func (c *Client) followLine(line []byte, each func(runbooks.Record) error) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	var rec runbooks.Record
	if err := decodeJSON(line, &rec); err != nil {
		return c.broken(fmt.Errorf("decode record: %w", err))
	}
	return each(rec)
}
