package fence

import (
	"errors"
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Notice is one change of durable state, applied by the same rules on the node
// that makes it and on every node that is told of it. Exactly one field is set.
type Notice struct {
	Lock   *Lock        `json:"lock,omitempty"`
	Unlock *Lock        `json:"unlock,omitempty"`
	Intent *Intent      `json:"intent,omitempty"`
	Closed *Closed      `json:"closed,omitempty"`
	Order  *Order       `json:"order,omitempty"`
	Epoch  *EpochNotice `json:"epoch,omitempty"`
	// Release ends what holds this node back; only the node itself applies it,
	// as a step of the operation release, after its proof.
	Release *Release `json:"release,omitempty"`
}

// Release names the operation that lifts the marker, revokes the orders against
// the releasing node and ends the intents of others that it holds copies of.
type Release struct {
	Operation string    `json:"operation"`
	At        time.Time `json:"at"`
}

// EpochNotice records a deliberate change of primary.
type EpochNotice struct {
	Operation string               `json:"operation"`
	SystemID  replication.SystemID `json:"system_identifier"`
	Epoch     Epoch                `json:"epoch"`
	// Adopt makes a node without an epoch take its role from this one, which
	// activates its gate: only the operation adopt sets it.
	Adopt bool `json:"adopt,omitempty"`
}

// The reasons why a notice is not applied.
var (
	// ErrLocked is returned when another operation holds the lock or an open intent.
	ErrLocked = errors.New("another operation is open")
	// ErrLowerEpoch is returned for a notice of an epoch lower than the one this node has seen.
	ErrLowerEpoch = errors.New("epoch is lower than the one this node has seen")
	// ErrEpochConflict is returned for an epoch with this node's number and another id.
	ErrEpochConflict = errors.New("epoch has this node's number and another id")
	// ErrForeign is returned when the system identifier is not this node's.
	ErrForeign = errors.New("system identifier is not this node's")
	// ErrNotice is returned for a notice that says nothing or too much.
	ErrNotice = errors.New("notice must say exactly one thing")
)

// keepClosed bounds how many outcomes a node remembers for those that ask.
const keepClosed = 64

// Apply gives the durable state after the notice, or why it is refused. It is
// pure; the receiver is not changed. Applying the same notice twice is applying
// it once.
func (d Durable) Apply(n Notice) (Durable, error) {
	d = d.clone()
	switch {
	case n.count() != 1:
		return d, ErrNotice
	case n.Lock != nil:
		return d.applyLock(*n.Lock)
	case n.Unlock != nil:
		if d.Lock != nil && d.Lock.Operation == n.Unlock.Operation {
			d.Lock = nil
		}
		return d, nil
	case n.Intent != nil:
		return d.applyIntent(*n.Intent)
	case n.Closed != nil:
		return d.applyClosed(*n.Closed)
	case n.Order != nil:
		return d.applyOrder(*n.Order)
	case n.Release != nil:
		return d.applyRelease(*n.Release)
	default:
		return d.applyEpoch(*n.Epoch)
	}
}

func (n Notice) count() int {
	c := 0
	for _, set := range []bool{n.Lock != nil, n.Unlock != nil, n.Intent != nil, n.Closed != nil, n.Order != nil, n.Epoch != nil, n.Release != nil} {
		if set {
			c++
		}
	}
	return c
}

func (d Durable) clone() Durable {
	d.Orders = append([]Order(nil), d.Orders...)
	d.Intents = append([]Intent(nil), d.Intents...)
	d.Closed = append([]Closed(nil), d.Closed...)
	return d
}

func (d Durable) applyLock(l Lock) (Durable, error) {
	if d.Lock != nil && d.Lock.Operation != l.Operation {
		return d, fmt.Errorf("%w: %s %s of %s, by %s", ErrLocked, d.Lock.Kind, d.Lock.Operation, d.Lock.Owner, d.Lock.By)
	}
	for _, i := range d.Intents {
		// An intent of a node that a release has proved to be off does not hold
		// its lock back: release is the way out that ends it.
		if i.Operation != l.Operation && l.Kind != "release" {
			return d, fmt.Errorf("%w: the intent of %s %s (owner %s) stands", ErrLocked, i.Kind, i.Operation, i.Owner)
		}
	}
	d.Lock = &l
	return d, nil
}

func (d Durable) applyIntent(i Intent) (Durable, error) {
	if d.closedAlready(i.Operation) {
		return d, fmt.Errorf("%w: operation %s has ended", ErrLocked, i.Operation)
	}
	if !i.Epoch.Zero() && i.Epoch.Number <= d.Epoch.Number && !i.Epoch.Same(d.Epoch) {
		return d, fmt.Errorf("%w: intent of epoch %d, this node is in epoch %d", ErrLowerEpoch, i.Epoch.Number, d.Epoch.Number)
	}
	for k, have := range d.Intents {
		if have.Operation == i.Operation {
			d.Intents[k] = i
			return d, nil
		}
		if i.Kind != "release" {
			return d, fmt.Errorf("%w: the intent of %s %s (owner %s) stands", ErrLocked, have.Kind, have.Operation, have.Owner)
		}
	}
	d.Intents = append(d.Intents, i)
	return d, nil
}

// applyClosed ends an operation: its intent and lock go, and when it did not
// succeed its orders are revoked and its marker is lifted.
func (d Durable) applyClosed(c Closed) (Durable, error) {
	if c.Result == ResultUnknown {
		return d, fmt.Errorf("%w: operation %s closed with an unknown result", ErrNotice, c.Operation)
	}
	keep := d.Intents[:0]
	for _, i := range d.Intents {
		if i.Operation != c.Operation {
			keep = append(keep, i)
		}
	}
	d.Intents = keep
	if d.Lock != nil && d.Lock.Operation == c.Operation {
		d.Lock = nil
	}
	if c.Result == ResultNotDone {
		d.revoke(c.Operation)
	} else {
		d.fulfil(c.Operation)
	}
	if !d.closedAlready(c.Operation) {
		d.Closed = append(d.Closed, c)
		if len(d.Closed) > keepClosed {
			d.Closed = d.Closed[len(d.Closed)-keepClosed:]
		}
	}
	return d, nil
}

func (d *Durable) revoke(operation string) {
	for k := range d.Orders {
		if d.Orders[k].Operation == operation {
			d.Orders[k].Revoked = true
		}
	}
	if d.Marker != nil && d.Marker.Operation == operation {
		d.Marker = nil
	}
}

// fulfil ends the orders of a plain fence that was proven: they stood while its
// intent was open. An order of a promotion stands on with its epoch.
func (d *Durable) fulfil(operation string) {
	for k := range d.Orders {
		if d.Orders[k].Operation == operation && d.Orders[k].Epoch.Zero() {
			d.Orders[k].Obeyed = true
		}
	}
}

func (d Durable) applyRelease(r Release) (Durable, error) {
	if _, ok := d.OpenIntent(r.Operation); !ok {
		return d, fmt.Errorf("%w: the release %s has no open intent here", ErrNotice, r.Operation)
	}
	d.Marker = nil
	for k := range d.Orders {
		if d.Orders[k].Node == d.Node {
			d.Orders[k].Revoked = true
		}
	}
	for _, i := range append([]Intent(nil), d.Intents...) {
		if i.Operation == r.Operation {
			continue
		}
		ended, err := d.applyClosed(Closed{Operation: i.Operation, Result: ResultNotDone, At: r.At})
		if err != nil {
			return d, err
		}
		d = ended
	}
	return d, nil
}

func (d Durable) closedAlready(operation string) bool {
	for _, c := range d.Closed {
		if c.Operation == operation {
			return true
		}
	}
	return false
}

// applyOrder records a fence order. An order of an epoch lower than the one
// this node has seen never commands it (DESIGN rule 5).
func (d Durable) applyOrder(o Order) (Durable, error) {
	if !o.Epoch.Zero() && o.Epoch.Number < d.Epoch.Number {
		return d, fmt.Errorf("%w: order of epoch %d, this node is in epoch %d", ErrLowerEpoch, o.Epoch.Number, d.Epoch.Number)
	}
	if !o.Epoch.Zero() && o.Epoch.Number == d.Epoch.Number && o.Epoch.ID != d.Epoch.ID {
		return d, fmt.Errorf("%w: order of epoch %d", ErrEpochConflict, o.Epoch.Number)
	}
	for k, have := range d.Orders {
		if have.Operation == o.Operation && have.Node == o.Node {
			o.Revoked = o.Revoked || have.Revoked // a revocation is never undone
			o.Obeyed = o.Obeyed || have.Obeyed
			d.Orders[k] = o
			return d, nil
		}
	}
	d.Orders = append(d.Orders, o)
	return d, nil
}

func (d Durable) applyEpoch(e EpochNotice) (Durable, error) {
	switch {
	case d.SystemID != 0 && d.SystemID != e.SystemID:
		return d, fmt.Errorf("%w: %s, not %s", ErrForeign, e.SystemID, d.SystemID)
	case d.Epoch.Zero() && !e.Adopt:
		return d, fmt.Errorf("%w: this node was never adopted", ErrForeign)
	case e.Epoch.Number < d.Epoch.Number:
		return d, fmt.Errorf("%w: %d, not %d", ErrLowerEpoch, e.Epoch.Number, d.Epoch.Number)
	case e.Epoch.Number == d.Epoch.Number && e.Epoch.ID != d.Epoch.ID:
		return d, fmt.Errorf("%w: number %d", ErrEpochConflict, d.Epoch.Number)
	}
	d.SystemID = e.SystemID
	d.Epoch = e.Epoch
	d.Role = replication.RoleStandby
	if e.Epoch.Primary == d.Node {
		d.Role = replication.RolePrimary
	}
	return d, nil
}
