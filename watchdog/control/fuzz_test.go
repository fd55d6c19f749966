package control_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"unicode"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// FuzzRequestBody: whatever a caller sends, the answer is JSON with a status of
// ours, and only a decodable request reaches the handler.
func FuzzRequestBody(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `null`, `[]`, `{"node":"a"}{}`, `{"operation":"promote","node":"b","by":"x","accept_loss_bytes":18446744073709551615}`,
		strings.Repeat("[", 20000), `{"accept_loss_bytes":-1}`, "\xff\xfe", `{"node":"\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	path := f.TempDir() + "/s"
	r := control.NewRouter(zap.NewNop())
	control.Handle(r, control.MakePlan, func(_ context.Context, _ control.Caller, _ string, q runbooks.Request) (runbooks.Plan, error) {
		return runbooks.Plan{Target: q.Node}, nil
	})
	s, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, r)
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	f.Cleanup(func() { cancel(); <-done })
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	f.Cleanup(tr.CloseIdleConnections)
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/v1/plan", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var answer bytes.Buffer
		if _, err := answer.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		if !json.Valid(answer.Bytes()) {
			t.Fatalf("answer is not JSON: %q", answer.String())
		}
		switch resp.StatusCode {
		case http.StatusOK:
			if !json.Valid(body) {
				t.Fatalf("handler ran for %q", body)
			}
		case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			if _, err := control.DecodeProblem(answer.Bytes()); err != nil {
				t.Fatalf("problem cannot be read: %v", err)
			}
		default:
			t.Fatalf("status %d", resp.StatusCode)
		}
	})
}

// FuzzProblem: what another process calls a problem never becomes a success and
// never carries control characters to a terminal.
func FuzzProblem(f *testing.F) {
	for _, s := range []string{
		`{"v":1,"exit":5,"rule":"1","reason":"no"}`, `{"exit":0,"reason":"fine"}`, `{"exit":-1}`, `{"exit":999,"reason":"x"}`,
		`{"exit":1,"reason":"\u001b[2Jgone"}`, `{"exit":1,"reason":"a\u202eb\r\nc"}`, `null`, `{"exit":1e99}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := control.DecodeProblem(b)
		if err != nil {
			return
		}
		if r.Exit <= 0 || r.Exit > runbooks.ExitLocked && r.Exit != runbooks.ExitInterrupted {
			t.Fatalf("exit %d", r.Exit)
		}
		for _, s := range []string{r.Rule, r.Gate, r.Reason, r.Hint} {
			if len(s) > 4<<10 || strings.ContainsFunc(s, unicode.IsControl) {
				t.Fatalf("text %q", s)
			}
		}
	})
}

// FuzzParsePublicKey: one key has one text.
func FuzzParsePublicKey(f *testing.F) {
	f.Add("wdpub-ed25519:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
	f.Add("wdpub-ed25519:")
	f.Fuzz(func(t *testing.T, s string) {
		k, err := control.ParsePublicKey(s)
		if err == nil && k.String() != s {
			t.Fatalf("%q was read as %q", s, k.String())
		}
	})
}
