package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// PgCtl runs the server by hand, without a service manager. It stops it by
// signals to the postmaster: nothing depends on pg_ctl's text, exit status or
// polling.
type PgCtl struct {
	BinDir  string // folder of pg_ctl; empty: found by FindBinariesFor
	DataDir string
	// StartCommand starts the server and returns when it accepts connections.
	// Empty: pg_ctl start -w. In the product it runs the boot gate first.
	StartCommand []string
	LogFile      string // server log; empty: the server's own output is lost
}

var _ Driver = PgCtl{}

// Name implements Driver.
func (PgCtl) Name() string { return "pg_ctl" }

// Start implements Driver. With orphaned backends of a dead postmaster it
// refuses with ErrStillHeld.
func (d PgCtl) Start(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	held, err := pgdata.Holders(d.DataDir)
	if err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	if _, running := postmaster(held); running {
		return nil
	}
	if left := pgdata.Servers(held); len(left) > 0 {
		return fmt.Errorf("start server: %w by %d server processes without a postmaster: stop them first", ErrStillHeld, len(left))
	}
	argv, err := d.command(ctx)
	if err != nil {
		return err
	}
	if err := launch(ctx, argv, d.LogFile); err != nil {
		return fmt.Errorf("start server in %s: %w", d.DataDir, err)
	}
	return nil
}

// command is StartCommand or pg_ctl's, which waits as long as the context does.
func (d PgCtl) command(ctx context.Context) ([]string, error) {
	if len(d.StartCommand) > 0 {
		return d.StartCommand, nil
	}
	dir := d.BinDir
	if dir == "" {
		b, err := FindBinariesFor(d.DataDir)
		if err != nil {
			return nil, err
		}
		dir = b.Dir
	}
	argv := []string{filepath.Join(dir, "pg_ctl"), "start", "-w", "-D", d.DataDir}
	if d.LogFile != "" {
		argv = append(argv, "-l", d.LogFile)
	}
	if until, ok := ctx.Deadline(); ok {
		argv = append(argv, "-t", strconv.Itoa(max(1, int(math.Ceil(time.Until(until).Seconds())))))
	}
	return argv, nil
}

// Stop implements Driver: SIGINT or SIGQUIT to the postmaster, then waits until
// it has ended or the context does. Backends may outlive it.
func (d PgCtl) Stop(ctx context.Context, m Mode) error {
	sig, err := m.signal()
	if err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	held, err := pgdata.Holders(d.DataDir)
	p, running := postmaster(held)
	if !running {
		if err != nil {
			return fmt.Errorf("stop server: %w", err)
		}
		return nil
	}
	h, err := hold(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	defer h.close()
	if err := h.signal(sig); err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	if p.Stopped() { // the signal waits for it; we do not
		return fmt.Errorf("stop server: postmaster %d is stopped by a signal; continue it (kill -CONT) or kill it", p.PID)
	}
	if err := h.wait(ctx); err != nil {
		return fmt.Errorf("wait for postmaster %d to end: %w", p.PID, err)
	}
	return nil
}

// Status implements Driver. Orphaned backends count as running: they commit.
func (d PgCtl) Status(ctx context.Context) (Status, error) {
	if err := context.Cause(ctx); err != nil {
		return Status{}, fmt.Errorf("read status of server: %w", err)
	}
	held, err := pgdata.Holders(d.DataDir)
	if err != nil {
		return Status{}, fmt.Errorf("read status of server: %w", err)
	}
	s := Status{Restart: "none: only a command starts it"}
	p, whole := postmaster(held)
	if whole {
		s.Pids = append(s.Pids, p.PID)
	}
	for _, p := range pgdata.Servers(held) {
		if !p.IsPostmaster {
			s.Pids = append(s.Pids, p.PID)
		}
	}
	s.Running = len(s.Pids) > 0
	switch {
	case whole:
		s.Detail = "postmaster " + p.String()
	case s.Running:
		s.Detail = fmt.Sprintf("%d server processes without a postmaster hold %s", len(s.Pids), d.DataDir)
	default:
		s.Detail = "no process of the server holds " + d.DataDir
	}
	return s, nil
}

// postmaster finds the living one among the holders.
func postmaster(held []pgdata.Process) (pgdata.Process, bool) {
	for _, p := range held {
		if p.IsPostmaster && !p.Zombie {
			return p, true
		}
	}
	return pgdata.Process{}, false
}
