package watchdog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/audit"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// localAPI registers what the operators' commands call.
func (s *Service) localAPI(r *control.Router) {
	control.Handle(r, control.Status, func(context.Context, control.Caller, string, control.None) (view.Status, error) {
		return s.Status(), nil
	})
	control.Handle(r, control.MakePlan, func(ctx context.Context, by control.Caller, _ string, req runbooks.Request) (runbooks.Plan, error) {
		req.By = by.String()
		return s.plan(ctx, req, true)
	})
	control.Handle(r, control.StartOp, func(ctx context.Context, by control.Caller, _ string, req runbooks.Request) (control.Started, error) {
		req.By = by.String()
		return s.start(ctx, req, true)
	})
	control.Handle(r, control.ListOps, func(ctx context.Context, _ control.Caller, _ string, _ control.None) (control.OperationList, error) {
		return s.allOps(ctx), nil
	})
	control.Handle(r, control.ShowOp, func(ctx context.Context, _ control.Caller, id string, _ control.None) (control.Records, error) {
		if owner := s.ownerOf(id); owner != s.cfg.Node {
			return call(ctx, s.others, owner, control.NodeShowOp, id, control.None{})
		}
		return s.ops.show(id)
	})
	control.Handle(r, control.Doctor, func(ctx context.Context, _ control.Caller, _ string, _ control.None) (audit.Document, error) {
		return s.doctor(ctx), nil
	})
	control.Handle(r, control.ResumeOp, func(ctx context.Context, by control.Caller, id string, req runbooks.Request) (control.Started, error) {
		req.By = by.String()
		return s.goOn(ctx, "resume", id, req, true)
	})
	control.Handle(r, control.AbortOp, func(ctx context.Context, by control.Caller, id string, req runbooks.Request) (control.Started, error) {
		req.By = by.String()
		return s.goOn(ctx, "abort", id, req, true)
	})
	control.HandleFollow(r, func(ctx context.Context, _ control.Caller, id string, send func(runbooks.Record) error) error {
		return s.follow(ctx, id, send)
	})
}

// owner says which node plans and runs what is asked for: an operation runs in
// the service of the node that becomes primary.
func (s *Service) owner(req runbooks.Request) string {
	self := s.cfg.Node
	switch req.Kind {
	case runbooks.KindPromote:
		own, err := s.store.Read()
		if err != nil || own.Epoch.Zero() {
			return self
		}
		for _, n := range s.cfg.Servers() {
			if n != own.Epoch.Primary {
				return n
			}
		}
	case runbooks.KindRelease, runbooks.KindAdopt:
		if n, known := s.cfg.Nodes[req.Node]; known && !n.Witness {
			return req.Node
		}
	case runbooks.KindFence:
		if req.Node == self {
			// The other node keeps the journal of a fence better than the fenced one.
			for _, n := range s.cfg.Servers() {
				if n != self && s.heard(n) {
					return n
				}
			}
		}
	}
	return self
}

// forward hands a command to the node that owns it.
func (s *Service) forward(ctx context.Context, node string, f control.Forwarded) (control.Answer, error) {
	a, err := call(ctx, s.others, node, control.NodeForward, "", f)
	if errors.Is(err, runbooks.ErrNotReached) {
		return a, &runbooks.Refusal{Exit: runbooks.ExitUnavailable, Gate: "owner",
			Reason: fmt.Sprintf("this runs in the service of %s, which does not answer: %v", node, err), Hint: "type the same command on " + node}
	}
	return a, err
}

// plan makes a plan here or on the node that owns it.
func (s *Service) plan(ctx context.Context, req runbooks.Request, mayForward bool) (runbooks.Plan, error) {
	if node := s.owner(req); node != s.cfg.Node && mayForward {
		a, err := s.forward(ctx, node, control.Forwarded{Call: "plan", Request: req})
		if err != nil || a.Plan == nil {
			return runbooks.Plan{}, err
		}
		return *a.Plan, nil
	}
	p, err := s.makePlan(ctx, req, newID())
	if err == nil {
		s.ops.remember(p)
	}
	return p, err
}

