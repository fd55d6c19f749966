package fence

import (
	"fmt"
	"slices"
)

// The bounds of what a node remembers. Outcomes are kept for those that ask;
// intents are one, and more only where releases pass over what dead nodes left.
const (
	keepClosed  = 64
	keepIntents = 16
)

func (d Durable) applyLock(l Lock) (Durable, error) {
	if d.ended(l.Operation) {
		return d, hasEnded(l.Operation)
	}
	if err := d.free(l.Operation, l.Over); err != nil {
		return d, err
	}
	d.Lock = &l
	return d, nil
}

func (d Durable) applyIntent(i Intent) (Durable, error) {
	if d.ended(i.Operation) {
		return d, hasEnded(i.Operation)
	}
	if !i.Epoch.Zero() && i.Epoch.Number <= d.Epoch.Number && !i.Epoch.Same(d.Epoch) {
		return d, fmt.Errorf("%w: intent of epoch %d, this node is in epoch %d", ErrLowerEpoch, i.Epoch.Number, d.Epoch.Number)
	}
	if err := d.free(i.Operation, i.Over); err != nil {
		return d, err
	}
	for _, have := range d.Intents {
		if have.Operation != i.Operation {
			continue
		}
		if have.Owner != i.Owner || have.Epoch != i.Epoch {
			return d, fmt.Errorf("%w: the intent of %s stands and says something else", ErrLocked, i.Operation)
		}
		return d, nil
	}
	if len(d.Intents) >= keepIntents {
		return d, fmt.Errorf("%w: %d intents stand", ErrLocked, len(d.Intents))
	}
	d.Intents = append(d.Intents, i)
	return d, nil
}

func hasEnded(operation string) error {
	return fmt.Errorf("%w: operation %s has ended", ErrLocked, operation)
}

// free says whether no other operation is open here (DESIGN rule 10). A release
// passes over the operations that it names: those that a silent node left. It
// never passes over one of this node's own, for whose owner can answer can be
// asked to abort it.
func (d Durable) free(operation string, over []string) error {
	blocks := func(other, owner string) bool {
		return other != operation && (owner == d.Node || !slices.Contains(over, other))
	}
	if l := d.Lock; l != nil && blocks(l.Operation, l.Owner) {
		return fmt.Errorf("%w: %s %s of %s, by %s", ErrLocked, l.Kind, l.Operation, l.Owner, l.By)
	}
	for _, i := range d.Intents {
		if blocks(i.Operation, i.Owner) {
			return fmt.Errorf("%w: the intent of %s %s (owner %s) stands", ErrLocked, i.Kind, i.Operation, i.Owner)
		}
	}
	return nil
}

// applyClosed ends an operation: its intent and lock go, and when it did not
// succeed its orders are revoked and its marker is lifted. The first outcome
// that is told is the outcome: a later word of another one changes nothing.
func (d Durable) applyClosed(c Closed) (Durable, error) {
	if had, ok := d.outcome(c.Operation); ok {
		c = had
	}
	var over []string
	if i, open := d.OpenIntent(c.Operation); open {
		over = i.Over
	}
	d.end(c)
	if c.Result == ResultNotDone {
		d.revoke(c.Operation)
		if d.Marker != nil && d.Marker.Operation == c.Operation {
			d.Marker = nil
		}
		return d, nil
	}
	d.fulfil(c.Operation)
	// A release that is done ends, wherever it is heard of, what it passed over
	// (DESIGN rule 3): nobody else ever would.
	for _, o := range over {
		if i, open := d.OpenIntent(o); (open && i.Owner == d.Node) || (d.Lock != nil && d.Lock.Operation == o && d.Lock.Owner == d.Node) {
			continue
		}
		d.end(Closed{Operation: o, Result: ResultNotDone, At: c.At})
		d.revoke(o)
	}
	return d, nil
}

// end drops lock and intent of an operation and remembers its outcome.
func (d *Durable) end(c Closed) {
	d.Intents = slices.DeleteFunc(d.Intents, func(i Intent) bool { return i.Operation == c.Operation })
	if len(d.Intents) == 0 {
		d.Intents = nil // as it is read back
	}
	if d.Lock != nil && d.Lock.Operation == c.Operation {
		d.Lock = nil
	}
	if !d.ended(c.Operation) {
		d.Closed = append(d.Closed, c)
	}
}

// applyRelease lets this node go (DESIGN rule 4): the marker, the orders against
// it, and the copies that others left of their operations.
func (d Durable) applyRelease(r Release) (Durable, error) {
	own, open := d.OpenIntent(r.Operation)
	if !open || own.Kind != "release" || own.Owner != d.Node || own.Target != d.Node {
		return d, fmt.Errorf("%w: the release %s of this node has no open intent here", ErrNotice, r.Operation)
	}
	d.Marker = nil
	for k := range d.Orders {
		if d.Orders[k].Node == d.Node {
			d.Orders[k].Revoked = true
		}
	}
	for _, i := range slices.Clone(d.Intents) {
		if i.Owner == d.Node {
			continue // its own operations are ended by resume or abort
		}
		d.end(Closed{Operation: i.Operation, Result: ResultNotDone, At: r.At})
		d.revoke(i.Operation)
	}
	return d, nil
}

func (d Durable) outcome(operation string) (Closed, bool) {
	for _, c := range d.Closed {
		if c.Operation == operation {
			return c, true
		}
	}
	return Closed{}, false
}

func (d Durable) ended(operation string) bool {
	_, ok := d.outcome(operation)
	return ok
}
