package observe_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
)

// application answers as each path says.
func application(t *testing.T) *httptest.Server {
	t.Helper()
	noLeaks(t)
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"database":"up"}`)) })
	mux.HandleFunc("/502", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/once", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusFound)
	})
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		for range 64 {
			_, _ = w.Write([]byte(strings.Repeat("x", 64<<10)))
		}
		_, _ = w.Write([]byte("database"))
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush() //nolint:forcetypeassert // net/http's writer is one
		<-r.Context().Done()
	})
	mux.HandleFunc("/closed", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestAppProbe_SaysInWordsWhatIsWrong(t *testing.T) {
	s := application(t)
	for path, want := range map[string]observe.AppAnswer{
		"/ok":     {OK: true, Status: 200},
		"/once":   {OK: true, Status: 200},
		"/502":    {Status: 502, Reason: "want status 200"},
		"/loop":   {Reason: "more than 3 redirects"},
		"/away":   {Reason: "redirect to another host is not followed"},
		"/huge":   {Status: 200, Reason: `the body lacks "database"`},
		"/slow":   {Status: 200, Reason: "the body did not end: no answer within the deadline"},
		"/closed": {Reason: "the connection was closed without an answer"},
	} {
		p, err := observe.NewAppProbe(observe.AppOptions{URL: s.URL + path, BodyContains: "database"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if path == "/slow" {
			ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
		}
		if got := p.Ask(ctx); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
		cancel()
	}
}

func TestAppProbe_NobodyListens(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	p, err := observe.NewAppProbe(observe.AppOptions{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Ask(t.Context()); got.OK || got.Reason != "connection refused" {
		t.Errorf("%+v", got)
	}
}

func TestAppProbe_UntrustedCertificate(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	p, err := observe.NewAppProbe(observe.AppOptions{URL: s.URL, Status: 404})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Ask(t.Context()); got.OK || !strings.Contains(got.Reason, "certificate") {
		t.Errorf("%+v", got)
	}
}

func TestNewAppProbe_NoURL_IsRefused(t *testing.T) {
	for _, u := range []string{"", "app:8080", "ftp://app/", "http://"} {
		if _, err := observe.NewAppProbe(observe.AppOptions{URL: u}); err == nil {
			t.Errorf("%q is accepted", u)
		}
	}
}
