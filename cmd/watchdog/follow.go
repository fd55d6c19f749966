package main

import (
	"context"
	"errors"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// lostPause is the pause between two tries to find a lost stream again.
const lostPause = 500 * time.Millisecond

// lostFor is how long a lost stream is looked for: twice the limit of a call,
// because a restart of the service takes less than the default of that.
func (a *app) lostFor() time.Duration { return 2 * a.timeout }

// start begins the operation and follows it. From here on an interrupt only
// detaches, and no answer is an unknown outcome.
func (a *app) start(ctx context.Context, in intent, r runbooks.Request) error {
	if ctx.Err() != nil {
		return context.Canceled
	}
	s, err := act(context.WithoutCancel(ctx), a, control.StartOp, "", r)
	if err != nil {
		return err
	}
	if s.Already {
		return a.already(s.Node, s.Text)
	}
	return a.started(ctx, s, in.detach, 0)
}

// started tells the operation's id and then follows it, or not.
func (a *app) started(ctx context.Context, s control.Started, detach bool, after int) error {
	if detach {
		if a.json {
			if err := a.printLine(map[string]any{"v": 1, "started": s}); err != nil {
				return err
			}
		} else {
			a.out("%s\n", clean(s.Operation))
			a.say("it runs in the service: watchdog ops follow %s\n", clean(s.Operation))
		}
		return exitCode(runbooks.ExitUnknown)
	}
	a.talk("operation %s on %s. Closing this terminal does not stop it: watchdog ops follow %s\n", clean(s.Operation), clean(s.Node), clean(s.Operation))
	return a.follow(ctx, &follower{a: a, id: s.Operation, seen: after, past: after})
}

// talk is said only to people.
func (a *app) talk(format string, args ...any) {
	if !a.json {
		a.say(format, args...)
	}
}

// follower shows one operation's records and finds out how it ended.
type follower struct {
	a    *app
	id   string
	seen int // sequence number of the newest record shown
	past int // records up to here are history: a stop among them was resumed
	plan *runbooks.Plan
	last *runbooks.Refusal // why a step was not done
	open bool              // a line waits to be written again
	head string            // of the step that runs, when it was not shown yet
}

// errEnd ends a stream whose operation has ended or stands.
var errEnd = errors.New("end of operation")

// follow shows the operation until it ends, over lost streams too.
func (a *app) follow(ctx context.Context, f *follower) error {
	lost := a.now()
	for {
		var ended error
		before, began := f.seen, a.now()
		err := a.followOnce(ctx, f, &ended)
		if f.seen > before || lived(err, a.now().Sub(began)) {
			lost = a.now()
		}
		if errors.Is(err, errEnd) {
			return ended
		}
		var refused *runbooks.Refusal
		if errors.As(err, &refused) {
			return refused
		}
		if ctx.Err() == nil && a.now().Sub(lost) < a.lostFor() {
			pause(ctx, lostPause)
		}
		if ctx.Err() != nil {
			return f.detached("detached: the operation runs on")
		}
		if a.now().Sub(lost) >= a.lostFor() {
			return f.detached("the service went silent: nobody here knows how the operation stands")
		}
	}
}

func (f *follower) detached(reason string) error {
	if f.open {
		f.a.out("\n")
	}
	return refuse(runbooks.ExitUnknown, "", "watchdog ops follow "+f.id, "%s", reason)
}

// lived reports whether a stream was up for a while before it was lost. One
// that is cut as soon as it has repeated its past is no sign of life, or the
// search for it would never end.
func lived(err error, d time.Duration) bool {
	var u *control.Unreachable
	cut := err == nil || errors.As(err, &u) && u.Phase == control.PhaseBrokenAnswer
	return cut && d >= 4*lostPause
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (a *app) followOnce(ctx context.Context, f *follower, ended *error) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Follow(ctx, f.id, func(r runbooks.Record) error {
		if r.Seq <= f.seen { // told before the stream was lost
			_, _ = f.note(r)
			return nil
		}
		f.seen = r.Seq
		f.show(r)
		done, err := f.note(r)
		if !done || r.Seq <= f.past {
			return nil
		}
		*ended = err
		return errEnd
	})
}

// show writes one record.
func (f *follower) show(r runbooks.Record) {
	a, st := f.a, f.a.style()
	switch {
	case a.json:
		_ = a.printLine(r)
		return
	case r.Type == runbooks.RecordIntent:
		f.head = renderRunning(r)
		if st.live && !a.quiet {
			a.out("\r\x1b[K%s", f.head)
			f.open = true
		}
		return
	case r.Type == runbooks.RecordNote && !a.quiet:
		f.underHead()
	}
	f.head = ""
	if f.open {
		a.out("\r\x1b[K")
		f.open = false
	}
	if a.quiet && r.Type != runbooks.RecordClosed && r.Type != runbooks.RecordStopped {
		return
	}
	a.out("%s", renderRecord(r, st))
}

// underHead lets the first note of a step stand below the step's own line.
func (f *follower) underHead() {
	switch {
	case f.open:
		f.a.out("\n")
		f.open = false
	case f.head != "":
		f.a.out("%s\n", f.head)
	}
}

// note learns from a record; done is true when the operation ended with it, and
// err then carries the exit code.
func (f *follower) note(r runbooks.Record) (done bool, err error) {
	switch r.Type {
	case runbooks.RecordOpened:
		f.plan = r.Plan
	case runbooks.RecordOutcome:
		f.last = r.Refusal
	case runbooks.RecordStopped:
		return true, exitCode(stoppedExit(r))
	case runbooks.RecordClosed:
		return true, f.closed(r)
	}
	return false, nil
}

func stoppedExit(r runbooks.Record) int {
	if r.Refusal != nil && r.Refusal.Exit > 0 {
		return r.Refusal.Exit
	}
	return runbooks.ExitPartWay
}

func (f *follower) closed(r runbooks.Record) error {
	if r.Result == fence.ResultDone {
		if !f.a.json && r.Seq > f.past {
			f.a.out("%s", renderEnd(f.plan))
		}
		return nil
	}
	if f.last == nil || f.last.Exit <= 0 {
		return errTakenBack{runbooks.ExitFailed}
	}
	if !f.a.json && f.last.Hint != "" && r.Seq > f.past {
		f.a.out("Next:  %s\n", clean(f.last.Hint))
	}
	return errTakenBack{exitCode(f.last.Exit)}
}
