package fence

import (
	"fmt"
	"slices"
)

// keepVoid bounds the orders that are over and are kept only so that a late
// copy of one is known to be over.
const keepVoid = 64

// applyOrder records a fence order. An order of an epoch lower than the one
// this node has seen never commands it (DESIGN rule 5), nor does one whose
// operation is known to have ended without it (rule 6).
func (d Durable) applyOrder(o Order) (Durable, error) {
	switch {
	case !o.Epoch.Zero() && o.Epoch.Number < d.Epoch.Number:
		return d, fmt.Errorf("%w: order of epoch %d, this node is in epoch %d", ErrLowerEpoch, o.Epoch.Number, d.Epoch.Number)
	case !o.Epoch.Zero() && o.Epoch.Number == d.Epoch.Number && o.Epoch.ID != d.Epoch.ID:
		return d, fmt.Errorf("%w: order of epoch %d", ErrEpochConflict, o.Epoch.Number)
	case o.SystemID != 0 && d.SystemID != 0 && o.SystemID != d.SystemID:
		return d, fmt.Errorf("%w: order about %s, not %s", ErrForeign, o.SystemID, d.SystemID)
	}
	for k, have := range d.Orders {
		if have.Operation != o.Operation || have.Node != o.Node {
			continue
		}
		if have.Issuer != o.Issuer || have.Epoch != o.Epoch {
			return d, fmt.Errorf("%w: the order of %s is %s's and says something else", ErrLocked, o.Operation, have.Issuer)
		}
		// What is over is never undone by a copy that does not know it yet.
		d.Orders[k].Revoked = o.Revoked || have.Revoked
		d.Orders[k].Obeyed = o.Obeyed || have.Obeyed
		return d, nil
	}
	if d.overForGood(o) {
		return d, hasEnded(o.Operation)
	}
	d.Orders = append(d.Orders, o)
	return d, nil
}

// Obey gives the durable state after this node has taken the order for its
// marker: the marker is the record of an obeyed order, and stays when the order
// is over.
func (d Durable) Obey(o Order, m Marker) Durable {
	d = d.clone()
	d.Marker = &m
	o.Obeyed = true
	for k, have := range d.Orders {
		if have.Operation == o.Operation && have.Node == o.Node {
			d.Orders[k].Obeyed = true
			return d
		}
	}
	d.Orders = append(d.Orders, o)
	d.prune()
	return d
}

func (d *Durable) revoke(operation string) {
	for k := range d.Orders {
		if d.Orders[k].Operation == operation {
			d.Orders[k].Revoked = true
		}
	}
}

// fulfil ends the orders of a plain fence that was proven: they stood while its
// intent was open. An order of a promotion stands on with its epoch. The order
// against this node itself stands until it has obeyed: a node that was switched
// off hears of the end of the fence before its server starts again, and is to
// be found fenced all the same.
func (d *Durable) fulfil(operation string) {
	for k, o := range d.Orders {
		if o.Operation == operation && o.Epoch.Zero() && o.Node != d.Node {
			d.Orders[k].Obeyed = true
		}
	}
}

// prune forgets what can never matter again, so that the files do not grow for
// ever. Whatever stands is kept, however much it is.
func (d *Durable) prune() {
	if n := len(d.Closed) - keepClosed; n > 0 {
		d.Closed = d.Closed[n:]
	}
	void := 0
	keep := make([]Order, 0, len(d.Orders))
	for _, o := range slices.Backward(d.Orders) { // newest first
		if !o.Stands(d.Epoch.Number) {
			if d.overForGood(o) || void == keepVoid {
				continue
			}
			void++
		}
		keep = append(keep, o)
	}
	slices.Reverse(keep)
	d.Orders = keep
	if len(keep) == 0 {
		d.Orders = nil // as it is read back
	}
}

// overForGood says whether a copy of this order that comes late is refused
// without remembering it: its epoch is past, or its operation ended and the
// order with it. The order of a promotion that is done is not over so: it holds
// for its epoch, and only its own record says that it was obeyed.
func (d Durable) overForGood(o Order) bool {
	if !o.Epoch.Zero() && o.Epoch.Number < d.Epoch.Number {
		return true
	}
	c, ended := d.outcome(o.Operation)
	return ended && (c.Result == ResultNotDone || o.Epoch.Zero())
}
