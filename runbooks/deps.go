package runbooks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// State is the node's own durable state.
type State interface {
	Read() (fence.Durable, error)
	Apply(fence.Notice) error
}

// Others reaches the other nodes over the control API.
type Others interface {
	// Names gives every other configured node, the witness included.
	Names() []string
	// Tell applies a notice on another node. A *Refusal says that the node
	// refused; ErrNotReached (wrapped) that it did not answer.
	Tell(ctx context.Context, node string, n fence.Notice) error
	// Answer asks a node for its own facts.
	Answer(ctx context.Context, node string) (NodeFacts, error)
}

// ErrNotReached is returned for a node whose answer did not come: it may or may
// not have been told.
var ErrNotReached = errors.New("node does not answer")

// Fencer carries out and proves the fence of one node. statedBy is the operator
// who stated that the node is powered off; empty when nobody did.
type Fencer interface {
	Fence(ctx context.Context, o fence.Order, statedBy string) fence.Outcome
}

// Server is the own node's PostgreSQL while it is in recovery.
type Server interface {
	InRecovery(ctx context.Context) (bool, error)
	// Positions gives what was received and what was replayed.
	Positions(ctx context.Context) (received, replayed replication.LSN, err error)
	// StopReceiving switches the WAL receiver off; ResumeReceiving undoes it, of
	// a server that cannot be asked now as soon as it can.
	StopReceiving(ctx context.Context) error
	ResumeReceiving(ctx context.Context) error
	// Settle waits until everything that can be replayed is replayed.
	Settle(ctx context.Context) error
}

// Promoted is the own node's PostgreSQL on its way out of recovery and after.
type Promoted interface {
	CreateSlot(ctx context.Context, name string) error
	Promote(ctx context.Context) error
	// Prove writes and reads back the epoch row under a local commit and gives
	// the timeline.
	Prove(ctx context.Context, e replication.EpochRow) (replication.Timeline, error)
	// ReleaseSync ends the waiting for synchronous standbys and gives the
	// setting as it was.
	ReleaseSync(ctx context.Context) (was string, err error)
	// Settled proves a normal commit; Checkpoint forces one.
	Settled(ctx context.Context, checkpoint bool) error
}

// Host starts the own node's PostgreSQL through the boot gate.
type Host interface {
	// Start makes sure that the server runs; it is a standby or nothing.
	Start(ctx context.Context) error
	// Bind records the data directory of this node and leaves the mark of an
	// adopted node in it.
	Bind(ctx context.Context) error
}

// Deps is everything that an operation acts through.
type Deps struct {
	Self     string
	State    State
	Others   Others
	Fencer   Fencer
	Server   Server
	Promoted Promoted
	Host     Host
	Apps     Apps
	Now      func() time.Time
	// Random gives the random id of a new epoch.
	Random func() string
	// Exclusive keeps a fence of this node out while it promotes: whoever comes
	// first is finished before the other looks at the marker (DESIGN rule 6).
	Exclusive func() (unlock func())
	// SlotName names the replication slot for a node.
	SlotName func(node string) string
}

// tellAll tells every other node in the order of their names. Nodes that do not
// answer are noted and passed over: a notice reaches them when they come back.
// A refusal of any node ends it: a node that answers and refuses knows of
// another operation or of a later epoch, and that is no silence.
func (d Deps) tellAll(ctx context.Context, s *Scribe, n fence.Notice) error {
	for _, node := range sorted(d.Others.Names()) {
		if err := d.tell(ctx, s, node, n); err != nil {
			return err
		}
	}
	return nil
}

func (d Deps) tell(ctx context.Context, s *Scribe, node string, n fence.Notice) error {
	err := d.Others.Tell(ctx, node, n)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotReached):
		return s.Note("%s was not told: %v", node, err)
	}
	return fmt.Errorf("tell %s: %w", node, err)
}

// tellEnd tells every other node that something is over. Nobody can refuse an
// end, and whoever was not told asks the owner for it: no node's trouble keeps
// the others from hearing it, nor the operation open.
func (d Deps) tellEnd(ctx context.Context, n fence.Notice) {
	for _, node := range sorted(d.Others.Names()) {
		_ = d.Others.Tell(ctx, node, n)
	}
}

func sorted(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return names
}

// Applied turns the refusals of the durable rules into the exit codes of the
// command line.
func Applied(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fence.ErrLocked):
		return &Refusal{Exit: ExitLocked, Rule: "10", Reason: err.Error(), Hint: "watchdog ops list"}
	case errors.Is(err, fence.ErrLowerEpoch), errors.Is(err, fence.ErrEpochConflict), errors.Is(err, fence.ErrForeign):
		return &Refusal{Exit: ExitRefused, Rule: "5", Reason: err.Error(), Hint: "watchdog status"}
	}
	return err
}

// closeEverywhere ends the operation durably here first, then on every node
// that answers; the others ask for the outcome when they come back.
func (d Deps) closeEverywhere(ctx context.Context, o *Operation, result fence.Result) error {
	c := fence.Closed{Operation: o.ID, Result: result, At: d.Now()}
	if err := d.State.Apply(fence.Notice{Closed: &c}); err != nil {
		return err
	}
	d.tellEnd(ctx, fence.Notice{Closed: &c})
	return nil
}

// Closer gives the Runner's Close function.
func (d Deps) Closer() func(context.Context, *Operation, fence.Result) error {
	return d.closeEverywhere
}
