package observe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Bounds of one application probe: a broken application must not cost us
// memory, and its health endpoint must not send us elsewhere.
const (
	maxAppBody      = 64 << 10
	maxAppRedirects = 3
)

// AppAnswer is what one application probe gave.
type AppAnswer struct {
	OK     bool
	Status int    // HTTP status; 0 when no answer came
	Reason string // in words, when not OK
}

// AppOptions set up an application probe.
type AppOptions struct {
	URL          string
	Status       int    // wanted HTTP status; 0: 200
	BodyContains string // must stand in the first 64 KiB; empty accepts any body
}

// AppProbe asks the application's health endpoint: GET, no proxy, no kept
// connection (a new one is what a user makes), at most 3 redirects, and those
// on the same host only.
type AppProbe struct {
	o      AppOptions
	client *http.Client
}

// NewAppProbe checks the options.
func NewAppProbe(o AppOptions) (*AppProbe, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("set up application probe: %q is not an http or https URL", o.URL)
	}
	if o.Status == 0 {
		o.Status = http.StatusOK
	}
	return &AppProbe{o: o, client: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxAppBody},
		CheckRedirect: sameHost,
	}}, nil
}

var (
	errForeignHost = errors.New("redirect to another host is not followed")
	errRedirects   = fmt.Errorf("more than %d redirects", maxAppRedirects)
)

func sameHost(r *http.Request, via []*http.Request) error {
	if r.URL.Host != via[0].URL.Host {
		return errForeignHost
	}
	if len(via) > maxAppRedirects {
		return errRedirects
	}
	return nil
}

// Ask makes one probe. The deadline is that of ctx, and covers the body.
func (p *AppProbe) Ask(ctx context.Context) AppAnswer {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.o.URL, nil)
	if err != nil {
		return AppAnswer{Reason: err.Error()}
	}
	req.Header.Set("User-Agent", "pg-watchdog")
	resp, err := p.client.Do(req)
	if err != nil {
		return AppAnswer{Reason: appReason(err)}
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAppBody))
	switch {
	case resp.StatusCode != p.o.Status:
		return AppAnswer{Status: resp.StatusCode, Reason: fmt.Sprintf("want status %d", p.o.Status)}
	case err != nil:
		return AppAnswer{Status: resp.StatusCode, Reason: "the body did not end: " + appReason(err)}
	case !strings.Contains(string(body), p.o.BodyContains):
		return AppAnswer{Status: resp.StatusCode, Reason: fmt.Sprintf("the body lacks %q", p.o.BodyContains)}
	default:
		return AppAnswer{OK: true, Status: resp.StatusCode}
	}
}

// appReason says why no answer came, without the URL and the library's words.
func appReason(err error) string {
	var dns *net.DNSError
	switch {
	case errors.Is(err, errForeignHost):
		return errForeignHost.Error()
	case errors.Is(err, errRedirects):
		return errRedirects.Error()
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s does not resolve", dns.Name)
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within the deadline"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF):
		return "the connection was closed without an answer"
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err.Error()
	}
	return err.Error()
}

// appState is what is known of the application.
type appState struct {
	last   AppAnswer
	at     time.Time
	took   time.Duration
	misses int
}

func (a *appState) report(now time.Time, address string) *view.AppReport {
	return &view.AppReport{URL: address, OK: a.last.OK, Status: a.last.Status, Detail: a.last.Reason,
		Age: age(now, a.at), Misses: a.misses, Latency: a.took}
}

func (ob *Observer) appLoop(ctx context.Context) error {
	return every(ctx, ob.o.AppPeriod, func(ctx context.Context) {
		began := ob.o.Now()
		actx, cancel := context.WithTimeout(ctx, ob.o.AppDeadline)
		defer cancel()
		got := ob.o.App(actx)
		if ctx.Err() == nil {
			ob.update(func() bool { return ob.noteApp(got, began) })
		}
	})
}

// noteApp says whether the answer matters at once: the first good one after
// misses, and the miss that makes the failure count.
func (ob *Observer) noteApp(got AppAnswer, began time.Time) bool {
	a := ob.app
	failing := a.misses >= ob.o.Misses
	a.last, a.at = got, ob.o.Now()
	a.took = max(0, a.at.Sub(began))
	if got.OK {
		a.misses = 0
	} else {
		a.misses++
	}
	if now := a.misses >= ob.o.Misses; now != failing {
		ob.o.Log.Info("application changed", zap.Bool("failing", now), zap.Int("status", got.Status), zap.String("reason", got.Reason))
		return true
	}
	return false
}
