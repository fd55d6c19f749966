package control_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/runbooks"
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

// rawCall talks to the socket without the client's checks.
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
