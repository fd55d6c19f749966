package fence

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Epoch names one deliberate change of primary. Number grows; ID is random and
// tells two promotions apart that took the same number (or the same timeline)
// without knowing of each other.
type Epoch struct {
	Number  uint64 `json:"number"`
	ID      string `json:"id"`
	Primary string `json:"primary"` // node that is primary in this epoch
}

// Zero reports whether no epoch was ever recorded.
func (e Epoch) Zero() bool { return e.Number == 0 }

// Same reports whether both are one and the same change of primary.
func (e Epoch) Same(o Epoch) bool { return e.Number == o.Number && e.ID == o.ID }

// Intent is the durable declaration that an operation is open. A node that
// holds any open intent, its own included, never starts as primary (DESIGN
// rule 3).
type Intent struct {
	Operation string    `json:"operation"` // operation id
	Kind      string    `json:"kind"`      // promote, fence, release, adopt
	Owner     string    `json:"owner"`     // node whose service runs it
	Target    string    `json:"target"`    // node that becomes primary; empty for fence
	Epoch     Epoch     `json:"epoch"`     // the epoch that it will make; zero for fence
	By        string    `json:"by"`        // operator
	OpenedAt  time.Time `json:"opened_at"`
	// Over names the operations of silent nodes that a release passes over, and
	// that end with it.
	Over []string `json:"over,omitempty"`
}

// Lock says which operation the node has granted itself to. It never expires
// while its operation is open (DESIGN rule 10).
type Lock struct {
	Operation string    `json:"operation"`
	Kind      string    `json:"kind"`
	Owner     string    `json:"owner"`
	By        string    `json:"by"`
	Since     time.Time `json:"since"`
	Over      []string  `json:"over,omitempty"` // as in Intent
}

// Order is a durable instruction that Node must be fenced. It stands while its
// intent is open or its epoch exists, and is void once Revoked (DESIGN rule 6).
type Order struct {
	Operation string    `json:"operation"`
	Node      string    `json:"node"`   // who must be fenced
	Issuer    string    `json:"issuer"` // who can confirm that it stands
	Epoch     Epoch     `json:"epoch"`  // the epoch that its operation makes; zero for a plain fence
	By        string    `json:"by"`
	IssuedAt  time.Time `json:"issued_at"`
	Revoked   bool      `json:"revoked"`
	Obeyed    bool      `json:"obeyed"`
	// SystemID and DataDirectory say what is to be fenced, as far as the issuer
	// knows; a node whose data is another refuses. Zero and empty: not said.
	SystemID      replication.SystemID `json:"system_identifier,omitempty"`
	DataDirectory string               `json:"data_directory,omitempty"`
}

// Marker is the local record that this node must not be primary. It lives in
// the state directory, never in the data directory: pg_rewind deletes what its
// source lacks (DESIGN rule 9).
type Marker struct {
	Operation     string               `json:"operation"`
	Kind          string               `json:"kind"` // operation kind that set it: promote, fence, rejoin
	Epoch         Epoch                `json:"epoch"`
	SystemID      replication.SystemID `json:"system_identifier"`
	DataDirectory string               `json:"data_directory"`
	By            string               `json:"by"`
	Reason        string               `json:"reason"`
	SetAt         time.Time            `json:"set_at"`
}

// BootRecord is written by the running service at each allowed start, promote,
// adopt and release.
type BootRecord struct {
	KernelBootID string    `json:"kernel_boot_id"`
	At           time.Time `json:"at"`
}

// Closed is the durable outcome of an operation, kept by its owner so that
// holders of copies can ask for it.
type Closed struct {
	Operation string    `json:"operation"`
	Result    Result    `json:"result"` // done, not_done (aborted)
	At        time.Time `json:"at"`
}

// Durable is all that a node knows after a restart and that the gate reads:
// epoch.json and fence.json in one value. The zero value knows nothing and
// permits nothing.
type Durable struct {
	Node          string               `json:"node"`
	SystemID      replication.SystemID `json:"system_identifier"`
	DataDirectory string               `json:"data_directory"`
	Epoch         Epoch                `json:"epoch"`
	Role          replication.Role     `json:"role"` // durable role: what this node is in Epoch
	Boot          *BootRecord          `json:"boot,omitempty"`
	Marker        *Marker              `json:"marker,omitempty"`
	Orders        []Order              `json:"orders,omitempty"`
	Intents       []Intent             `json:"intents,omitempty"`
	Lock          *Lock                `json:"lock,omitempty"`
	Closed        []Closed             `json:"closed,omitempty"` // newest last, bounded
}

// Stands reports whether the order still commands its node, seen by a node in
// epoch number now: an order that was revoked or obeyed is over (the marker is
// the record of an obeyed one), and a lower epoch commands nobody.
func (o Order) Stands(now uint64) bool {
	return !o.Revoked && !o.Obeyed && (o.Epoch.Zero() || o.Epoch.Number >= now)
}

// StandingOrder gives the first order against node that stands.
func (d Durable) StandingOrder(node string) (Order, bool) {
	for _, o := range d.Orders {
		if o.Node == node && o.Stands(d.Epoch.Number) {
			return o, true
		}
	}
	return Order{}, false
}

// OpenIntent gives the intent of one operation.
func (d Durable) OpenIntent(operation string) (Intent, bool) {
	for _, i := range d.Intents {
		if i.Operation == operation {
			return i, true
		}
	}
	return Intent{}, false
}
