package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Limits of one connection. The pages are small and come from memory: whoever
// needs longer only holds a descriptor.
const (
	headerTimeout = 2 * time.Second
	readTimeout   = 5 * time.Second
	writeTimeout  = 10 * time.Second
	idleTimeout   = 30 * time.Second
	maxHeader     = 16 << 10
	stopTimeout   = time.Second
	// healthyRounds is how many intervals the loop may be late before
	// /-/healthy says so.
	healthyRounds = 3
)

// Registry takes the metrics and gives them out; *prometheus.Registry is one.
type Registry interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// Options set up a Server; Source and Registry are required.
type Options struct {
	Source   Source
	Registry Registry
	Build    Build
	Now      func() time.Time // nil: time.Now
	Log      *zap.Logger      // nil: silent
}

// Server answers the pages.
type Server struct {
	o Options
}

// New registers the metrics.
func New(o Options) (*Server, error) {
	if o.Source == nil || o.Registry == nil {
		return nil, errors.New("set up web server: source and registry are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if err := o.Registry.Register(newCollector(o)); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return &Server{o: o}, nil
}

// Run serves on the listener until ctx ends, closes it, and returns nil then.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: zap.NewStdLog(s.o.Log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve web pages: %w", err)
	case <-ctx.Done():
	}
	sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if srv.Shutdown(sctx) != nil {
		_ = srv.Close() // a reader that does not end must not hold up the stop
	}
	<-done // always http.ErrServerClosed by now
	return nil
}

// Handler gives the pages.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(s.o.Registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: readTimeout}))
	mux.HandleFunc("/-/healthy", s.healthy)
	mux.HandleFunc("/-/ready", s.ready)
	mux.HandleFunc("/primary", s.serving(replication.RolePrimary))
	mux.HandleFunc("/replica", s.serving(replication.RoleStandby))
	mux.HandleFunc("/api/v1/status", s.status)
	return guard(mux)
}

// guard refuses what could change something and sets the headers of a page
// that nobody may embed, cache or guess about.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "read-only: GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// healthy says whether the loop still turns: a process that is up proves nothing.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) {
	h := s.o.Source.Health()
	late := s.o.Now().Sub(h.Round)
	switch {
	case h.Round.IsZero():
		say(w, http.StatusServiceUnavailable, "no round has been completed yet")
	case late > healthyRounds*h.Interval:
		say(w, http.StatusServiceUnavailable, fmt.Sprintf("the last round was completed %s ago, want every %s", view.Span(late), view.Span(h.Interval)))
	default:
		say(w, http.StatusOK, fmt.Sprintf("the last round was completed %s ago", view.Span(max(0, late))))
	}
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if why := s.o.Source.Health().NotReady; why != "" {
		say(w, http.StatusServiceUnavailable, why)
		return
	}
	say(w, http.StatusOK, "ready")
}

// serving answers a load balancer: 200 when the own server has the role by
// fresh evidence, 503 in every other case, unknown included.
func (s *Server) serving(want replication.Role) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		got := view.Serves(s.o.Source.View())
		switch {
		case got.Role == want:
			say(w, http.StatusOK, got.Why)
		case got.Role == replication.RoleUnknown:
			say(w, http.StatusServiceUnavailable, "not "+want.String()+": "+got.Why)
		default:
			say(w, http.StatusServiceUnavailable, fmt.Sprintf("not %s: this is the %s", want, got.Role))
		}
	}
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	b, err := json.Marshal(s.o.Source.Status())
	if err != nil {
		s.o.Log.Error("status not encodable", zap.Error(err))
		say(w, http.StatusInternalServerError, "the status cannot be encoded")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // the reader went away
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text + "\n")) // the reader went away
}
