package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// HealthPath is where the toy application answers for its health.
const HealthPath = "/api/health"

// AppOptions say where the toy application listens and what it lives on.
type AppOptions struct {
	Listen string // default 127.0.0.1 and a free port
	DSN    string // see MultiDSN
	// Write makes every answer about health rest on a row that was written and
	// read back, and not only on the database's word that it could be.
	Write bool
	// Name is the key of that row, default "app": applications with names of
	// their own do not wait for each other's row.
	Name string
}

// healthLimit bounds one answer about health. It leaves a client that allows
// two seconds the time to read the reason.
const healthLimit = 1800 * time.Millisecond

// App is a toy application with one endpoint: health, which is good only when
// its database answered just now and accepts writes.
type App struct {
	listener net.Listener
	options  AppOptions

	mu   sync.Mutex // one request at a time uses the session
	conn *pgx.Conn
}

// Health is the body of the health endpoint.
type Health struct {
	OK       bool   `json:"ok"`
	Database string `json:"database,omitempty"` // node that answered
	Error    string `json:"error,omitempty"`
}

// NewApp listens; the database is asked at the first request.
func NewApp(ctx context.Context, o AppOptions) (*App, error) {
	setDefault(&o.Listen, "127.0.0.1:0")
	setDefault(&o.Name, "app")
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the application: %w", err)
	}
	return &App{listener: l, options: o}, nil
}

// URL is the application's address, without a path.
func (a *App) URL() string { return "http://" + a.listener.Addr().String() }

// Run serves until the context ends, and then takes at most two seconds, a
// database that hangs included.
func (a *App) Run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+HealthPath, a.health)
	requests, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return requests }}
	over := make(chan error, 1)
	go func() { over <- server.Serve(a.listener) }()
	select {
	case err := <-over:
		return fmt.Errorf("serve the application: %w", err)
	case <-ctx.Done():
	}
	defer time.AfterFunc(time.Second, abandon).Stop()
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthLimit)
	defer cancel()
	err := server.Shutdown(limited)
	if serveErr := <-over; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hangUp()
	return err
}

func (a *App) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthLimit)
	defer cancel()
	h := Health{}
	node, err := a.ask(ctx)
	status := http.StatusOK
	if err != nil {
		status = http.StatusServiceUnavailable
		h.Error = err.Error()
	} else {
		h.OK, h.Database = true, node
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(h) // the client has gone away
}

// ask queries the database over the kept session, once more over a new one
// when the kept one turns out to be broken.
func (a *App) ask(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		node, err := a.query(ctx)
		if err == nil {
			return node, nil
		}
		a.hangUp()
	}
	config, err := pgx.ParseConfig(a.options.DSN)
	if err != nil {
		return "", fmt.Errorf("read connection string: %w", err)
	}
	config.ConnectTimeout = 500 * time.Millisecond
	if a.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		a.conn = nil
		return "", fmt.Errorf("connect to the database: %w", err)
	}
	node, err := a.query(ctx)
	if err != nil {
		a.hangUp()
	}
	return node, err
}

func (a *App) query(ctx context.Context) (string, error) {
	var node string
	var readOnly bool
	err := a.conn.QueryRow(ctx, `SELECT coalesce(nullif(current_setting('cluster_name'), ''), host(inet_server_addr()), 'unnamed'),
		current_setting('transaction_read_only')::bool`).Scan(&node, &readOnly)
	if err != nil {
		return "", fmt.Errorf("query the database: %w", err)
	}
	if readOnly {
		return "", fmt.Errorf("database %s is read-only", node)
	}
	if a.options.Write {
		if err := a.write(ctx); err != nil {
			return "", fmt.Errorf("write to database %s: %w", node, err)
		}
	}
	return node, nil
}

func (a *App) hangUp() {
	if a.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = a.conn.Close(ctx) // the session is given up either way
	a.conn = nil
}
