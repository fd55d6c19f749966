package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// answering gives a client of a service whose StartOp gives err.
func answering(t *testing.T, err error) *control.Client {
	c, _ := local(t, func(r *control.Router) {
		control.Handle(r, control.StartOp, func(context.Context, control.Caller, string, runbooks.Request) (control.Started, error) {
			return control.Started{Operation: "p-1"}, err
		})
		control.Handle(r, control.Status, func(context.Context, control.Caller, string, control.None) (view.Status, error) {
			return view.Status{}, err
		})
	})
	return c
}

func TestCall_RefusalMakesTheRoundTrip(t *testing.T) {
	for exit := runbooks.ExitFailed; exit <= runbooks.ExitLocked; exit++ {
		want := runbooks.Refusal{Exit: exit, Rule: "1", Gate: "primary_answers", Reason: "primary a is healthy", Hint: "watchdog switchover b"}
		c := answering(t, fmt.Errorf("start promote: %w", &want))
		_, err := control.Call(within(t, 5*time.Second), c, control.StartOp, "", runbooks.Request{})
		var got *runbooks.Refusal
		if !errors.As(err, &got) || *got != want {
			t.Errorf("exit %d: got %+v", exit, err)
		}
	}
}

func TestCall_OtherErrors_GetAnHonestExitCode(t *testing.T) {
	refused := &control.Unreachable{Node: "b", Phase: control.PhaseRefused, Err: errors.New("x")}
	cut := &control.Unreachable{Node: "b", Phase: control.PhaseNoAnswer, Err: errors.New("x")}
	for _, c := range []struct {
		name      string
		err       error
		acts, get int
	}{
		{"plain", errors.New("disk is full"), runbooks.ExitFailed, runbooks.ExitFailed},
		{"out of time", context.DeadlineExceeded, runbooks.ExitUnknown, runbooks.ExitUnavailable},
		{"peer refused the dial", refused, runbooks.ExitUnavailable, runbooks.ExitUnavailable},
		{"peer cut the answer", cut, runbooks.ExitUnknown, runbooks.ExitUnknown},
		{"refusal without an exit code", &runbooks.Refusal{Reason: "no"}, runbooks.ExitFailed, runbooks.ExitFailed},
	} {
		client := answering(t, c.err)
		ctx := within(t, 5*time.Second)
		var r *runbooks.Refusal
		_, err := control.Call(ctx, client, control.StartOp, "", runbooks.Request{})
		if !errors.As(err, &r) || r.Exit != c.acts || !strings.Contains(r.Reason, c.err.Error()) {
			t.Errorf("%s: acting call gives %#v", c.name, err)
		}
		_, err = control.Call(ctx, client, control.Status, "", control.None{})
		if !errors.As(err, &r) || r.Exit != c.get {
			t.Errorf("%s: reading call gives %#v", c.name, err)
		}
	}
}

func TestCall_HandlerPanics_OutcomeUnknownAndServiceLives(t *testing.T) {
	var calls atomic.Int32
	c, _ := local(t, func(r *control.Router) {
		control.Handle(r, control.StartOp, func(context.Context, control.Caller, string, runbooks.Request) (control.Started, error) {
			if calls.Add(1) == 1 {
				panic("boom")
			}
			return control.Started{Operation: "p-1"}, nil
		})
	})
	ctx := within(t, 5*time.Second)
	_, err := control.Call(ctx, c, control.StartOp, "", runbooks.Request{})
	var r *runbooks.Refusal
	if !errors.As(err, &r) || r.Exit != runbooks.ExitUnknown {
		t.Fatalf("error = %#v", err)
	}
	if _, err := control.Call(ctx, c, control.StartOp, "", runbooks.Request{}); err != nil {
		t.Fatalf("next call: %v", err)
	}
}

func TestCall_UnknownPath_IsAProblemNotANoise(t *testing.T) {
	c, _ := local(t, func(*control.Router) {})
	_, err := control.Call(within(t, 5*time.Second), c, control.Status, "", control.None{})
	var r *runbooks.Refusal
	if !errors.As(err, &r) || r.Exit != runbooks.ExitUsage {
		t.Fatalf("error = %#v", err)
	}
}

