package watchdog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// ops hosts the operations of this node: it keeps shown plans until they
// expire, runs at most one operation at a time, and remembers what the journal
// says of all others.
type ops struct {
	runner  *runbooks.Runner
	deps    runbooks.Deps
	journal *state.Journal
	log     *zap.Logger
	now     func() time.Time
	// finished is told when an operation has ended or stopped.
	finished func(*runbooks.Operation)
	// recovering says whether the own server certainly was not promoted.
	recovering func(context.Context) bool

	mu      sync.Mutex
	plans   map[string]runbooks.Plan
	current *flight
	known   map[string]*runbooks.Operation // by id, as journaled
	order   []string                       // ids, oldest first
	broken  []error                        // journals that cannot be understood
	wg      sync.WaitGroup
	root    context.Context
}

// flight is the operation that runs now.
type flight struct {
	op     *runbooks.Operation
	cancel context.CancelCauseFunc // nil until it flies
	killed error                   // why it was killed
	done   chan struct{}
	news   chan struct{} // closed and replaced at every record
}

// keepPlans bounds the plans that wait for a confirmation.
const keepPlans = 32

func newOps(j *state.Journal, log *zap.Logger, now func() time.Time) *ops {
	return &ops{journal: j, log: log, now: now, plans: map[string]runbooks.Plan{}, known: map[string]*runbooks.Operation{},
		finished: func(*runbooks.Operation) {}, recovering: func(context.Context) bool { return false }}
}

// load reads the journal. Damaged files become faults; nothing is repaired.
func (o *ops) load() {
	all, broken := o.journal.Operations()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = broken
	for _, recs := range all {
		op := runbooks.Replay(recs)
		if op == nil {
			continue
		}
		o.known[op.ID] = op
		o.order = append(o.order, op.ID)
	}
}

// faults says why this node must not act.
func (o *ops) faults() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for _, err := range o.broken {
		out = append(out, err.Error())
	}
	if err := o.journal.Broken(); err != nil {
		out = append(out, "journal cannot be written: "+err.Error())
	}
	return out
}

// newID draws five letters and digits that are not mistaken for each other when
// read over a telephone.
func newID() string {
	const letters = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
	b := make([]byte, 5)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}

// remember keeps a shown plan until somebody confirms it.
func (o *ops) remember(p runbooks.Plan) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, old := range o.plans {
		if o.expired(old) || len(o.plans) >= keepPlans {
			delete(o.plans, id)
		}
	}
	o.plans[p.ID] = p
}

func (o *ops) expired(p runbooks.Plan) bool {
	return o.now().Sub(p.MadeAt) > time.Duration(p.ValidFor)*time.Second
}

// shown gives the plan that the operator confirms; a Refusal when it is stale.
func (o *ops) shown(id string) (runbooks.Plan, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, have := o.plans[id]
	if !have || o.expired(p) {
		return p, &runbooks.Refusal{Exit: runbooks.ExitUnconfirmed, Rule: "11", Gate: "plan",
			Reason: fmt.Sprintf("plan %s is unknown or has expired on this node", id), Hint: "make a new plan: the same command without --confirm and --plan"}
	}
	return p, nil
}

// start journals a confirmed plan and runs it.
func (o *ops) start(p runbooks.Plan, r runbooks.Request) (*runbooks.Operation, error) {
	op := runbooks.NewOperation(string(p.Kind)+"-"+p.ID, p, r, nil)
	f, err := o.begin(op)
	if err != nil {
		return nil, err
	}
	if err := o.runner.Open(op); err != nil {
		o.end(f)
		return nil, &runbooks.Refusal{Exit: runbooks.ExitFailed, Rule: "11", Reason: err.Error(), Hint: "watchdog status"}
	}
	o.fly(f, func(ctx context.Context) error { return o.runner.Run(ctx, op, o.steps(op)) })
	return op, nil
}

// begin takes the one place for a running operation.
func (o *ops) begin(op *runbooks.Operation) (*flight, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.current != nil {
		return nil, locked(o.current.op)
	}
	// One plan, one operation: a second one would be written into the journal of
	// the first, which nobody could read again after a restart.
	if have := o.known[op.ID]; have != nil && have != op {
		return nil, &runbooks.Refusal{Exit: runbooks.ExitUnconfirmed, Rule: "11", Gate: "plan",
			Reason: fmt.Sprintf("operation %s of this plan has been", op.ID), Hint: "make a new plan: the same command without --confirm and --plan"}
	}
	for _, k := range o.known {
		if _, closed := k.Closed(); !closed && k.ID != op.ID {
			return nil, locked(k)
		}
	}
	f := &flight{op: op, done: make(chan struct{}), news: make(chan struct{})}
	if o.known[op.ID] == nil {
		o.order = append(o.order, op.ID)
	}
	o.known[op.ID], o.current = op, f
	return f, nil
}

func locked(op *runbooks.Operation) error {
	return &runbooks.Refusal{Exit: runbooks.ExitLocked, Rule: "10", Gate: "operation",
		Reason: fmt.Sprintf("%s %s is open (%s)", op.Plan.Kind, op.ID, op.Request.By), Hint: "watchdog ops show " + op.ID}
}

