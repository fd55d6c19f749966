package watchdog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/audit"
	"github.com/gestionale-fullstack/watchdog/watchdog/bootgate"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// nodeAPI registers what the other nodes call. Whose key made the call is in
// the Caller: a node speaks only for itself.
func (s *Service) nodeAPI(r *control.Router) {
	control.Handle(r, control.NodePing, func(context.Context, control.Caller, string, control.None) (control.Pong, error) {
		return control.Pong{Node: s.cfg.Node, Clock: time.Now()}, nil
	})
	control.Handle(r, control.NodeFacts, func(context.Context, control.Caller, string, control.None) (control.Facts, error) {
		return s.facts(), nil
	})
	control.Handle(r, control.NodeTell, func(ctx context.Context, by control.Caller, _ string, n fence.Notice) (control.None, error) {
		return control.None{}, s.told(ctx, by.Node, n)
	})
	control.Handle(r, control.NodeAsk, func(_ context.Context, _ control.Caller, id string, _ control.None) (control.Standing, error) {
		return s.standing(id)
	})
	control.Handle(r, control.NodeSeal, func(ctx context.Context, by control.Caller, _ string, o fence.Order) (fence.Outcome, error) {
		if o.Issuer != by.Node {
			return fence.Outcome{}, foreignVoice(by.Node, o.Issuer)
		}
		if over := s.recalled(ctx, o); over != "" {
			return fence.Outcome{Node: s.cfg.Node, Result: fence.ResultNotDone, Device: "local", Problem: over}, nil
		}
		return s.sealSelf(ctx, o), nil
	})
	control.Handle(r, control.NodeApp, func(ctx context.Context, by control.Caller, _ string, a control.AppAct) (control.None, error) {
		return control.None{}, s.appAct(ctx, by.Node, a)
	})
	control.Handle(r, control.NodeEndOfWAL, func(_ context.Context, _ control.Caller, _ string, q control.WALQuestion) (fence.EndOfWAL, error) {
		return s.endOfWAL(q.From)
	})
	control.Handle(r, control.NodeAudit, func(ctx context.Context, _ control.Caller, _ string, _ control.None) (audit.Local, error) {
		return s.auditLocal(ctx), nil
	})
	control.Handle(r, control.NodeOps, func(context.Context, control.Caller, string, control.None) (control.OperationList, error) {
		return s.ops.list(), nil
	})
	control.Handle(r, control.NodeShowOp, func(_ context.Context, _ control.Caller, id string, _ control.None) (control.Records, error) {
		return s.ops.show(id)
	})
	control.Handle(r, control.NodeForward, func(ctx context.Context, by control.Caller, _ string, f control.Forwarded) (control.Answer, error) {
		return s.forwarded(ctx, by, f)
	})
	control.HandleFollow(r, func(ctx context.Context, _ control.Caller, id string, send func(runbooks.Record) error) error {
		return s.ops.follow(ctx, id, send)
	})
}

func foreignVoice(caller, claimed string) error {
	return &runbooks.Refusal{Exit: runbooks.ExitRefused, Rule: "14", Gate: "caller",
		Reason: fmt.Sprintf("%s speaks in the name of %q", caller, claimed)}
}

// facts is what this node says of itself.
func (s *Service) facts() control.Facts {
	f := control.Facts{Node: s.cfg.Node, Witness: s.cfg.Self().Witness, Boot: s.boot, Clock: time.Now()}
	d, err := s.store.Read()
	switch {
	case err == nil || errors.Is(err, state.ErrAbsent):
		f.Durable = &d
	default:
		f.StateFault = err.Error()
	}
	f.RunningAsPrimary, f.RunningKnown = s.running()
	r := s.observer.Report()
	r.Login = s.readiness.loginReport(s.now())
	f.Report = &r
	return f
}

// told applies a notice of another node, after holding it against who sent it.
func (s *Service) told(_ context.Context, by string, n fence.Notice) error {
	if owner := voice(n); owner != "" && owner != by {
		return foreignVoice(by, owner)
	}
	if n.Release != nil {
		return foreignVoice(by, s.cfg.Node)
	}
	if n.Closed != nil {
		if err := s.mayEnd(by, n.Closed.Operation); err != nil {
			return err
		}
	}
	if n.Unlock != nil {
		if err := s.mayEnd(by, n.Unlock.Operation); err != nil {
			return err
		}
	}
	if n.Epoch != nil && n.Epoch.Adopt {
		if err := s.mayBeAdopted(*n.Epoch); err != nil {
			return err
		}
	}
	if err := runbooks.Applied(s.store.Apply(n)); err != nil {
		s.log.Warn("notice refused", zap.String("peer", by), zap.NamedError("err", err))
		return err
	}
	if n.Epoch != nil && n.Epoch.Adopt {
		if err := s.bind(); err != nil {
			return err
		}
	}
	s.wake()
	return nil
}

// voice gives the node in whose name a notice speaks; empty when any node may
// pass it on, as an epoch that exists.
func voice(n fence.Notice) string {
	switch {
	case n.Lock != nil:
		return n.Lock.Owner
	case n.Intent != nil:
		return n.Intent.Owner
	case n.Order != nil:
		return n.Order.Issuer
	}
	return ""
}