func TestCall_MalformedID_NeverReachesTheHandler(t *testing.T) {
	var reached atomic.Bool
	c, path := local(t, func(r *control.Router) {
		control.Handle(r, control.ShowOp, func(context.Context, control.Caller, string, control.None) (control.Records, error) {
			reached.Store(true)
			return control.Records{}, nil
		})
	})
	for _, id := range []string{"", "..", "../../etc/passwd", "a/b", "a b", "-x", strings.Repeat("a", 200)} {
		if _, err := control.Call(within(t, 5*time.Second), c, control.ShowOp, id, control.None{}); err == nil {
			t.Errorf("client sent id %q", id)
		}
	}
	for _, raw := range []string{"%2e%2e", "..%2f..%2fepoch.json", "a%00b"} {
		if code, body := rawCall(t, path, "GET", "/v1/operations/"+raw, nil); code < 400 {
			t.Errorf("server took id %s: %d %s", raw, code, body)
		}
	}
	if reached.Load() {
		t.Error("a malformed id reached the handler")
	}
}

// rawCall talks to the socket without the client's checks.
func rawCall(t *testing.T, path, method, target string, body []byte) (int, string) {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
	defer tr.CloseIdleConnections()
	q, err := http.NewRequestWithContext(within(t, 10*time.Second), method, "http://x"+target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

func TestBody_BadOnes_RefusedBeforeTheHandler(t *testing.T) {
	var reached atomic.Int32
	_, path := local(t, func(r *control.Router) {
		control.Handle(r, control.MakePlan, func(context.Context, control.Caller, string, runbooks.Request) (runbooks.Plan, error) {
			reached.Add(1)
			return runbooks.Plan{}, nil
		})
	})
	for _, c := range []struct {
		name, body string
		code       int
	}{
		{"empty", "", http.StatusBadRequest},
		{"not JSON", "hello", http.StatusBadRequest},
		{"cut", `{"operation":"promote"`, http.StatusBadRequest},
		{"wrong type", `{"node":7}`, http.StatusBadRequest},
		{"data after the value", `{"node":"a"}{"node":"b"}`, http.StatusBadRequest},
		{"over the limit", `{"node":"` + strings.Repeat("x", 1<<20) + `"}`, http.StatusRequestEntityTooLarge},
	} {
		code, answer := rawCall(t, path, "POST", "/v1/plan", []byte(c.body))
		if code != c.code || !strings.Contains(answer, `"exit":2`) {
			t.Errorf("%s: %d %s", c.name, code, answer)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("handler was reached %d times", n)
	}
	code, answer := rawCall(t, path, "POST", "/v1/plan", []byte(`{"node":"a","field_of_a_newer_version":1}`+"\n"))
	if code != http.StatusOK || reached.Load() != 1 {
		t.Errorf("newer field: %d %s", code, answer)
	}
}

// fake is a server that reads one request and then answers with raw bytes.
func fake(t *testing.T, answer string, hold bool) *control.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	release := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		buf := make([]byte, 64<<10)
		if _, err := conn.Read(buf); err != nil {
			return
		}
		_, _ = conn.Write([]byte(answer))
		if hold {
			<-release
		}
	}()
	t.Cleanup(func() { close(release); _ = l.Close(); <-done })
	c := control.NewLocalClient(path)
	t.Cleanup(c.Close)
	return c
}

func TestCall_BrokenAnswers_OutcomeUnknown(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		hold         bool
		phase        control.Phase
	}{
		{"connection closed without an answer", "", false, control.PhaseNoAnswer},
		{"no answer in time", "", true, control.PhaseNoAnswer},
		{"cut in the header", "HTTP/1.1 200 OK\r\nConte", false, control.PhaseNoAnswer},
		{"cut in the body", "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"operation\":", false, control.PhaseBrokenAnswer},
		{"body stalls", "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"operation\":", true, control.PhaseBrokenAnswer},
		{"not JSON", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, control.PhaseBrokenAnswer},
		{"empty success", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, control.PhaseBrokenAnswer},
		{"redirect", "HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n", false, control.PhaseBrokenAnswer},
		{"proxy's error page", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", false, control.PhaseBrokenAnswer},
		{"problem that claims success", "HTTP/1.1 500 X\r\nContent-Length: 23\r\n\r\n{\"exit\":0,\"reason\":\"x\"}", false, control.PhaseBrokenAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			limit := 5 * time.Second
			if c.hold {
				limit = 200 * time.Millisecond
			}
			_, err := control.Call(within(t, limit), fake(t, c.answer, c.hold), control.StartOp, "", runbooks.Request{})
			var u *control.Unreachable
			if !errors.As(err, &u) || u.Phase != c.phase || !u.OutcomeUnknown() {
				t.Fatalf("error = %#v", err)
			}
			if r := u.Refusal(); r.Exit != runbooks.ExitUnknown {
				t.Errorf("exit = %d", r.Exit)
			}
		})
	}
}

