package runbooks

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// epochStep makes the new epoch durable here, then on every node that answers
// (DESIGN rule 5).
func (d Deps) epochStep(o *Operation) Step {
	return Step{
		Sticky: true,
		Guard:  d.held(o),
		Act: func(ctx context.Context, s *Scribe) error {
			n, err := d.epochNotice(o)
			if err != nil {
				return err
			}
			if err := Applied(d.State.Apply(fence.Notice{Epoch: &n})); err != nil {
				return err
			}
			return d.spreadEpoch(ctx, s, n, "")
		},
	}
}

// adoptStep makes the first epoch durable, on the partner before anywhere else:
// a partner that refuses (its data is another, it runs as primary) leaves
// nothing changed, and one that fell silent is not left out, because an adopted
// node without an adopted partner could never start as primary again.
func (d Deps) adoptStep(o *Operation) Step {
	return Step{
		Sticky: true,
		Guard:  d.held(o),
		Act: func(ctx context.Context, s *Scribe) error {
			n, err := d.epochNotice(o)
			if err != nil {
				return err
			}
			n.Adopt = true
			if err := d.Others.Tell(ctx, o.Plan.Other, fence.Notice{Epoch: &n}); err != nil {
				return fmt.Errorf("tell %s: %w", o.Plan.Other, err)
			}
			if err := d.State.Apply(fence.Notice{Epoch: &n}); err != nil {
				return err
			}
			return d.spreadEpoch(ctx, s, n, o.Plan.Other)
		},
	}
}

func (d Deps) epochNotice(o *Operation) (fence.EpochNotice, error) {
	i, err := d.token(o)
	if err != nil {
		return fence.EpochNotice{}, err
	}
	dur, err := d.State.Read()
	if err != nil {
		return fence.EpochNotice{}, err
	}
	n := fence.EpochNotice{Operation: o.ID, SystemID: dur.SystemID, Epoch: i.Epoch}
	if n.SystemID == 0 {
		// A node that was never adopted, or whose state was lost.
		n.SystemID, n.Adopt = o.Plan.SystemID, true
	}
	return n, nil
}

// spreadEpoch tells every node but one of an epoch that is durable here already.
func (d Deps) spreadEpoch(ctx context.Context, s *Scribe, n fence.EpochNotice, told string) error {
	for _, node := range sorted(d.Others.Names()) {
		if node == told {
			continue
		}
		if err := d.tellEpoch(ctx, s, node, n); err != nil {
			return err
		}
	}
	return s.Note("epoch %d (%s), primary %s", n.Epoch.Number, n.Epoch.ID, n.Epoch.Primary)
}

// tellEpoch gives no Refusal: the epoch is durable here, so that no answer can
// mean that nothing was changed. A node that was never adopted cannot take the
// epoch and has nothing to say against it: only adopt makes a member.
func (d Deps) tellEpoch(ctx context.Context, s *Scribe, node string, n fence.EpochNotice) error {
	err := d.Others.Tell(ctx, node, fence.Notice{Epoch: &n})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotReached):
		return s.Note("%s was not told: %v", node, err)
	}
	if a, aerr := d.Others.Answer(ctx, node); aerr == nil && a.Durable != nil && a.Durable.Epoch.Zero() {
		return s.Note("%s was never adopted and did not take the epoch: %v", node, err)
	}
	return errors.New("tell " + node + " of the epoch: " + err.Error())
}

// epochGap is how far a release jumps when the other node cannot say which
// epochs it has seen. It differs from release to release: of two nodes that were
// released without knowing of each other, one has to be the later one, because
// neither takes the word of the other when both hold one number.
func epochGap(id string) uint64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails (hash.Hash)
	return 100 + uint64(h.Sum32()%100_000)
}

// nextEpoch draws the epoch that an operation will make. For a promotion it is
// the next one: a node that knows a later epoch refuses the intent, and is
// right. A release and an adoption lie above every number that any node that
// answers has seen; where the other node cannot say which it has seen, the
// number leaves room for them.
func (d Deps) nextEpoch(ctx context.Context, o *Operation, dur fence.Durable) fence.Epoch {
	e := dur.Epoch
	if o.Plan.Kind == KindPromote {
		return newEpoch(e, o.Plan.Target, d.Random())
	}
	silent := false
	for _, node := range d.Others.Names() {
		n, err := d.Others.Answer(ctx, node)
		if err != nil || n.Durable == nil {
			silent = silent || node == o.Plan.Other
			continue
		}
		e.Number = max(e.Number, n.Durable.Epoch.Number)
	}
	next := newEpoch(e, o.Plan.Target, d.Random())
	if silent {
		next.Number += epochGap(next.ID)
	}
	return next
}
