package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/audit"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// canned answers the local API from files of a script: status.json, doctor.json, plan.json
// (plan.2.json for the second plan asked for), started.json, ops.json,
// records.jsonl; refusal.json refuses the start. What is asked goes to
// requests.log.
type canned struct {
	dir string

	mu    sync.Mutex
	plans int
}

// startService is the script's command `service`: the real server of
// watchdog/control, until the script ends.
func startService(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: service")
	}
	c := &canned{dir: ts.MkAbs(".")}
	r := control.NewRouter(zap.NewNop())
	control.Handle(r, control.Status, func(context.Context, control.Caller, string, control.None) (view.Status, error) {
		st, err := readJSON[view.Status](c.dir, "status.json")
		if st.At.IsZero() {
			st.At = time.Now() // a script that leaves it out wants one of now
		}
		return st, err
	})
	control.Handle(r, control.MakePlan, c.plan)
	control.Handle(r, control.Doctor, func(context.Context, control.Caller, string, control.None) (audit.Document, error) {
		return readJSON[audit.Document](c.dir, "doctor.json")
	})
	control.Handle(r, control.StartOp, c.start("start", "started.json"))
	control.Handle(r, control.ResumeOp, c.start("resume", "started.json"))
	control.Handle(r, control.AbortOp, c.start("abort", "started.json"))
	control.Handle(r, control.ListOps, func(context.Context, control.Caller, string, control.None) (control.OperationList, error) {
		return readJSON[control.OperationList](c.dir, "ops.json")
	})
	control.Handle(r, control.ShowOp, func(_ context.Context, _ control.Caller, id string, _ control.None) (control.Records, error) {
		records, err := c.records("before.jsonl")
		if errors.Is(err, fs.ErrNotExist) {
			records, err = c.records("records.jsonl")
		}
		return control.Records{Records: records}, err
	})
	control.HandleFollow(r, c.follow)
	s, err := control.ListenLocal(control.LocalOptions{Path: ts.Getenv("WATCHDOG_SOCKET"), Log: zap.NewNop()}, r)
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	ts.Defer(func() {
		cancel()
		ts.Check(<-done)
	})
}

func (c *canned) plan(_ context.Context, _ control.Caller, _ string, r runbooks.Request) (runbooks.Plan, error) {
	c.log("plan", r)
	c.mu.Lock()
	c.plans++
	name := fmt.Sprintf("plan.%d.json", c.plans)
	c.mu.Unlock()
	if p, err := readJSON[runbooks.Plan](c.dir, name); !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	return readJSON[runbooks.Plan](c.dir, "plan.json")
}

func (c *canned) start(call, file string) control.Handler[runbooks.Request, control.Started] {
	return func(_ context.Context, _ control.Caller, _ string, r runbooks.Request) (control.Started, error) {
		c.log(call, r)
		if refusal, err := readJSON[runbooks.Refusal](c.dir, "refusal.json"); err == nil {
			return control.Started{}, &refusal
		}
		return readJSON[control.Started](c.dir, file)
	}
}

// follow sends every record; without an end among them it waits, as a running
// operation does.
func (c *canned) follow(ctx context.Context, _ control.Caller, id string, send func(runbooks.Record) error) error {
	records, err := c.records("records.jsonl")
	if err != nil {
		return err
	}
	for _, r := range records {
		if err := send(r); err != nil {
			return err
		}
		if r.Type == runbooks.RecordClosed {
			return nil
		}
	}
	c.log("following", id)
	if _, err := os.Stat(filepath.Join(c.dir, "cut")); err == nil {
		return errors.New("cut")
	}
	<-ctx.Done()
	return ctx.Err()
}

func (c *canned) records(name string) ([]runbooks.Record, error) {
	b, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		return nil, err
	}
	var out []runbooks.Record
	for line := range bytes.Lines(b) {
		var r runbooks.Record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", line, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func (c *canned) log(call string, what any) {
	b, err := json.Marshal(what)
	if err != nil {
		b = []byte(err.Error())
	}
	f, err := os.OpenFile(filepath.Join(c.dir, "requests.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return // the script's own look at the file then fails
	}
	_, _ = fmt.Fprintf(f, "%s %s\n", call, b)
	_ = f.Close()
}

func readJSON[T any](dir, name string) (T, error) {
	var v T
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return v, err
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}
