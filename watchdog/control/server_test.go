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
	t.Parallel()
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
	t.Parallel()
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
