package watchdog

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// choreEvery is how often durable facts are compared with the other nodes.
const choreEvery = 2 * time.Second

// chores keeps the durable facts of the nodes together after cuts and crashes:
// epochs are spread, standing orders are repeated until obeyed, own orders are
// obeyed, and copies of operations that have ended are closed. Everything rests
// on direct answers over the control API.
func (s *Service) chores(ctx context.Context) error {
	t := time.NewTimer(choreEvery)
	defer t.Stop()
	for {
		s.chore(ctx)
		t.Reset(replication.UntilBeat(time.Now(), choreEvery))
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func (s *Service) chore(ctx context.Context) {
	own, err := s.store.Read()
	if err != nil {
		return // a fault acts on nothing; no state has nothing to keep together
	}
	s.rememberBoot(own)
	s.closeOwn(own)
	for node, a := range s.askOthers(ctx) {
		if a.err != nil || a.facts.Durable == nil {
			continue
		}
		theirs := *a.facts.Durable
		s.spreadEpoch(ctx, node, own, theirs)
		s.repeatOrders(ctx, node, own, theirs)
		s.closeCopies(node, own, theirs)
	}
	s.obey(ctx)
	s.receiveAgain(ctx)
}

// rememberBoot writes the boot record once per boot of the host while the node
// is adopted and its server runs as its durable role says.
func (s *Service) rememberBoot(own fence.Durable) {
	b := s.bootRecord()
	if own.Epoch.Zero() || own.Marker != nil || b.KernelBootID == "" || (own.Boot != nil && own.Boot.KernelBootID == b.KernelBootID) {
		return
	}
	primary, known := s.running()
	if !known || primary != (own.Role == replication.RolePrimary) {
		return
	}
	if err := s.store.BindData("", b); err != nil {
		s.log.Warn("write boot record", zap.Error(err))
	}
}

// closeOwn ends intents and locks of this node's own operations whose journal
// says that they have ended: a crash fell between the two.
func (s *Service) closeOwn(own fence.Durable) {
	for _, i := range own.Intents {
		if i.Owner == s.cfg.Node {
			s.closeEnded(i.Operation)
		}
	}
	if own.Lock != nil && own.Lock.Owner == s.cfg.Node {
		s.closeEnded(own.Lock.Operation)
	}
}

func (s *Service) closeEnded(id string) {
	op, err := s.ops.find(id)
	if err != nil {
		return
	}
	result, closed := op.Closed()
	if !closed {
		return
	}
	s.apply("close ended operation", fence.Notice{Closed: &fence.Closed{Operation: id, Result: result, At: s.now()}})
}

func (s *Service) apply(what string, n fence.Notice) {
	if err := s.store.Apply(n); err != nil {
		s.log.Warn(what, zap.Error(err))
		return
	}
	s.log.Info(what)
	s.wake()
}

// spreadEpoch tells a node of a higher epoch that it has not heard of. A node
// that was never adopted is not told: only adopt makes a member. A witness that
// was absent then is, because its answer can only forbid.
func (s *Service) spreadEpoch(ctx context.Context, node string, own, theirs fence.Durable) {
	fresh := theirs.Epoch.Zero() && theirs.SystemID == 0 && s.cfg.Nodes[node].Witness
	if own.Epoch.Zero() || theirs.Epoch.Number >= own.Epoch.Number || (!fresh && (theirs.Epoch.Zero() || theirs.SystemID != own.SystemID)) {
		return
	}
	n := fence.EpochNotice{SystemID: own.SystemID, Epoch: own.Epoch, Adopt: fresh}
	if err := s.others.Tell(ctx, node, fence.Notice{Epoch: &n}); err != nil {
		s.log.Warn("spread epoch", zap.String("peer", node), zap.Error(err))
		return
	}
	s.log.Info("epoch told", zap.String("peer", node), zap.Uint64("epoch", own.Epoch.Number))
}

// repeatOrders repeats the standing orders that this node issued against node
// until they are obeyed (DESIGN rule 6).
func (s *Service) repeatOrders(ctx context.Context, node string, own, theirs fence.Durable) {
	for _, o := range own.Orders {
		if o.Node != node || o.Issuer != s.cfg.Node || !o.Stands(own.Epoch.Number) {
			continue
		}
		if theirs.Marker != nil && theirs.Marker.Operation == o.Operation {
			o.Obeyed = true
			s.apply("order is obeyed", fence.Notice{Order: &o})
			continue
		}
		if s.ops.running(o.Operation) {
			continue // its fence step is at it
		}
		if err := s.others.Tell(ctx, node, fence.Notice{Order: &o}); err != nil {
			s.log.Warn("repeat order", zap.String("peer", node), zap.String("plan", o.Operation), zap.Error(err))
		}
	}
}

// closeCopies ends the copies of operations whose owner says that they ended.
func (s *Service) closeCopies(owner string, own, theirs fence.Durable) {
	ended := map[string]fence.Closed{}
	for _, c := range theirs.Closed {
		ended[c.Operation] = c
	}
	for _, i := range own.Intents {
		if c, over := ended[i.Operation]; over && i.Owner == owner {
			s.apply("close copy of ended operation", fence.Notice{Closed: &c})
		}
	}
	if own.Lock != nil && own.Lock.Owner == owner {
		if c, over := ended[own.Lock.Operation]; over {
			s.apply("drop lock of ended operation", fence.Notice{Closed: &c})
		}
	}
	for _, o := range own.Orders {
		// An obeyed order, too: its marker is lifted by the abort of its operation.
		if c, over := ended[o.Operation]; over && o.Issuer == owner && !o.Revoked && c.Result == fence.ResultNotDone {
			s.apply("order is revoked", fence.Notice{Closed: &c})
		}
	}
}

// recalled says why an order that its issuer sent is over by now; empty when it
// stands, or when the issuer cannot be asked back: then its own call is the word.
// A service that was stopped for minutes finds calls that were given up long ago.
func (s *Service) recalled(ctx context.Context, o fence.Order) string {
	ctx, cancel := context.WithTimeout(ctx, factLimit)
	defer cancel()
	answer, err := call(ctx, s.others, o.Issuer, control.NodeAsk, o.Operation, control.None{})
	if err != nil || answer.Open || (answer.Known && answer.Result == fence.ResultDone && !o.Epoch.Zero()) {
		return ""
	}
	return "operation " + o.Operation + " is not open any more on " + o.Issuer
}

// obey carries out a standing order against this node, after its issuer has
// confirmed over the control API that it stands. Without that confirmation it
// waits: a condition tells people (DESIGN rule 6).
func (s *Service) obey(ctx context.Context) {
	own, err := s.store.Read()
	if err != nil && !errors.Is(err, state.ErrAbsent) {
		return
	}
	o, stands := own.StandingOrder(s.cfg.Node)
	if !stands || s.cfg.Self().Witness || o.Issuer == s.cfg.Node {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, factLimit)
	answer, err := call(ctx, s.others, o.Issuer, control.NodeAsk, o.Operation, control.None{})
	cancel()
	switch {
	case err != nil:
		return
	case answer.Known && !answer.Open && answer.Result == fence.ResultNotDone:
		s.apply("order is revoked", fence.Notice{Closed: &fence.Closed{Operation: o.Operation, Result: fence.ResultNotDone, At: s.now()}})
	case answer.Open || (answer.Known && answer.Result == fence.ResultDone && !o.Epoch.Zero()):
		s.log.Warn("obeying a fence order", zap.String("plan", o.Operation), zap.String("peer", o.Issuer), zap.Uint64("epoch", o.Epoch.Number))
		seal, done := context.WithTimeout(context.WithoutCancel(ctx), sealLimit)
		defer done()
		primary, known := s.running()
		if out := s.sealSelf(seal, o); primary && known {
			s.noteLateSeal(o, out)
		}
	}
}