func (s *Service) makePlan(ctx context.Context, req runbooks.Request, id string) (runbooks.Plan, error) {
	if s.cfg.Self().Witness {
		return runbooks.Plan{}, &runbooks.Refusal{Exit: runbooks.ExitUsage, Reason: s.cfg.Node + " is a witness: it holds no data",
			Hint: "type the command on one of the servers"}
	}
	switch req.Kind {
	case runbooks.KindPromote:
		own, _ := s.store.Read()
		return runbooks.PlanPromote(s.gather(ctx, own.Epoch.Primary), req, id), nil
	case runbooks.KindFence:
		return runbooks.PlanFence(s.gather(ctx, req.Node), req, id), nil
	case runbooks.KindRelease:
		return runbooks.PlanRelease(s.gather(ctx, s.partner(req.Node)), req, id), nil
	case runbooks.KindAdopt:
		return runbooks.PlanAdopt(s.gather(ctx, ""), req, id), nil
	}
	return runbooks.Plan{}, &runbooks.Refusal{Exit: runbooks.ExitUsage, Reason: fmt.Sprintf("no operation %q", req.Kind), Hint: "watchdog help"}
}

// partner gives the other data-holding node of the pair; empty when there is none.
func (s *Service) partner(node string) string {
	for _, n := range s.cfg.Servers() {
		if n != node {
			return n
		}
	}
	return ""
}

// start runs what the operator confirmed, after the evidence was read again.
func (s *Service) start(ctx context.Context, req runbooks.Request, mayForward bool) (control.Started, error) {
	if node := s.owner(req); node != s.cfg.Node && mayForward {
		a, err := s.forward(ctx, node, control.Forwarded{Call: "start", Request: req})
		if err != nil || a.Started == nil {
			return control.Started{}, err
		}
		return *a.Started, nil
	}
	id := newID()
	var was *runbooks.Plan
	if req.PlanID != "" {
		p, err := s.ops.shown(req.PlanID)
		if err != nil {
			return control.Started{}, err
		}
		was, id = &p, p.ID
	}
	now, err := s.makePlan(ctx, req, id)
	if err != nil {
		return control.Started{}, err
	}
	if err := confirmed(was, now, req); err != nil {
		return control.Started{}, err
	}
	if now.Already {
		return control.Started{Node: s.cfg.Node, Already: true, Text: now.Gates[0].Reason}, nil
	}
	op, err := s.ops.start(now, req)
	if err != nil {
		return control.Started{}, err
	}
	return control.Started{Operation: op.ID, Node: s.cfg.Node}, nil
}

// confirmed holds what the operator typed against what is true now.
func confirmed(was *runbooks.Plan, now runbooks.Plan, req runbooks.Request) error {
	if now.Already {
		return nil
	}
	if was != nil {
		if worse := runbooks.Worse(*was, now); worse != "" {
			return &runbooks.Refusal{Exit: runbooks.ExitUnconfirmed, Rule: "11", Gate: "plan",
				Reason: "the plan that was confirmed is not true any more: " + worse, Hint: "make a new plan and read it"}
		}
	}
	if now.Refusal != nil {
		return now.Refusal
	}
	if req.Node != now.Target {
		return &runbooks.Refusal{Exit: runbooks.ExitUnconfirmed, Rule: "11", Gate: "confirm",
			Reason: fmt.Sprintf("the plan is about %s, the confirmation names %q", now.Target, req.Node), Hint: "--confirm=" + now.Target}
	}
	return nil
}

