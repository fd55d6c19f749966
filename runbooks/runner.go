package runbooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// Journal is where an operation's records go. Append returns only when the
// record is durable.
type Journal interface {
	Append(Record) error
}

// Step is what one line of a plan does. Every function is idempotent: after a
// crash the step is run again from its guard.
type Step struct {
	// Guard re-reads the precondition right before acting; a *Refusal from it
	// means that nothing was done.
	Guard func(context.Context) error
	// Act changes something. A *Refusal means certainly without effect.
	Act func(context.Context, *Scribe) error
	// Verify observes that the effect is there.
	Verify func(context.Context) error
	// Undo takes the effect back; nil when there is nothing to take back.
	Undo func(context.Context) error
	// Sticky marks a step whose effect the runner must not take back by itself:
	// once it has begun, a failure stops the operation part-way.
	Sticky bool
	// Fresh marks what a resume does not take from the journal. A proof is read
	// again until the promotion is done: a node that was powered off and is on
	// again may have taken back its place meanwhile, with an operation of its own.
	// The promotion itself is looked at again, and all that follows it: a host
	// that restarted has been kept in recovery by the open intent.
	Fresh bool
}

// Runner carries out operations, one at a time per call. It holds no state
// between calls: everything that a resume needs is in the journal.
type Runner struct {
	Journal Journal
	Now     func() time.Time
	// Notify is told of every record after it is durable.
	Notify func(Record)
	// Failpoint is called at named points; test builds kill the process there.
	Failpoint func(point string)
	// Close ends the operation durably on every node, with its result.
	Close func(ctx context.Context, o *Operation, r fence.Result) error
}

// Scribe lets a step write evidence and figures into the journal.
type Scribe struct {
	r    *Runner
	o    *Operation
	line StepLine
}

// Note journals one line of evidence or progress.
func (s *Scribe) Note(format string, a ...any) error {
	return s.r.write(s.o, Record{Type: RecordNote, Step: s.line.Name, N: s.line.N, Of: len(s.o.Plan.Steps), Text: fmt.Sprintf(format, a...)})
}

// Figure journals one number, so that a later step or a resume finds it.
func (s *Scribe) Figure(name string, v int64) error {
	return s.r.write(s.o, Record{Type: RecordNote, Step: s.line.Name, N: s.line.N, Of: len(s.o.Plan.Steps), Figures: map[string]int64{name: v}})
}

// Fence journals the outcome of a fence.
func (s *Scribe) Fence(f fence.Outcome) error {
	return s.r.write(s.o, Record{Type: RecordNote, Step: s.line.Name, N: s.line.N, Of: len(s.o.Plan.Steps), Fence: &f,
		Text: fmt.Sprintf("fence of %s: %s, grade %s, by %s", f.Node, f.Result, f.Grade, f.Device)})
}

func (r *Runner) write(o *Operation, rec Record) error {
	rec.Format, rec.Seq, rec.At, rec.Operation = RecordFormat, o.Len()+1, r.Now(), o.ID
	rec.Kind, rec.Node = o.Plan.Kind, o.Plan.Owner
	if err := r.Journal.Append(rec); err != nil {
		return &journalError{err}
	}
	o.add(rec)
	if r.Notify != nil {
		r.Notify(rec)
	}
	return nil
}

// journalError is a write that failed: acting stops at once, because nothing
// that happens from here on could be recorded (DESIGN rule 11).
type journalError struct{ err error }

func (e *journalError) Error() string { return "write journal: " + e.err.Error() }
func (e *journalError) Unwrap() error { return e.err }

// Open journals the plan and the operator's request: nothing was changed yet.
func (r *Runner) Open(o *Operation) error {
	return r.write(o, Record{Type: RecordOpened, By: o.Request.By, Reason: o.Request.Reason, Plan: &o.Plan, Request: &o.Request,
		Text: fmt.Sprintf("%s %s on %s", o.Plan.Kind, o.Plan.Target, o.Plan.Owner)})
}

// Resumed journals that the operator goes on, with what was accepted anew.
func (r *Runner) Resumed(o *Operation, req Request) error {
	if err := r.write(o, Record{Type: RecordResumed, By: req.By, Reason: req.Reason, Request: &req, Text: "resumed by " + req.By}); err != nil {
		return &Refusal{Exit: ExitFailed, Rule: "11", Reason: err.Error(), Hint: "watchdog status"}
	}
	return nil
}

