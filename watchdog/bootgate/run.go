package bootgate

import (
	"context"
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// DefaultPeriod is how often the peers are asked while the gate waits.
const DefaultPeriod = 500 * time.Millisecond

// Options is what a gate run needs.
type Options struct {
	Node    string
	DataDir string
	Store   *state.Store
	Peers   []Peer
	// PeerWait is how long a former primary asks for a peer's permission.
	PeerWait time.Duration
	Period   time.Duration // of asking; DefaultPeriod when zero
	// Isolate makes the data directory start read-only and cut off: it writes
	// standby.signal durably and the overrides where the start command finds
	// them. Configured takes the overrides away again.
	Isolate    func() error
	Configured func() error
	// Say is told what the gate waits for, when that changes.
	Say func(text string)
	Now func() time.Time
}

// answersLast is how old the peers' answers may be when the server is let go. A
// gate that was stopped in between asks again: what a peer said minutes ago, it
// may have replaced this node since.
const answersLast = 2 * time.Second

// Run decides and applies. On an error the server must not be started: a
// decision that could not be applied is no decision. Right before it returns,
// it looks once more whether the decision would be the same: a seal, an order or
// an intent may have come in the meantime.
func Run(ctx context.Context, o Options) (fence.GateDecision, error) {
	if o.Period <= 0 {
		o.Period = DefaultPeriod
	}
	began := o.Now()
	f := fence.GateFacts{Node: o.Node}
	for {
		asked, d, err := decide(ctx, o, &f, began)
		if err != nil {
			return d, err
		}
		if err := apply(o, d); err != nil {
			return d, err
		}
		if !letsGo(d.Outcome) {
			return d, nil
		}
		readOwn(o, &f)
		if again := fence.Gate(f); again.Outcome == d.Outcome && (asked.IsZero() || o.Now().Sub(asked) < answersLast) {
			return d, nil
		}
		f.Peers, f.Asked = nil, false
	}
}

// letsGo says whether the server would start as it is configured.
func letsGo(g fence.GateOutcome) bool {
	return g == fence.GatePrimary || g == fence.GateStandby || g == fence.GateInactive
}

func readOwn(o Options, f *fence.GateFacts) {
	readState(o.Store, f)
	f.Data = readData(o.DataDir)
}

// decide also tells when the peers were asked last; zero when none was.
func decide(ctx context.Context, o Options, f *fence.GateFacts, began time.Time) (asked time.Time, d fence.GateDecision, err error) {
	readOwn(o, f)
	said := ""
	for {
		d = fence.Gate(*f)
		if d.Outcome != fence.GateUndecided {
			return asked, d, nil
		}
		if d.Reason != said && f.Asked {
			said = d.Reason
			o.Say(fmt.Sprintf("waiting up to %s: %s", o.PeerWait, d.Reason))
		}
		if f.Asked {
			if err := pause(ctx, o.Period); err != nil {
				return asked, d, err
			}
		}
		asked = o.Now()
		f.Peers, f.Asked = askAll(ctx, o.Peers, o.Node), true
		f.WaitOver = o.Now().Sub(began) >= o.PeerWait
		readOwn(o, f) // a seal or an order may have come while we waited
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("wait for peers: %w", context.Cause(ctx))
	case <-t.C:
		return nil
	}
}

// apply makes the outcome durable before anything may start.
func apply(o Options, d fence.GateDecision) error {
	for _, c := range d.CloseIntents {
		if err := o.Store.Apply(fence.Notice{Closed: &c}); err != nil {
			return fmt.Errorf("close the copy of operation %s: %w", c.Operation, err)
		}
	}
	if d.Obey != nil {
		obey(o, *d.Obey)
	}
	switch d.Outcome {
	case fence.GateIsolated:
		return o.Isolate()
	case fence.GatePrimary, fence.GateStandby, fence.GateInactive:
		return o.Configured()
	}
	return nil
}

// obey turns a standing order into this node's own marker, and keeps the order
// as obeyed, so that its abort can lift the marker again. A state directory that
// cannot be written does not make the order void: the node is isolated all the
// same, and the order stands for the next start.
func obey(o Options, order fence.Order) {
	data := readData(o.DataDir)
	m := fence.Marker{Operation: order.Operation, Kind: "order", Epoch: order.Epoch,
		SystemID: data.SystemID, DataDirectory: data.Directory, By: order.By,
		Reason: "order of " + order.Issuer + " obeyed at a start", SetAt: o.Now()}
	err := o.Store.Update(func(d fence.Durable) (fence.Durable, error) { return d.Obey(order, m), nil })
	if err != nil {
		o.Say("the marker could not be written: " + err.Error())
	}
}