// goOn resumes or aborts an operation here, or on the node that owns it.
func (s *Service) goOn(ctx context.Context, verb, id string, req runbooks.Request, mayForward bool) (control.Started, error) {
	if owner := s.ownerOf(id); owner != s.cfg.Node && mayForward {
		a, err := s.forward(ctx, owner, control.Forwarded{Call: verb, ID: id, Request: req})
		if err != nil || a.Started == nil {
			return control.Started{}, err
		}
		return *a.Started, nil
	}
	act := s.ops.resume
	if verb == "abort" {
		act = func(id string, r runbooks.Request) (*runbooks.Operation, error) { return s.ops.abort(ctx, id, r) }
	}
	op, err := act(id, req)
	if err != nil {
		return control.Started{}, err
	}
	return control.Started{Operation: op.ID, Node: s.cfg.Node}, nil
}

// ownerOf finds whose operation an id is: this node's journal, else the copies
// of intents and the lock that this node holds.
func (s *Service) ownerOf(id string) string {
	if _, err := s.ops.find(id); err == nil {
		return s.cfg.Node
	}
	own, err := s.store.Read()
	if err != nil && !errors.Is(err, state.ErrAbsent) {
		return s.cfg.Node
	}
	if i, open := own.OpenIntent(id); open {
		return i.Owner
	}
	if own.Lock != nil && own.Lock.Operation == id {
		return own.Lock.Owner
	}
	for _, n := range s.cfg.Servers() {
		if n != s.cfg.Node {
			return n
		}
	}
	return s.cfg.Node
}

// follow streams an operation; one that another node owns is asked for there.
func (s *Service) follow(ctx context.Context, id string, send func(runbooks.Record) error) error {
	if _, err := s.ops.find(id); err == nil {
		return s.ops.follow(ctx, id, send)
	}
	owner := s.ownerOf(id)
	c, err := s.others.client(owner)
	if owner == s.cfg.Node || err != nil {
		return s.ops.follow(ctx, id, send) // says that it is not known
	}
	return c.Follow(ctx, id, send)
}

// allOps gives the operations of this node and of every node that answers,
// newest first: who asks what happened does not know which node it ran on.
func (s *Service) allOps(ctx context.Context) control.OperationList {
	all := s.ops.list()
	ctx, cancel := context.WithTimeout(ctx, factLimit)
	defer cancel()
	for _, node := range s.others.Names() {
		if theirs, err := call(ctx, s.others, node, control.NodeOps, "", control.None{}); err == nil {
			all.Operations = append(all.Operations, theirs.Operations...)
		}
	}
	slices.SortStableFunc(all.Operations, func(a, b control.OperationLine) int { return b.At.Compare(a.At) })
	return all
}

// show gives the journal of one operation of this node.
func (o *ops) show(id string) (control.Records, error) {
	op, err := o.find(id)
	if err != nil {
		return control.Records{}, err
	}
	return control.Records{Records: op.Records(0)}, nil
}

// list gives every operation of this node's journal, newest first.
func (o *ops) list() control.OperationList {
	o.mu.Lock()
	defer o.mu.Unlock()
	var l control.OperationList
	for _, id := range slices.Backward(o.order) {
		l.Operations = append(l.Operations, o.line(o.known[id]))
	}
	return l
}

func (o *ops) line(op *runbooks.Operation) control.OperationLine {
	recs := op.Records(0)
	l := control.OperationLine{ID: op.ID, Kind: op.Plan.Kind, Node: op.Plan.Owner, By: op.Request.By, Reason: op.Request.Reason}
	if len(recs) == 0 {
		return l
	}
	last := recs[len(recs)-1]
	l.At, l.Step, l.Text = recs[0].At, last.Step, last.Text
	l.Took = last.At.Sub(recs[0].At).Round(time.Millisecond)
	l.State = o.state(op)
	return l
}

func (o *ops) state(op *runbooks.Operation) string {
	result, closed := op.Closed()
	switch {
	case !closed && o.current != nil && o.current.op == op:
		return "running"
	case !closed:
		return "stopped"
	case result.String() == "done":
		return "done"
	}
	return "aborted"
}