// NoWayBack says why an operation cannot be aborted any more; empty when it can.
// Once this node is out of recovery, only going on leads out. Before that,
// aborting is always safe, whatever epoch was made: nobody starts as primary
// without the word of the other node. And it has to be possible, because going on
// may be refused for good (this node was fenced, a later epoch was made, the
// order was revoked): an operation that could neither be resumed nor aborted
// would hold every other one back for ever. recovering says whether this node's
// server is certainly in recovery; it is asked only where that matters.
func NoWayBack(o *Operation, own fence.Durable, recovering func() bool) string {
	promotes := o.Plan.Kind == KindPromote || o.Plan.Kind == KindRelease
	if !promotes || !o.begun(StepEpoch) {
		return "" // an adoption changes no server: what it recorded stays true
	}
	for _, c := range own.Closed {
		if c.Operation == o.ID && c.Result == fence.ResultDone {
			return "it is done, and only its end has to be told: this operation can only be resumed"
		}
	}
	if i, open := own.OpenIntent(o.ID); !open || (own.Epoch.Number >= i.Epoch.Number && !own.Epoch.Same(i.Epoch)) {
		return ""
	}
	if recovering() {
		return ""
	}
	return "the new epoch is durable, and this node's server is not known to be in recovery: this operation can only be resumed"
}

// Run carries out the steps that are not journaled as done. steps must hold one
// Step per line of the plan. The error is nil when the operation is closed as
// done, else a *Refusal with the exit code of DESIGN section 6.
func (r *Runner) Run(ctx context.Context, o *Operation, steps map[string]Step) error {
	again := false
	for _, line := range o.Plan.Steps {
		step, known := steps[line.Name]
		if !known {
			return r.stop(o, steps, line, fmt.Errorf("this version does not know step %q", line.Name))
		}
		done := o.Done(line.Name)
		again = again || (done && line.Name == StepPromote && o.stale(line.Name))
		if done && !again && !(step.Fresh && o.stale(line.Name)) {
			continue
		}
		if ctx.Err() != nil { // killed or aborted between two steps
			return r.failed(ctx, o, steps, line, fmt.Errorf("go on with step %s: %w", line.Name, context.Cause(ctx)))
		}
		// A step that only writes would be done although the operation was killed.
		err := context.Cause(ctx)
		if err == nil {
			err = r.step(ctx, o, line, step)
		}
		if err != nil {
			return r.failed(ctx, o, steps, line, err)
		}
	}
	return r.finish(ctx, o, fence.ResultDone, "done")
}

func (r *Runner) step(ctx context.Context, o *Operation, line StepLine, s Step) error {
	began := r.Now()
	if err := r.write(o, Record{Type: RecordIntent, Step: line.Name, N: line.N, Of: len(o.Plan.Steps), Text: line.Text}); err != nil {
		return err
	}
	r.failpoint("before:" + line.Name)
	ctx, cancel := context.WithTimeout(ctx, time.Duration(line.Limit)*time.Second)
	defer cancel()
	if err := r.carryOut(ctx, o, line, s); err != nil {
		if werr := r.outcome(o, line, began, err); werr != nil {
			return werr
		}
		return err
	}
	r.failpoint("acted:" + line.Name)
	if err := r.outcome(o, line, began, nil); err != nil {
		return err
	}
	r.failpoint("after:" + line.Name)
	return nil
}

func (r *Runner) carryOut(ctx context.Context, o *Operation, line StepLine, s Step) error {
	if s.Guard != nil {
		if err := s.Guard(ctx); err != nil {
			return err
		}
	}
	if s.Act != nil {
		if err := s.Act(ctx, &Scribe{r: r, o: o, line: line}); err != nil {
			return err
		}
	}
	if s.Verify != nil {
		return s.Verify(ctx)
	}
	return nil
}

func (r *Runner) outcome(o *Operation, line StepLine, began time.Time, err error) error {
	rec := Record{Type: RecordOutcome, Step: line.Name, N: line.N, Of: len(o.Plan.Steps), Result: fence.ResultDone,
		TookMS: r.Now().Sub(began).Milliseconds()}
	var ref *Refusal
	switch {
	case err == nil:
	case errors.As(err, &ref) && ref.Exit != ExitUnknown:
		rec.Result, rec.Text, rec.Refusal = fence.ResultNotDone, err.Error(), ref
	default:
		rec.Result, rec.Text = fence.ResultUnknown, err.Error()
	}
	return r.write(o, rec)
}

