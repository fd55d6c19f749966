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
	// ErrLocked is returned when another operation holds the lock or an open intent,
	// and for a late word of an operation that has ended.
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

// Apply gives the durable state after the notice, or why it is refused. It is
// pure; the receiver is not changed. Applying the same notice twice is applying
// it once.
func (d Durable) Apply(n Notice) (Durable, error) {
	if err := n.check(); err != nil {
		return d, err
	}
	was := d
	d = d.clone()
	var err error
	switch {
	case n.Lock != nil:
		d, err = d.applyLock(*n.Lock)
	case n.Unlock != nil:
		if d.Lock != nil && d.Lock.Operation == n.Unlock.Operation {
			d.Lock = nil
		}
	case n.Intent != nil:
		d, err = d.applyIntent(*n.Intent)
	case n.Closed != nil:
		d, err = d.applyClosed(*n.Closed)
	case n.Order != nil:
		d, err = d.applyOrder(*n.Order)
	case n.Release != nil:
		d, err = d.applyRelease(*n.Release)
	default:
		d, err = d.applyEpoch(*n.Epoch)
	}
	if err != nil {
		return was, err
	}
	d.prune()
	return d, nil
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

// check refuses a notice that lacks what the rules tell operations, nodes and
// epochs apart by: an empty name would match other empty names.
func (n Notice) check() error {
	missing := ""
	switch {
	case n.count() != 1:
		return ErrNotice
	case n.Lock != nil && (n.Lock.Operation == "" || n.Lock.Owner == ""):
		missing = "lock without operation or owner"
	case n.Unlock != nil && n.Unlock.Operation == "":
		missing = "unlock without operation"
	case n.Intent != nil && (n.Intent.Operation == "" || n.Intent.Owner == "" || !n.Intent.Epoch.whole()):
		missing = "intent without operation, owner or whole epoch"
	case n.Closed != nil && (n.Closed.Operation == "" || n.Closed.Result == ResultUnknown):
		missing = "end without operation or with an unknown result"
	case n.Order != nil && (n.Order.Operation == "" || n.Order.Node == "" || n.Order.Issuer == "" || !n.Order.Epoch.whole()):
		missing = "order without operation, node, issuer or whole epoch"
	case n.Epoch != nil && (n.Epoch.SystemID == 0 || n.Epoch.Epoch.Zero() || !n.Epoch.Epoch.whole()):
		missing = "epoch without system identifier, number, id or primary"
	case n.Release != nil && n.Release.Operation == "":
		missing = "release without operation"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNotice, missing)
}

// whole says whether an epoch is either none at all or has all its parts.
func (e Epoch) whole() bool {
	return e == Epoch{} || (e.Number > 0 && e.ID != "" && e.Primary != "")
}

func (d Durable) clone() Durable {
	d.Orders = append([]Order(nil), d.Orders...)
	d.Intents = append([]Intent(nil), d.Intents...)
	d.Closed = append([]Closed(nil), d.Closed...)
	return d
}

func (d Durable) applyEpoch(e EpochNotice) (Durable, error) {
	switch {
	case d.SystemID != 0 && d.SystemID != e.SystemID:
		return d, fmt.Errorf("%w: %s, not %s", ErrForeign, e.SystemID, d.SystemID)
	case d.Epoch.Zero() && !e.Adopt:
		return d, fmt.Errorf("%w: this node was never adopted", ErrForeign)
	case e.Epoch.Number < d.Epoch.Number:
		return d, fmt.Errorf("%w: %d, not %d", ErrLowerEpoch, e.Epoch.Number, d.Epoch.Number)
	case e.Epoch.Number == d.Epoch.Number && e.Epoch != d.Epoch:
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
