package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

const (
	// headerLimit closes connections that dribble their header (or, on the
	// node API, their handshake).
	headerLimit = 5 * time.Second
	// idleLimit closes kept connections that nobody uses.
	idleLimit = 2 * time.Minute
	// stopGrace is what a running call gets to finish after the server was
	// told to stop; the service must be gone within 5 s of SIGTERM.
	stopGrace = 2 * time.Second
	// maxHeaderBytes: our requests have a handful of short headers.
	maxHeaderBytes = 16 << 10
)

// hardStop is the context value that ends calls which survive their caller.
type hardStop struct{}

// serve answers on l until ctx ends, then stops: reading calls and streams at
// once, acting calls after stopGrace. Every handler has returned when it does,
// save those that ignore their context for another stopGrace.
func serve(ctx context.Context, l net.Listener, r *Router, connContext func(context.Context, net.Conn) context.Context) error {
	hard, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	srv := &http.Server{
		Handler: r, ReadHeaderTimeout: headerLimit, IdleTimeout: idleLimit, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return context.WithValue(ctx, hardStop{}, hard) },
		ConnContext: connContext,
		// net/http has its own opinions on bad clients; ours are logged by
		// the listener, rate limited.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	select {
	case err := <-served:
		kill()
		_ = srv.Close()
		r.join()
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	soft, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	err := srv.Shutdown(soft)
	kill()
	if err != nil {
		_ = srv.Close()
	}
	<-served // always http.ErrServerClosed by now
	r.join()
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop serving %s: %w", l.Addr(), err)
	}
	return nil
}

// join waits for running handlers, whose contexts have ended.
func (r *Router) join() {
	done := make(chan struct{})
	go func() { r.flights.Wait(); close(done) }()
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
		r.log.Error("calls still running although the server has stopped", zap.Duration("waited", stopGrace))
	}
}
