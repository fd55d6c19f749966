package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/runbooks"
)

const (
	// bodyLimit is how long a caller may take to send its body, and to take
	// our answer off the wire.
	bodyLimit = 10 * time.Second
	// callLimit bounds a handler whose caller named no deadline.
	callLimit = 30 * time.Second
	// longestCall bounds what a caller may ask for: a seal waits for a clean
	// stop of PostgreSQL, which may checkpoint for minutes.
	longestCall = 15 * time.Minute
	// deadlineHeader carries the caller's remaining time in milliseconds, so
	// that a handler does not work on for somebody who has given up.
	deadlineHeader = "Watchdog-Deadline-Ms"
)

// idForm is the form of an {id}. Ids become file names in the journal, so that
// nothing else may reach a handler.
var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`)

// Router holds the calls that a server answers. Register all of them before the
// server runs. One Router serves one server: the local and the node API are
// apart, so that a node cannot reach what is meant for operators.
type Router struct {
	mux     *http.ServeMux
	log     *zap.Logger
	flights sync.WaitGroup
}

// NewRouter makes a Router without calls.
func NewRouter(log *zap.Logger) *Router {
	return &Router{mux: http.NewServeMux(), log: log}
}

// Handler does what one endpoint is for. The id is the {id} of the path, empty
// when the path has none. An error that wraps a *runbooks.Refusal reaches the
// caller as that refusal.
type Handler[Req, Resp any] func(ctx context.Context, by Caller, id string, req Req) (Resp, error)

// Handle registers f for e. The context of a GET ends when the caller leaves;
// that of any other method does not, since an act stopped half-way is worse
// than one nobody waits for: it ends at the caller's deadline, or with the
// server.
func Handle[Req, Resp any](r *Router, e Endpoint[Req, Resp], f Handler[Req, Resp]) {
	r.mux.HandleFunc(e.Method+" "+e.Path, func(w http.ResponseWriter, q *http.Request) {
		by, id, err := r.admit(w, q, e.Path)
		if err != nil {
			return
		}
		body, err := takeBody(w, q)
		if err != nil {
			refuseBody(w, err)
			return
		}
		req, err := decodeInto[Req](body)
		if err != nil {
			writeProblem(w, Problem{V: 1, Exit: runbooks.ExitUsage, Reason: "decode request: " + err.Error()}, http.StatusBadRequest)
			return
		}
		acts := e.Method != http.MethodGet
		ctx, cancel := callContext(q, acts)
		defer cancel()
		resp, err := guarded(r.log, acts, func() (Resp, error) { return f(ctx, by, id, req) })
		r.audit(q, by, acts, err)
		answer(w, resp, err, acts)
	})
}

// ServeHTTP answers one request.
func (r *Router) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.flights.Add(1)
	defer r.flights.Done()
	if _, pattern := r.mux.Handler(q); pattern == "" {
		writeProblem(w, Problem{
			V: 1, Exit: runbooks.ExitUsage,
			Reason: fmt.Sprintf("no such call: %s %s", q.Method, q.URL.Path),
			Hint:   "watchdog version",
		}, http.StatusNotFound)
		return
	}
	r.mux.ServeHTTP(w, q)
}

// admit proves the caller before a byte of the body is read. It has answered
// when it gives an error.
func (r *Router) admit(w http.ResponseWriter, q *http.Request, path string) (Caller, string, error) {
	by, err := peerOf(q.Context())
	if err != nil {
		r.log.Warn("caller refused", zap.String("call", q.URL.Path), zap.NamedError("err", err))
		writeProblem(w, Problem{V: 1, Exit: runbooks.ExitRefused, Gate: "caller", Reason: err.Error()}, http.StatusForbidden)
		return Caller{}, "", err
	}
	if !strings.Contains(path, "{id}") {
		return by, "", nil
	}
	id := q.PathValue("id")
	if !idForm.MatchString(id) {
		err := errors.New("malformed operation id")
		writeProblem(w, Problem{V: 1, Exit: runbooks.ExitUsage, Reason: err.Error(), Hint: "watchdog ops list"}, http.StatusBadRequest)
		return Caller{}, "", err
	}
	return by, id, nil
}

// takeBody reads the whole body under a deadline of its own. The server-wide
// ReadTimeout would not do: its deadline stays on the connection and cancels
// handlers that work longer than it.
func takeBody(w http.ResponseWriter, q *http.Request) ([]byte, error) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyLimit)) // a recorder in a test has none
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	if q.ContentLength > maxRequestBytes {
		return nil, fmt.Errorf("%w: limit %d bytes", errTooLarge, maxRequestBytes)
	}
	return readLimited(q.Body, maxRequestBytes)
}

func refuseBody(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if errors.Is(err, errTooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	w.Header().Set("Connection", "close") // what is left of the body is not read
	writeProblem(w, Problem{V: 1, Exit: runbooks.ExitUsage, Reason: "read request: " + err.Error()}, status)
}

// callContext gives the handler's context: see Handle.
func callContext(q *http.Request, acts bool) (context.Context, context.CancelFunc) {
	ctx := q.Context()
	limit := callLimit
	if ms, err := strconv.ParseInt(q.Header.Get(deadlineHeader), 10, 64); err == nil && ms > 0 {
		limit = longestCall
		if ms < longestCall.Milliseconds() {
			limit = time.Duration(ms) * time.Millisecond
		}
	}
	if !acts {
		return context.WithTimeout(ctx, limit)
	}
	hard, _ := ctx.Value(hardStop{}).(context.Context)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	if hard == nil {
		return ctx, cancel
	}
	unhook := context.AfterFunc(hard, cancel)
	return ctx, func() { unhook(); cancel() }
}

// guarded turns a panic of a handler into an error: one broken call must not
// end the service that watches the databases.
func guarded[Resp any](log *zap.Logger, acts bool, f func() (Resp, error)) (resp Resp, err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		log.Error("handler panicked", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		refusal := &runbooks.Refusal{Exit: runbooks.ExitFailed, Reason: fmt.Sprintf("internal error: %v", p)}
		if acts {
			refusal.Exit, refusal.Hint = runbooks.ExitUnknown, "watchdog ops list"
		}
		err = refusal
	}()
	return f()
}

// audit writes one line per call that acts.
func (r *Router) audit(q *http.Request, by Caller, acts bool, err error) {
	if !acts {
		return
	}
	fields := []zap.Field{zap.String("call", q.URL.Path), zap.Stringer("caller", by)}
	if err != nil {
		r.log.Info("call refused or failed", append(fields, zap.NamedError("err", err))...)
		return
	}
	r.log.Info("call done", fields...)
}

func answer(w http.ResponseWriter, resp any, err error, acts bool) {
	c := http.NewResponseController(w)
	_ = c.SetWriteDeadline(time.Now().Add(bodyLimit))
	defer func() { _ = c.SetWriteDeadline(time.Time{}) }()
	if err != nil {
		p := problemFrom(err, acts)
		writeProblem(w, p, p.status())
		return
	}
	b, err := json.Marshal(resp)
	if err != nil {
		p := problemFrom(fmt.Errorf("encode answer: %w", err), acts)
		if acts {
			p.Exit = runbooks.ExitUnknown // it was done, and we cannot say how
		}
		writeProblem(w, p, p.status())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // a caller that left needs no answer
}