func (o *ops) fly(f *flight, run func(context.Context) error) {
	ctx, cancel := context.WithCancelCause(o.root)
	o.mu.Lock()
	f.cancel = cancel
	killed := f.killed
	o.mu.Unlock()
	if killed != nil {
		cancel(killed)
	}
	o.wg.Go(func() {
		defer cancel(nil)
		err := run(ctx)
		o.log.Info("operation left the runner", zap.String("plan", f.op.ID), zap.NamedError("err", err))
		o.finished(f.op)
		o.end(f)
	})
}

func (o *ops) end(f *flight) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.current = nil
	if f.op.Len() == 0 {
		delete(o.known, f.op.ID)
		o.order = slices.DeleteFunc(o.order, func(id string) bool { return id == f.op.ID })
	}
	close(f.news)
	close(f.done)
}

// notify wakes those who follow the operation.
func (o *ops) notify(r runbooks.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f := o.current; f != nil && f.op.ID == r.Operation {
		close(f.news)
		f.news = make(chan struct{})
	}
	o.log.Info("operation", zap.String("plan", r.Operation), zap.String("step", r.Step),
		zap.String("type", string(r.Type)), zap.Stringer("result", r.Result), zap.String("text", r.Text))
}

func (o *ops) steps(op *runbooks.Operation) map[string]runbooks.Step {
	switch op.Plan.Kind {
	case runbooks.KindPromote:
		return runbooks.PromoteSteps(o.deps, op)
	case runbooks.KindFence:
		return runbooks.FenceSteps(o.deps, op)
	case runbooks.KindRelease:
		return runbooks.ReleaseSteps(o.deps, op)
	case runbooks.KindAdopt:
		return runbooks.AdoptSteps(o.deps, op)
	}
	return nil
}

// find gives a journaled operation of this node.
func (o *ops) find(id string) (*runbooks.Operation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if op := o.known[id]; op != nil {
		return op, nil
	}
	return nil, unknownOperation(id)
}

// resume goes on with a stopped operation.
func (o *ops) resume(id string, r runbooks.Request) (*runbooks.Operation, error) {
	op, err := o.find(id)
	if err != nil {
		return nil, err
	}
	if result, closed := op.Closed(); closed {
		return nil, ended(op, result)
	}
	f, err := o.begin(op)
	if err != nil {
		return nil, err
	}
	o.mu.Lock() // lists of operations read it
	op.Request = op.Request.Merge(r)
	o.mu.Unlock()
	if err := o.runner.Resumed(op, r); err != nil {
		o.end(f)
		return nil, err
	}
	o.fly(f, func(ctx context.Context) error { return o.runner.Run(ctx, op, o.steps(op)) })
	return op, nil
}

func ended(op *runbooks.Operation, result fence.Result) error {
	word := "done"
	if result != fence.ResultDone {
		word = "not done"
	}
	return &runbooks.Refusal{Exit: runbooks.ExitFailed, Reason: fmt.Sprintf("operation %s has ended: %s", op.ID, word), Hint: "watchdog ops show " + op.ID}
}

// abort takes an operation back, killing it first when it runs.
func (o *ops) abort(ctx context.Context, id string, r runbooks.Request) (*runbooks.Operation, error) {
	op, err := o.find(id)
	if err != nil {
		return o.abandon(id, r)
	}
	if err := o.kill(ctx, id, errors.New("aborted by "+r.By)); err != nil {
		return nil, err
	}
	if result, closed := op.Closed(); closed {
		if result == fence.ResultNotDone {
			return op, nil
		}
		return nil, ended(op, result)
	}
	own, err := o.deps.State.Read()
	if err != nil {
		return nil, err
	}
	if why := runbooks.NoWayBack(op, own, func() bool { return o.recovering(ctx) }); why != "" {
		return nil, &runbooks.Refusal{Exit: runbooks.ExitRefused, Rule: "5", Gate: "abort", Reason: why, Hint: "watchdog ops resume " + op.ID}
	}
	f, err := o.begin(op)
	if err != nil {
		return nil, err
	}
	o.fly(f, func(ctx context.Context) error { return o.runner.Abort(ctx, op, o.steps(op), r.By) })
	return op, nil
}

// kill cancels the operation if it runs and waits until it has left the runner.
func (o *ops) kill(ctx context.Context, id string, cause error) error {
	o.mu.Lock()
	f := o.current
	if f == nil || (id != "" && f.op.ID != id) {
		o.mu.Unlock()
		return nil
	}
	f.killed = cause // where it has not begun to fly yet
	cancel := f.cancel
	o.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return &runbooks.Refusal{Exit: runbooks.ExitUnknown, Reason: "the operation has not stopped yet", Hint: "watchdog ops show " + f.op.ID}
	}
}

// running says whether the operation is being carried out now.
func (o *ops) running(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current != nil && o.current.op.ID == id
}
