package watchdog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// Limits of calls to other nodes: a fact is asked of a service that answers
// from memory, a notice waits for two fsyncs.
const (
	factLimit = 1500 * time.Millisecond
	tellLimit = 3 * time.Second
)

// others reaches the other nodes over the control API.
type others struct {
	clients map[string]*control.Client
}

// Names implements runbooks.Others.
func (o *others) Names() []string {
	names := make([]string, 0, len(o.clients))
	for n := range o.clients {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (o *others) client(node string) (*control.Client, error) {
	c, known := o.clients[node]
	if !known {
		return nil, fmt.Errorf("%w: %s is not configured with a key", runbooks.ErrNotReached, node)
	}
	return c, nil
}

// call makes one call and tells silence from refusal.
func call[Req, Resp any](ctx context.Context, o *others, node string, e control.Endpoint[Req, Resp], id string, req Req) (Resp, error) {
	var none Resp
	c, err := o.client(node)
	if err != nil {
		return none, err
	}
	resp, err := control.Call(ctx, c, e, id, req)
	var silent *control.Unreachable
	if errors.As(err, &silent) {
		return none, fmt.Errorf("%w: %w", runbooks.ErrNotReached, err)
	}
	return resp, err
}

// Tell implements runbooks.Others.
func (o *others) Tell(ctx context.Context, node string, n fence.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, tellLimit)
	defer cancel()
	_, err := call(ctx, o, node, control.NodeTell, "", n)
	return err
}

// facts asks one node for what it says of itself.
func (o *others) facts(ctx context.Context, node string) (control.Facts, error) {
	ctx, cancel := context.WithTimeout(ctx, factLimit)
	defer cancel()
	f, err := call(ctx, o, node, control.NodeFacts, "", control.None{})
	if err == nil && f.Node != node {
		return f, fmt.Errorf("%w: %s says that it is %q", runbooks.ErrNotReached, node, f.Node)
	}
	return f, err
}

// Answer implements runbooks.Others.
func (o *others) Answer(ctx context.Context, node string) (runbooks.NodeFacts, error) {
	f, err := o.facts(ctx, node)
	if err != nil {
		return runbooks.NodeFacts{}, err
	}
	return nodeFacts(f), nil
}

// nodeFacts turns a direct answer into evidence.
func nodeFacts(f control.Facts) runbooks.NodeFacts {
	return runbooks.NodeFacts{Node: f.Node, Witness: f.Witness, Answers: true, Durable: f.Durable,
		RunningAsPrimary: f.RunningAsPrimary, RunningKnown: f.RunningKnown, Advanced: -1}
}

// notSent is an error after which the request certainly did not arrive.
type notSent struct{ error }

// NotSent implements what fence/device asks of an error.
func (notSent) NotSent() bool { return true }

// Unwrap gives the cause.
func (n notSent) Unwrap() error { return n.error }

// Seal implements device.PeerClient.
func (o *others) Seal(ctx context.Context, node string, order fence.Order) (fence.Outcome, error) {
	out, err := call(ctx, o, node, control.NodeSeal, "", order)
	var silent *control.Unreachable
	switch {
	case err == nil:
		return out, nil
	case errors.As(err, &silent) && !silent.OutcomeUnknown():
		return out, notSent{err}
	case !errors.As(err, &silent) && errors.Is(err, runbooks.ErrNotReached):
		return out, notSent{err}
	}
	return out, err
}

// Marker implements device.PeerClient.
func (o *others) Marker(ctx context.Context, node string) (*fence.Marker, error) {
	f, err := o.facts(ctx, node)
	if err != nil {
		return nil, err
	}
	if f.Durable == nil {
		return nil, fmt.Errorf("%s cannot read its own state: %s", node, f.StateFault)
	}
	return f.Durable.Marker, nil
}

func (o *others) close() {
	for _, c := range o.clients {
		c.Close()
	}
}
