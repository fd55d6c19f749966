package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// tellLimit bounds telling a driver of a stop that it cannot do itself.
const tellLimit = time.Second

// StopVerified stops the server of a data directory and proves it: the driver's
// fast stop, then its immediate one, then SIGKILL of every server process that
// holds the directory, each within its limit. It is proven only when two looks
// in a row found no such process and could read all there are. Whatever the
// driver returns is a note in the report. A zero limit leaves its phase out.
//
// It does not keep anybody from starting the server again: marker,
// standby.signal and gate come before. Errors: ErrStillHeld, pgdata.ErrIncomplete.
func StopVerified(ctx context.Context, d Driver, dir string, l Limits) (StopReport, error) {
	begin := time.Now()
	s := stopping{driver: d, dir: dir, report: StopReport{Driver: d.Name()}}
	err := s.run(ctx, l)
	if c, cerr := pgdata.ReadControl(dir); cerr == nil {
		s.report.State, s.report.Clean = c.State, c.State.Clean() && err == nil
	}
	s.report.Took = time.Since(begin)
	if err != nil {
		return s.report, fmt.Errorf("stop server in %s: %w", dir, err)
	}
	return s.report, nil
}

type stopping struct {
	driver Driver
	dir    string
	report StopReport
}

func (s *stopping) run(ctx context.Context, l Limits) error {
	held, err := s.look()
	s.report.WasRunning = len(held) > 0
	fast, immediate := deaf(held)
	// With nothing to stop the driver is told all the same, so that a manager
	// which is about to start the server knows that it must not.
	if held, err = s.phase(ctx, held, err, ModeFast, l.Fast, fast); len(held) > 0 {
		held, err = s.phase(ctx, held, err, ModeImmediate, l.Immediate, immediate)
	}
	if len(held) > 0 && l.Kill > 0 {
		err = s.kill(ctx, l.Kill)
		held, _ = s.look() // the error of kill says more
	}
	if len(held) > 0 || err != nil {
		return heldBy(held, err)
	}
	if err := s.prove(); err != nil {
		return err
	}
	s.report.Removed, err = removeStalePID(s.dir)
	return err
}

// heldBy names the processes that are left, and what else is not known.
func heldBy(held []pgdata.Process, err error) error {
	if len(held) == 0 {
		return err
	}
	var who []string
	for _, p := range held {
		who = append(who, p.String())
	}
	return errors.Join(fmt.Errorf("%w by %s", ErrStillHeld, strings.Join(who, ", ")), err)
}

// look lists the server processes; with an error the list proves nothing.
func (s *stopping) look() ([]pgdata.Process, error) {
	held, err := pgdata.Holders(s.dir)
	s.report.Bystanders = nil
	for _, p := range held {
		if !p.Server {
			s.report.Bystanders = append(s.report.Bystanders, p)
		}
	}
	return pgdata.Servers(held), err
}

// prove looks once more: a process that was forked while the first look was
// under way can be missed by it, but not by the next, since its parent is gone.
func (s *stopping) prove() error {
	held, err := s.look()
	if len(held) > 0 || err != nil {
		return heldBy(held, err)
	}
	s.report.Proven = true
	return nil
}

// deaf says why a phase would only let its limit pass: a stopped postmaster hears
// nothing, and a fast stop waits for every backend, a stopped one too. (In an
// immediate stop the postmaster kills its children after 5 s.)
func deaf(held []pgdata.Process) (fast, immediate string) {
	if _, ok := postmaster(held); !ok && len(held) > 0 {
		const why = "no postmaster is left to stop the others"
		return why, why
	}
	for _, p := range held {
		switch {
		case p.Stopped() && p.IsPostmaster:
			why := fmt.Sprintf("postmaster %d is stopped by a signal", p.PID)
			return why, why
		case p.Stopped():
			fast = fmt.Sprintf("process %d is stopped by a signal", p.PID)
		}
	}
	return fast, ""
}

// phase asks the driver and waits, or notes why it would be in vain. A manager
// is told all the same: it would take the kill that follows for a crash, and
// start the server again.
func (s *stopping) phase(ctx context.Context, held []pgdata.Process, err error, m Mode, limit time.Duration, why string) ([]pgdata.Process, error) {
	if limit <= 0 {
		return held, err
	}
	if why != "" {
		phase := Phase{Name: m.String(), Left: len(held), Note: "not waited for: " + why}
		if m == ModeFast {
			phase.Took = s.tell(ctx, m, limit)
		}
		s.report.Phases = append(s.report.Phases, phase)
		return held, err
	}
	return s.ask(ctx, m, limit)
}

// tell asks the driver only so that it knows; what it says is of no use.
func (s *stopping) tell(ctx context.Context, m Mode, limit time.Duration) time.Duration {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, min(limit, tellLimit))
	defer cancel()
	_ = s.driver.Stop(ctx, m)
	return time.Since(begin)
}

// ask runs one phase of the driver and then waits for the processes, both
// within the limit.
func (s *stopping) ask(ctx context.Context, m Mode, limit time.Duration) ([]pgdata.Process, error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	phase := Phase{Name: m.String()}
	if err := s.driver.Stop(ctx, m); err != nil {
		phase.Note = err.Error()
	}
	held, err := s.await(ctx)
	phase.Took, phase.Left = time.Since(begin), len(held)
	s.report.Phases = append(s.report.Phases, phase)
	return held, err
}

// await waits until no server process is left or the context ends, and gives
// those that are.
func (s *stopping) await(ctx context.Context) ([]pgdata.Process, error) {
	for {
		held, err := s.look()
		if len(held) == 0 || ctx.Err() != nil {
			return held, err
		}
		waitForAll(ctx, held)
	}
}

// waitForAll returns when all have ended or the context has. Where one cannot be
// waited for, it rests a moment, so that the caller's loop does not spin.
func waitForAll(ctx context.Context, ps []pgdata.Process) {
	for _, p := range ps {
		if waitFor(ctx, p) == nil {
			continue
		}
		rest := time.NewTimer(waitTick)
		defer rest.Stop()
		select {
		case <-ctx.Done():
		case <-rest.C:
		}
		return
	}
}

func waitFor(ctx context.Context, p pgdata.Process) error {
	h, err := hold(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.close()
	return h.wait(ctx)
}

// kill sends SIGKILL to every server process until none is left: the postmaster
// first, since it would restart the server when a backend dies (restart_after_crash).
func (s *stopping) kill(ctx context.Context, limit time.Duration) error {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	phase := Phase{Name: "kill"}
	var notes []error
	for {
		held, err := s.look()
		if phase.Left = len(held); len(held) == 0 || ctx.Err() != nil {
			phase.Took, phase.Note = time.Since(begin), noteOf(notes)
			s.report.Phases = append(s.report.Phases, phase)
			return err
		}
		if p, ok := postmaster(held); ok {
			notes = append(notes, s.shoot(p))
		}
		for _, p := range held {
			notes = append(notes, s.shoot(p))
		}
		waitForAll(ctx, held)
	}
}

func (s *stopping) shoot(p pgdata.Process) error {
	h, err := hold(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.signal(syscall.SIGKILL); err != nil {
		return err
	}
	for _, k := range s.report.Killed {
		if k.Same(p) {
			return nil
		}
	}
	s.report.Killed = append(s.report.Killed, p)
	return nil
}

func noteOf(errs []error) string {
	if err := errors.Join(errs...); err != nil {
		return err.Error()
	}
	return ""
}
