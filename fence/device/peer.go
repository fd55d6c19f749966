package device

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// PeerClient calls the service of another node over the control API.
type PeerClient interface {
	// Seal asks node to seal itself under the order and gives its outcome. An
	// error in whose chain a value has the method NotSent() bool, and says true,
	// means that the order certainly did not arrive; every other error means
	// that the node may be sealing itself at this moment.
	Seal(ctx context.Context, node string, o fence.Order) (fence.Outcome, error)
	// Marker asks node which marker it holds; nil when none. An answer also
	// proves that its service is there to be asked.
	Marker(ctx context.Context, node string) (*fence.Marker, error)
}

// Peer seals a node through the node's own service.
type Peer struct {
	Client   PeerClient
	Observer string // node that asks, for the evidence
	Now      func() time.Time
}

// Name implements fence.Device.
func (p Peer) Name() string { return "peer" }

// Off sends the order. The other side's evidence is kept as it was given; an
// answer for another node, or above grade sealed, is not believed.
func (p Peer) Off(ctx context.Context, o fence.Order) fence.Outcome {
	got, err := p.Client.Seal(ctx, o.Node, o)
	if err != nil {
		return p.unheard(o, err)
	}
	got.Device = p.Name()
	switch {
	case got.Node != o.Node:
		got.Result, got.Problem = fence.ResultUnknown, fmt.Sprintf("asked %s to seal itself, but %q answered", o.Node, got.Node)
	case got.Result == fence.ResultDone && got.Grade != fence.GradeSealed:
		got.Result, got.Problem = fence.ResultUnknown, fmt.Sprintf("the service of %s claims grade %s; a seal gives sealed", o.Node, got.Grade)
	case got.Result == fence.ResultDone:
		return got
	}
	got.Node, got.Grade, got.EndOfWAL = o.Node, fence.GradeNone, nil
	return got
}

func (p Peer) unheard(o fence.Order, err error) fence.Outcome {
	out := fence.Outcome{Node: o.Node, Device: p.Name(), Result: fence.ResultUnknown}
	out.Problem = fmt.Sprintf("nobody can say whether the order reached the service of %s (it may still seal itself): %v", o.Node, err)
	var e interface{ NotSent() bool }
	if errors.As(err, &e) && e.NotSent() {
		out.Result = fence.ResultNotDone
		out.Problem = fmt.Sprintf("the service of %s cannot be reached, the order was not sent: %v", o.Node, err)
	}
	out.Evidence = []fence.Evidence{{Observer: p.Observer, Text: out.Problem, At: p.Now()}}
	return out
}

// Status gives off when the node's service says that it holds a marker, on when
// it holds none. It proves that the service answers, so that readiness can tell
// whether a seal is possible now.
func (p Peer) Status(ctx context.Context, node string) (fence.PowerState, fence.Evidence, error) {
	m, err := p.Client.Marker(ctx, node)
	if err != nil {
		return fence.PowerUnknown, fence.Evidence{}, fmt.Errorf("ask the service of %s: %w", node, err)
	}
	ev := fence.Evidence{Observer: node, Text: "its service answers, no marker", At: p.Now()}
	if m == nil {
		return fence.PowerOn, ev, nil
	}
	ev.Text = fmt.Sprintf("its service answers, marker of operation %s (%s) since %s", m.Operation, m.Kind, m.SetAt.UTC().Format(time.RFC3339))
	return fence.PowerOff, ev, nil
}