// mayEnd lets only the owner of an operation end its copies, revoke its orders
// and so lift its marker.
func (s *Service) mayEnd(by, operation string) error {
	d, err := s.store.Read()
	if err != nil && !errors.Is(err, state.ErrAbsent) {
		return err
	}
	if i, open := d.OpenIntent(operation); open && i.Owner != by {
		return foreignVoice(by, i.Owner)
	}
	if d.Lock != nil && d.Lock.Operation == operation && d.Lock.Owner != by {
		return foreignVoice(by, d.Lock.Owner)
	}
	for _, o := range d.Orders {
		if o.Operation == operation && o.Issuer != by {
			return foreignVoice(by, o.Issuer)
		}
	}
	return nil
}

// mayBeAdopted refuses an adoption that does not fit the data of this node.
func (s *Service) mayBeAdopted(e fence.EpochNotice) error {
	if s.cfg.Self().Witness {
		return nil
	}
	id, known := s.systemID()
	if known && id != e.SystemID {
		return &runbooks.Refusal{Exit: runbooks.ExitRefused, Rule: "13", Gate: "system-id",
			Reason: fmt.Sprintf("%s holds system identifier %s, not %s", s.cfg.Node, id, e.SystemID), Hint: "watchdog status"}
	}
	if primary, sure := s.running(); e.Epoch.Primary != s.cfg.Node && sure && primary {
		return &runbooks.Refusal{Exit: runbooks.ExitRefused, Rule: "1", Gate: "other-primary",
			Reason: s.cfg.Node + " runs as primary", Hint: "watchdog status"}
	}
	return nil
}

// standing answers whether an operation of this node still stands.
func (s *Service) standing(id string) (control.Standing, error) {
	d, err := s.store.Read()
	if err != nil {
		return control.Standing{}, err
	}
	if _, open := d.OpenIntent(id); open {
		return control.Standing{Open: true, Known: true}, nil
	}
	for _, c := range d.Closed {
		if c.Operation == id {
			return control.Standing{Known: true, Result: c.Result}, nil
		}
	}
	return control.Standing{}, nil
}

// forwarded runs a command of an operator who sits at another node.
func (s *Service) forwarded(ctx context.Context, by control.Caller, f control.Forwarded) (control.Answer, error) {
	f.Request.By += " via " + by.Node
	switch f.Call {
	case "plan":
		p, err := s.plan(ctx, f.Request, false)
		return control.Answer{Plan: &p}, err
	case "start":
		st, err := s.start(ctx, f.Request, false)
		return control.Answer{Started: &st}, err
	case "resume", "abort":
		st, err := s.goOn(ctx, f.Call, f.ID, f.Request, false)
		return control.Answer{Started: &st}, err
	}
	return control.Answer{}, &runbooks.Refusal{Exit: runbooks.ExitUsage, Reason: fmt.Sprintf("no forwarded call %q", f.Call)}
}

// sealSelf fences the own node: an operation in progress here is killed, and a
// promotion that is under way is finished or refused before the marker is set.
func (s *Service) sealSelf(ctx context.Context, o fence.Order) fence.Outcome {
	out := fence.Outcome{Node: s.cfg.Node, Result: fence.ResultNotDone, Device: "local"}
	if o.Node != s.cfg.Node || s.sealer == nil {
		out.Problem = fmt.Sprintf("an order against %q cannot be obeyed by %s", o.Node, s.cfg.Node)
		return out
	}
	if err := s.ops.killOther(ctx, o); err != nil {
		out.Problem = err.Error()
		return out
	}
	defer s.exclusive()()
	if err := s.store.Apply(fence.Notice{Order: &o}); err != nil {
		out.Problem = err.Error()
		return out
	}
	if d, err := s.store.Read(); err != nil || !stands(d, o) {
		out.Problem = fmt.Sprintf("the order of operation %s does not stand here (state: %v)", o.Operation, err)
		return out
	}
	out = s.sealer.Seal(ctx, o)
	if out.Result == fence.ResultDone {
		o.Obeyed = true
		if err := s.store.Apply(fence.Notice{Order: &o}); err != nil {
			s.log.Error("record that an order is obeyed", zap.Error(err))
		}
	}
	s.wake()
	return out
}

// stands says whether an order is neither revoked nor overtaken; one that was
// obeyed is sealed again, which only verifies.
func stands(d fence.Durable, o fence.Order) bool {
	for _, have := range d.Orders {
		if have.Operation == o.Operation && have.Node == o.Node {
			return !have.Revoked && (have.Epoch.Zero() || have.Epoch.Number >= d.Epoch.Number)
		}
	}
	return false
}

// killOther ends the operation in progress on this node unless the order is its
// own.
func (o *ops) killOther(ctx context.Context, order fence.Order) error {
	o.mu.Lock()
	f := o.current
	o.mu.Unlock()
	if f == nil || f.op.ID == order.Operation {
		return nil
	}
	return o.kill(ctx, f.op.ID, fmt.Errorf("this node is fenced by operation %s of %s", order.Operation, order.Issuer))
}

// bind records the data directory of this node and marks it as adopted.
func (s *Service) bind() error {
	if s.cfg.Self().Witness {
		return nil
	}
	d, err := s.store.Read()
	if err != nil {
		return err
	}
	if err := bootgate.MarkAdopted(s.cfg.Postgres.DataDir, d.SystemID); err != nil {
		return err
	}
	return s.store.BindData(bootgate.RealDir(s.cfg.Postgres.DataDir), s.bootRecord())
}
