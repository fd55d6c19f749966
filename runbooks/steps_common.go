package runbooks

import (
	"context"
	"fmt"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// lockStep takes the operation's lock on every node that answers, always in the
// order of their names: of two operators who start at once, one wins.
func (d Deps) lockStep(o *Operation) Step {
	return Step{
		Act: func(ctx context.Context, s *Scribe) error {
			l := fence.Lock{Operation: o.ID, Kind: string(o.Plan.Kind), Owner: d.Self, By: o.Request.By, Since: d.Now(), Over: o.Plan.Over}
			for _, node := range sorted(append(d.Others.Names(), d.Self)) {
				if node == d.Self {
					if err := Applied(d.State.Apply(fence.Notice{Lock: &l})); err != nil {
						return d.unlock(ctx, l, err)
					}
					continue
				}
				if err := d.tell(ctx, s, node, fence.Notice{Lock: &l}); err != nil {
					return d.unlock(ctx, l, err)
				}
			}
			return nil
		},
		Undo: func(ctx context.Context) error {
			return d.unlock(ctx, fence.Lock{Operation: o.ID}, nil)
		},
	}
}

// unlock gives the lock back wherever it was taken and passes err on. A node
// that this does not reach drops its copy when it hears that the operation has
// ended.
func (d Deps) unlock(ctx context.Context, l fence.Lock, err error) error {
	n := fence.Notice{Unlock: &l}
	if uerr := d.State.Apply(n); uerr != nil && err == nil {
		err = uerr
	}
	d.tellEnd(ctx, n)
	return err
}

// intentStep records the intent durably here and on every node that answers,
// before anything is fenced (DESIGN rule 3). The epoch's random id is drawn
// once: a resume finds it in the intent.
func (d Deps) intentStep(o *Operation) Step {
	return Step{Act: func(ctx context.Context, s *Scribe) error {
		dur, err := d.State.Read()
		if err != nil {
			return err
		}
		i, have := dur.OpenIntent(o.ID)
		if !have {
			if !dur.Epoch.Same(o.Plan.Epoch) {
				return &Refusal{Exit: ExitUnconfirmed, Rule: "5", Gate: "plan", Reason: fmt.Sprintf("the epoch changed from %d to %d (primary %s) since the plan was made",
					o.Plan.Epoch.Number, dur.Epoch.Number, dur.Epoch.Primary), Hint: "make a new plan and read it"}
			}
			i = fence.Intent{Operation: o.ID, Kind: string(o.Plan.Kind), Owner: d.Self, Target: o.Plan.Target,
				By: o.Request.By, OpenedAt: d.Now(), Over: o.Plan.Over}
			if o.Plan.Kind != KindFence {
				i.Epoch = d.nextEpoch(ctx, o, dur)
			}
		}
		if err := Applied(d.State.Apply(fence.Notice{Intent: &i})); err != nil {
			return err
		}
		return d.tellAll(ctx, s, fence.Notice{Intent: &i})
	}}
}

// token re-validates the right to go on: a fence, a rejoin or an abort that
// reached this node meanwhile has taken it away (DESIGN rule 6).
func (d Deps) token(o *Operation) (fence.Intent, error) {
	dur, err := d.State.Read()
	if err != nil {
		return fence.Intent{}, err
	}
	i, open := dur.OpenIntent(o.ID)
	own := o.Plan.Kind == KindFence && o.Plan.Target == d.Self // its own marker and order are what it is about
	switch {
	case !open:
		return i, &Refusal{Exit: ExitRefused, Rule: "6", Reason: "the intent of this operation is not open any more", Hint: "watchdog status"}
	case dur.Marker != nil && !(own && dur.Marker.Operation == o.ID):
		return i, &Refusal{Exit: ExitRefused, Rule: "6", Reason: fmt.Sprintf("%s was fenced meanwhile by operation %s", d.Self, dur.Marker.Operation), Hint: "watchdog status"}
	case !i.Epoch.Zero() && dur.Epoch.Number > i.Epoch.Number,
		!i.Epoch.Zero() && dur.Epoch.Number == i.Epoch.Number && !dur.Epoch.Same(i.Epoch):
		return i, &Refusal{Exit: ExitRefused, Rule: "5", Reason: fmt.Sprintf("epoch %d was made meanwhile (primary %s)", dur.Epoch.Number, dur.Epoch.Primary), Hint: "watchdog status"}
	}
	if order, stands := dur.StandingOrder(d.Self); stands && !(own && order.Operation == o.ID) {
		return i, &Refusal{Exit: ExitRefused, Rule: "6", Reason: fmt.Sprintf("a fence order of operation %s stands against %s", order.Operation, d.Self), Hint: "watchdog status"}
	}
	return i, nil
}

// held is the guard of every step after the intent.
func (d Deps) held(o *Operation) func(context.Context) error {
	return func(context.Context) error {
		_, err := d.token(o)
		return err
	}
}

// fenceStep makes the order durable, spreads it, carries the fence out and
// takes only a proof for a fence.
func (d Deps) fenceStep(o *Operation, node string) Step {
	return Step{
		Sticky: true,
		Fresh:  true,
		Guard:  d.held(o),
		Act: func(ctx context.Context, s *Scribe) error {
			i, err := d.token(o)
			if err != nil {
				return err
			}
			order := fence.Order{Operation: o.ID, Node: node, Issuer: d.Self, Epoch: i.Epoch, By: o.Request.By, IssuedAt: d.Now()}
			if err := Applied(d.State.Apply(fence.Notice{Order: &order})); err != nil {
				return err
			}
			if err := d.spreadOrder(ctx, s, order); err != nil {
				return err
			}
			out := d.Fencer.Fence(ctx, order, statedBy(o, node))
			if err := s.Fence(out); err != nil {
				return err
			}
			return judgeFence(o, out)
		},
	}
}

// spreadOrder tells every node of the order. A node that refuses it (of a
// higher epoch, say) is noted: the proof of the fence decides, not the order.
func (d Deps) spreadOrder(ctx context.Context, s *Scribe, order fence.Order) error {
	for _, node := range sorted(d.Others.Names()) {
		if err := d.Others.Tell(ctx, node, fence.Notice{Order: &order}); err != nil {
			if nerr := s.Note("%s did not take the order: %v", node, err); nerr != nil {
				return nerr
			}
		}
	}
	return nil
}

func statedBy(o *Operation, node string) string {
	if o.Request.StatedOff == node && node != "" {
		return o.Request.By
	}
	return ""
}

// weaker says whether a fence came out as one for which the operator would have
// had to type more than he did. A peer that answers again by the time of the fence
// is sealed instead of switched off: both are proven by reading back.
func weaker(out fence.Outcome, planned FencePlan) bool {
	return out.Grade < planned.Grade && phrase(out.Node, out.Grade) != phrase(out.Node, planned.Grade)
}

// judgeFence takes only what was read back, and nothing weaker than what the
// operator confirmed.
func judgeFence(o *Operation, out fence.Outcome) error {
	switch {
	case out.Result == fence.ResultUnknown:
		return &Refusal{Exit: ExitUnknown, Rule: "2", Reason: fmt.Sprintf("the outcome of the fence of %s is unknown: %s", out.Node, out.Problem),
			Hint: "look at " + out.Node + "; then watchdog ops resume " + o.ID + ", or: watchdog ops abort " + o.ID}
	case out.Result != fence.ResultDone || out.Grade < fence.GradeStated:
		return &Refusal{Exit: ExitRefused, Rule: "2", Reason: fmt.Sprintf("%s is not fenced: %s", out.Node, out.Problem),
			Hint: "switch it off by hand, then add --i-have-powered-off " + out.Node}
	case weaker(out, o.Plan.Fence) && statedBy(o, out.Node) == "":
		return &Refusal{Exit: ExitUnknown, Rule: "2", Reason: fmt.Sprintf("the fence of %s is only %s, the plan said %s", out.Node, out.Grade, o.Plan.Fence.Grade),
			Hint: "watchdog ops resume " + o.ID + " --i-have-powered-off " + out.Node}
	}
	return nil
}

func (d Deps) closeStep(o *Operation) Step {
	return Step{Act: func(ctx context.Context, _ *Scribe) error {
		return d.closeEverywhere(ctx, o, fence.ResultDone)
	}}
}
