package pgctl_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

const unitName = "postgresql@15-main.service"

// echo really runs a command: a harmless one that prints what it was asked.
type echo struct{}

func (echo) Do(ctx context.Context, verb pgctl.Verb, unit string) (string, error) {
	if verb == pgctl.UnitStart {
		out, err := exec.CommandContext(ctx, "sh", "-c", "echo no such luck >&2; exit 3").CombinedOutput()
		return "", fmt.Errorf("%w: %s", err, out)
	}
	out, err := exec.CommandContext(ctx, "echo", string(verb), unit).Output()
	return string(out), err
}

func options() pgctl.HelperOptions {
	return pgctl.HelperOptions{UID: os.Getuid(), Units: []string{unitName}, Do: echo{}, Log: zap.NewNop(), Deadline: limit}
}

// serve runs a helper on a real socket until the test ends.
func serve(t *testing.T, o pgctl.HelperOptions) pgctl.HelperClient {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	before := goleak.IgnoreCurrent()
	server, err := pgctl.NewHelperServer(o)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("helper ended with %v", err)
		}
		goleak.VerifyNone(t, before)
	})
	return pgctl.HelperClient{Socket: socket}
}

func TestHelper_ConfiguredUnit_RunsTheVerbAndLogsIt(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	o := options()
	o.Log = zap.New(core)
	c := serve(t, o)
	out, err := c.Do(within(t), pgctl.UnitShow, unitName)
	if err != nil || out != "unit-show "+unitName+"\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := c.Do(within(t), pgctl.UnitStart, unitName); err == nil || errors.Is(err, pgctl.ErrRefused) || !strings.Contains(err.Error(), "no such luck") {
		t.Errorf("%v; want the program's own words, and no refusal", err)
	}
	testenv.Wait(t, limit, "two lines in the log", func() (bool, string) { return logs.Len() == 2, fmt.Sprint(logs.All()) })
	for i, e := range logs.All() {
		m := e.ContextMap()
		if m["uid"] != uint32(os.Getuid()) || m["unit"] != unitName || (i == 1) != (m["err"] != nil) {
			t.Errorf("log line %d: %s %v", i, e.Message, m)
		}
	}
}

func TestHelper_WhatIsNotConfigured_IsRefused(t *testing.T) {
	c := serve(t, options())
	for _, r := range []struct {
		verb pgctl.Verb
		unit string
	}{
		{"unit-mask", unitName}, {"", unitName}, {pgctl.UnitStop, "ssh.service"}, {pgctl.UnitStop, ""},
		{pgctl.UnitStop, unitName + "\n"}, {pgctl.UnitStop, "--all"},
	} {
		if out, err := c.Do(within(t), r.verb, r.unit); !errors.Is(err, pgctl.ErrRefused) || out != "" {
			t.Errorf("%q %q: %q, %v; want ErrRefused", r.verb, r.unit, out, err)
		}
	}
}

func TestHelper_AnotherUser_IsRefusedByTheKernelsWord(t *testing.T) {
	o := options()
	o.UID = os.Getuid() + 1
	if out, err := serve(t, o).Do(within(t), pgctl.UnitShow, unitName); !errors.Is(err, pgctl.ErrRefused) || out != "" {
		t.Errorf("%q, %v; want ErrRefused", out, err)
	}
}

func TestHelper_BytesThatAreNoRequest_AreRefusedAndItGoesOn(t *testing.T) {
	c := serve(t, options())
	for name, text := range map[string]string{
		"no JSON": "start it\n", "another version": `{"v":2,"verb":"unit-show","unit":"` + unitName + `"}` + "\n",
		"an array": "[]\n", "endless": strings.Repeat("x", 5<<10), "two values": `{"v":1}{"v":1}` + "\n",
	} {
		conn, err := new(net.Dialer).DialContext(within(t), "unix", c.Socket)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(limit))
		_, _ = conn.Write([]byte(text))
		answer, _ := io.ReadAll(conn)
		if !strings.Contains(string(answer), `"refused":true`) {
			t.Errorf("%s: answer %q", name, answer)
		}
		_ = conn.Close()
	}
	var all sync.WaitGroup
	for range 20 { // more than are served at once
		all.Go(func() {
			if _, err := c.Do(context.Background(), pgctl.UnitShow, unitName); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestHelperClient_NobodyThereOrNoAnswer_IsAnError(t *testing.T) {
	c := pgctl.HelperClient{Socket: filepath.Join(t.TempDir(), "none")}
	if _, err := c.Do(within(t), pgctl.UnitShow, unitName); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
	silent := filepath.Join(t.TempDir(), "s")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nothing was written
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := (pgctl.HelperClient{Socket: silent}).Do(ctx, pgctl.UnitShow, unitName); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
}

func TestNewHelperServer_MissingOption_IsNamed(t *testing.T) {
	for name, change := range map[string]func(*pgctl.HelperOptions){
		"Do": func(o *pgctl.HelperOptions) { o.Do = nil }, "Log": func(o *pgctl.HelperOptions) { o.Log = nil },
		"deadline": func(o *pgctl.HelperOptions) { o.Deadline = 0 }, "user": func(o *pgctl.HelperOptions) { o.UID = -1 },
		"unit": func(o *pgctl.HelperOptions) { o.Units = nil }, "unit name": func(o *pgctl.HelperOptions) { o.Units = []string{"-x.service"} },
	} {
		o := options()
		change(&o)
		if _, err := pgctl.NewHelperServer(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// activatedHelper is the helper as systemd starts it: with its socket already open.
var activatedHelper = testenv.Command{Name: "helper", Run: func() int {
	l, err := pgctl.ActivatedListener()
	if err != nil {
		fmt.Println(err)
		return 3
	}
	server, err := pgctl.NewHelperServer(options())
	if err != nil {
		return 4
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := server.Run(ctx, l); err != nil {
		return 5
	}
	return 0
}}

func TestActivatedListener_SocketHandedOver_IsServed(t *testing.T) {
	program, socket := testenv.CommandPath(t, "helper"), filepath.Join(t.TempDir(), "s")
	out, err := exec.CommandContext(t.Context(), program).Output()
	if err == nil || !strings.Contains(string(out), "0 sockets") {
		t.Errorf("without a socket: %v, %q", err, out)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0"`, program)
	cmd.ExtraFiles = []*os.File{file}
	if err := errors.Join(cmd.Start(), file.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	out2, err := pgctl.HelperClient{Socket: socket}.Do(within(t), pgctl.UnitStop, unitName)
	if err != nil || out2 != "unit-stop "+unitName+"\n" {
		t.Errorf("%q, %v", out2, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("helper ended with %v", err)
	}
}
