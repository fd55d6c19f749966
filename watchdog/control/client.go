package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// defaultCall bounds a call whose context has no deadline.
const defaultCall = 10 * time.Second

// Client calls one server. It keeps connections alive and is safe for
// concurrent use; Close drops the kept ones.
type Client struct {
	node string // empty: the local service
	http *http.Client
}

// newClient makes a client whose connections come from dial, which does all
// that comes before the first byte of HTTP.
func newClient(node string, dial func(context.Context) (net.Conn, error)) *Client {
	t := &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		MaxIdleConnsPerHost: 2, IdleConnTimeout: idleLimit / 2, DisableCompression: true,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	return &Client{node: node, http: &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Node is the configured name of the other end; empty for the local service.
func (c *Client) Node() string { return c.node }

// Close drops the kept connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Call makes one call. The id fills the {id} of the path. It gives the server's
// *runbooks.Refusal, or *Unreachable when the call failed on its way.
func Call[Req, Resp any](ctx context.Context, c *Client, e Endpoint[Req, Resp], id string, req Req) (Resp, error) {
	resp, _, err := callMeasured(ctx, c, e, id, req)
	return resp, err
}

func callMeasured[Req, Resp any](ctx context.Context, c *Client, e Endpoint[Req, Resp], id string, req Req) (Resp, *progress, error) {
	var none Resp
	path, err := fillPath(e.Path, id)
	if err != nil {
		return none, nil, err
	}
	body, err := encodeBody(req)
	if err != nil {
		return none, nil, fmt.Errorf("encode request %s: %w", e.Path, err)
	}
	ctx, cancel := withDefaultDeadline(ctx)
	defer cancel()
	p := &progress{}
	answer, err := c.roundTrip(ctx, p, e.Method, path, body)
	if err != nil {
		return none, p, err
	}
	resp, err := decodeInto[Resp](answer)
	if err != nil {
		return none, p, &Unreachable{Node: c.node, Phase: PhaseBrokenAnswer, Err: fmt.Errorf("decode answer: %w", err)}
	}
	return resp, p, nil
}

func withDefaultDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, defaultCall)
}

func fillPath(path, id string) (string, error) {
	if !strings.Contains(path, "{id}") {
		return path, nil
	}
	if !idForm.MatchString(id) {
		return "", &runbooks.Refusal{
			Exit: runbooks.ExitUsage, Reason: fmt.Sprintf("malformed operation id %q", id), Hint: "watchdog ops list",
		}
	}
	return strings.Replace(path, "{id}", url.PathEscape(id), 1), nil
}

// progress is how far a request got, and when.
type progress struct {
	connected atomic.Bool  // a connection was had: bytes may have gone out
	sentAt    atomic.Int64 // see mark
	firstAt   atomic.Int64
	start     time.Time // monotonic base of both
}

func (p *progress) mark(at *atomic.Int64) { at.Store(int64(time.Since(p.start))) }

func (p *progress) trace(ctx context.Context) context.Context {
	p.start = time.Now()
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { p.connected.Store(true); p.mark(&p.sentAt) },
		WroteRequest:         func(httptrace.WroteRequestInfo) { p.mark(&p.sentAt) },
		GotFirstResponseByte: func() { p.mark(&p.firstAt) },
	})
}

// open sends a request and gives the answer's stream when its status is 200.
func (c *Client) open(ctx context.Context, p *progress, method, path string, body []byte) (*http.Response, error) {
	q, err := http.NewRequestWithContext(p.trace(ctx), method, "http://watchdog"+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("build request %s %s: %w", method, path, err)
	}
	q.Header.Set("Accept", "application/json")
	if body != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	if d, ok := ctx.Deadline(); ok {
		q.Header.Set(deadlineHeader, strconv.FormatInt(max(1, time.Until(d).Milliseconds()), 10))
	}
	resp, err := c.http.Do(q)
	if err != nil {
		return nil, c.lost(p, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := readLimited(resp.Body, maxRequestBytes)
	if err != nil {
		return nil, c.broken(fmt.Errorf("read problem: %w", err))
	}
	refusal, err := decodeProblem(b)
	if err != nil {
		return nil, c.broken(fmt.Errorf("status %d: %w", resp.StatusCode, err))
	}
	return nil, refusal
}

func (c *Client) roundTrip(ctx context.Context, p *progress, method, path string, body []byte) ([]byte, error) {
	resp, err := c.open(ctx, p, method, path, body)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := readLimited(resp.Body, maxAnswerBytes)
	if err != nil {
		return nil, c.broken(fmt.Errorf("read answer: %w", err))
	}
	return b, nil
}

// lost classifies an error of the HTTP client. Once a connection was had, bytes
// of the request may have gone out, whatever the error says.
func (c *Client) lost(p *progress, err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // without the made-up URL
	}
	if p.connected.Load() {
		return &Unreachable{Node: c.node, Phase: PhaseNoAnswer, Err: err}
	}
	return &Unreachable{Node: c.node, Phase: dialPhase(err), Err: err}
}

func (c *Client) broken(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("connection was cut: %w", err)
	}
	return &Unreachable{Node: c.node, Phase: PhaseBrokenAnswer, Err: err}
}

// Round is one measured round trip to another node.
type Round struct {
	RTT  time.Duration // request sent to first byte of the answer, without the dial
	Skew time.Duration // the other clock minus ours, uncertain by half of RTT
}

// Ping asks another node for a sign of life and measures the way there: RTT on
// our monotonic clock, skew by the round trip's midpoint.
func Ping(ctx context.Context, c *Client) (Pong, Round, error) {
	pong, p, err := callMeasured(ctx, c, NodePing, "", None{})
	if err != nil {
		return Pong{}, Round{}, err
	}
	sent, first := time.Duration(p.sentAt.Load()), time.Duration(p.firstAt.Load())
	rtt := max(0, first-sent)
	midpoint := p.start.Add(sent + rtt/2).Round(0)
	return pong, Round{RTT: rtt, Skew: pong.Clock.Sub(midpoint)}, nil
}