// failed decides whether the operation can be taken back or stands part-way.
func (r *Runner) failed(ctx context.Context, o *Operation, steps map[string]Step, line StepLine, err error) error {
	var je *journalError
	if errors.As(err, &je) {
		return &Refusal{Exit: ExitPartWay, Rule: "11", Reason: err.Error(), Hint: "watchdog status"}
	}
	var ref *Refusal
	// Exit 8 says that nobody knows whether the step took effect: not certain.
	certain := errors.As(err, &ref) && ref.Exit != ExitUnknown
	if r.stuck(o, steps, line.Name, certain) {
		return r.stop(o, steps, line, err)
	}
	if uerr := r.Undo(context.WithoutCancel(ctx), o, steps); uerr != nil {
		return r.stop(o, steps, line, fmt.Errorf("%w; and it could not be taken back: %w", err, uerr))
	}
	if cerr := r.finish(context.WithoutCancel(ctx), o, fence.ResultNotDone, err.Error()); cerr != nil {
		return cerr
	}
	if certain {
		return ref
	}
	return &Refusal{Exit: ExitFailed, Gate: line.Name, Reason: err.Error(), Hint: "watchdog status"}
}

// stuck says whether a sticky step has taken (or may have taken) effect.
func (r *Runner) stuck(o *Operation, steps map[string]Step, failed string, certain bool) bool {
	for name, s := range steps {
		if !s.Sticky || !o.begun(name) {
			continue
		}
		if name != failed || !certain || o.Done(name) {
			return true
		}
	}
	return false
}

// stop leaves the operation open: the intent stands, and the operator resumes
// or aborts.
func (r *Runner) stop(o *Operation, _ map[string]Step, line StepLine, err error) error {
	out := &Refusal{Exit: ExitPartWay, Gate: line.Name, Reason: fmt.Sprintf("stopped at step %d (%s): %v", line.N, line.Name, err),
		Hint: "watchdog ops resume " + o.ID + ", or: watchdog ops abort " + o.ID}
	var ref *Refusal
	if errors.As(err, &ref) {
		out.Rule = ref.Rule
		if ref.Exit == ExitUnknown {
			out.Exit = ExitUnknown
		}
		if ref.Hint != "" {
			out.Hint = ref.Hint
		}
	}
	if werr := r.write(o, Record{Type: RecordStopped, Step: line.Name, N: line.N, Of: len(o.Plan.Steps), Text: out.Reason, Refusal: out}); werr != nil {
		out.Reason += "; " + werr.Error()
	}
	return out
}

// Undo takes back the steps that were begun, newest first. It does not close
// the operation.
func (r *Runner) Undo(ctx context.Context, o *Operation, steps map[string]Step) error {
	for i := len(o.Plan.Steps) - 1; i >= 0; i-- {
		line := o.Plan.Steps[i]
		s := steps[line.Name]
		if s.Undo == nil || !o.begun(line.Name) {
			continue
		}
		uctx, cancel := context.WithTimeout(ctx, time.Duration(line.Limit)*time.Second)
		err := s.Undo(uctx)
		cancel()
		if err != nil {
			return fmt.Errorf("undo %s: %w", line.Name, err)
		}
		if err := r.write(o, Record{Type: RecordNote, Step: line.Name, N: line.N, Of: len(o.Plan.Steps), Text: "taken back"}); err != nil {
			return err
		}
	}
	return nil
}

// Abort takes back what can be taken back and closes the operation as not done.
func (r *Runner) Abort(ctx context.Context, o *Operation, steps map[string]Step, by string) error {
	if err := r.write(o, Record{Type: RecordNote, Text: "abort asked for", By: by}); err != nil {
		return err
	}
	if err := r.Undo(ctx, o, steps); err != nil {
		return r.stop(o, steps, StepLine{Name: "abort"}, err)
	}
	return r.finish(ctx, o, fence.ResultNotDone, "aborted by "+by)
}

// finish makes the outcome durable everywhere before the journal says closed:
// a crash in between closes it again.
func (r *Runner) finish(ctx context.Context, o *Operation, result fence.Result, text string) error {
	if err := r.Close(ctx, o, result); err != nil {
		return r.stop(o, nil, StepLine{Name: "close"}, err)
	}
	err := r.write(o, Record{Type: RecordClosed, Result: result, Text: text,
		TookMS: r.Now().Sub(o.began()).Milliseconds()})
	if err != nil {
		return &Refusal{Exit: ExitUnknown, Rule: "11", Reason: "the operation ended, but its journal could not say so: " + err.Error(),
			Hint: "watchdog ops show " + o.ID}
	}
	return nil
}

func (r *Runner) failpoint(point string) {
	if r.Failpoint != nil {
		r.Failpoint(point)
	}
}