func TestHandle_ActSurvivesItsCaller_ReadDoesNot(t *testing.T) {
	type ended struct{ act, read error }
	var got ended
	entered := make(chan struct{}, 2)
	release, readDone, actDone := make(chan struct{}), make(chan struct{}), make(chan struct{})
	c, _ := local(t, func(r *control.Router) {
		control.Handle(r, control.StartOp, func(ctx context.Context, _ control.Caller, _ string, _ runbooks.Request) (control.Started, error) {
			entered <- struct{}{}
			<-release
			got.act = ctx.Err()
			close(actDone)
			return control.Started{}, nil
		})
		control.Handle(r, control.Status, func(ctx context.Context, _ control.Caller, _ string, _ control.None) (view.Status, error) {
			entered <- struct{}{}
			<-ctx.Done()
			got.read = ctx.Err()
			close(readDone)
			return view.Status{}, ctx.Err()
		})
	})
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 2)
	go func() { _, err := control.Call(ctx, c, control.StartOp, "", runbooks.Request{}); errs <- err }()
	go func() { _, err := control.Call(ctx, c, control.Status, "", control.None{}); errs <- err }()
	<-entered
	<-entered
	cancel()
	for range 2 {
		var u *control.Unreachable
		if err := <-errs; !errors.As(err, &u) || !u.OutcomeUnknown() {
			t.Errorf("caller that left got %#v", err)
		}
	}
	<-readDone
	close(release)
	<-actDone
	if got.act != nil || got.read == nil {
		t.Errorf("context of the act: %v; of the read: %v", got.act, got.read)
	}
}

func TestHandle_DeadlineOfTheCallerIsTheHandlers(t *testing.T) {
	var left time.Duration
	c, _ := local(t, func(r *control.Router) {
		control.Handle(r, control.StartOp, func(ctx context.Context, _ control.Caller, _ string, _ runbooks.Request) (control.Started, error) {
			d, ok := ctx.Deadline()
			if !ok {
				return control.Started{}, errors.New("no deadline")
			}
			left = time.Until(d)
			return control.Started{}, nil
		})
	})
	if _, err := control.Call(within(t, 7*time.Minute), c, control.StartOp, "", runbooks.Request{}); err != nil {
		t.Fatal(err)
	}
	if left <= 6*time.Minute || left > 7*time.Minute {
		t.Errorf("handler had %v left, caller gave 7m", left)
	}
}

func TestServer_StopEndsActsAndJoinsThem(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := control.NewRouter(zap.NewNop())
	entered, left := make(chan struct{}), make(chan struct{})
	control.Handle(r, control.StartOp, func(ctx context.Context, _ control.Caller, _ string, _ runbooks.Request) (control.Started, error) {
		close(entered)
		<-ctx.Done()
		close(left)
		return control.Started{}, ctx.Err()
	})
	s, err := control.ListenLocal(control.LocalOptions{Path: path, Log: zap.NewNop()}, r)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s.Run)
	c := control.NewLocalClient(path)
	defer c.Close()
	errs := make(chan error, 1)
	go func() {
		_, err := control.Call(within(t, time.Minute), c, control.StartOp, "", runbooks.Request{})
		errs <- err
	}()
	<-entered
	stop()
	select {
	case <-left:
	default:
		t.Error("server had stopped before its handler returned")
	}
	if err := <-errs; err == nil {
		t.Error("a call that was ended by the stop reported success")
	}
}

func TestServer_HeaderThatNeverEnds_IsClosed(t *testing.T) {
	_, path := local(t, func(*control.Router) {})
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("GET /v1/status HTTP/1.1\r\nHost: x\r\n")); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, 20*time.Second, "the server to give up the slow caller", func() (bool, string) {
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		_, err := conn.Read(make([]byte, 512))
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			return false, "still open"
		}
		return err != nil, fmt.Sprint(err)
	})
}
