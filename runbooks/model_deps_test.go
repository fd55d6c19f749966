package runbooks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

var errGone = errors.New("server is not running")

// modelDeps are the toys that an operation of n acts through.
func (w *world) deps(n *mnode, run *mrun) Deps {
	m := &mdeps{w, n, run}
	return Deps{Self: n.name, State: m, Others: m, Fencer: m, Server: m, Promoted: m, Host: m,
		Now: func() time.Time { return time.Unix(int64(len(w.story)), 0) }, Random: func() string { w.ids++; return fmt.Sprintf("e%d", w.ids) },
		Exclusive: func() func() { n.exclusive = true; return func() { n.exclusive = false } }, SlotName: func(s string) string { return s }}
}

type mdeps struct {
	w   *world
	n   *mnode
	run *mrun
}

// pause lets the world go on in the middle of a step.
func (m *mdeps) pause() {
	if m.w.depth < 2 {
		for m.w.choose(5) == 0 {
			if !m.w.event() {
				break
			}
		}
	}
	if m.run.dead {
		panic(died{m.run})
	}
}

func (m *mdeps) Read() (fence.Durable, error) {
	d := m.n.d
	if m.w.broken.token { // as if nothing had come over this node
		d.Marker, d.Orders = nil, nil
	}
	return d, nil
}

func (m *mdeps) Apply(n fence.Notice) error { return m.n.apply(n) }

func (m *mdeps) Names() []string { return []string{m.w.other(m.n).name} }

func (m *mdeps) Tell(_ context.Context, node string, n fence.Notice) error {
	m.pause()
	if !m.w.reach() {
		return ErrNotReached
	}
	err := Applied(m.w.named(node).apply(n))
	if m.w.choose(6) == 0 {
		return ErrNotReached // it was told, and its answer was lost
	}
	return err
}

func (m *mdeps) Answer(_ context.Context, node string) (NodeFacts, error) {
	m.pause()
	if !m.w.reach() {
		return NodeFacts{}, ErrNotReached
	}
	o := m.w.named(node)
	d := o.d
	return NodeFacts{Node: node, Answers: true, Durable: &d, RunningKnown: true, RunningAsPrimary: o.pg == pgPrimary}, nil
}

func (m *mdeps) Fence(_ context.Context, o fence.Order, statedBy string) fence.Outcome {
	m.pause()
	defer m.pause()
	target := m.w.named(o.Node)
	if target == m.n || m.w.reach() {
		out := m.w.seal(target, o)
		if m.w.choose(4) == 0 {
			out.Result, out.Grade, out.Problem = fence.ResultUnknown, fence.GradeNone, "the answer was lost"
		}
		return out
	}
	out := fence.Outcome{Node: o.Node, Device: "agent", Result: fence.ResultNotDone, Problem: "no device"}
	switch m.w.choose(4) {
	case 0, 1:
		if !m.w.broken.lie {
			target.powerOff()
			m.w.tell("%s is powered off by a device", target.name)
		}
		out.Result, out.Grade = fence.ResultDone, fence.GradePower
		if m.w.choose(3) == 0 {
			out.Result, out.Grade = fence.ResultUnknown, fence.GradeNone
		}
	case 2:
		if statedBy != "" {
			out.Result, out.Grade, out.Device = fence.ResultDone, fence.GradeStated, "stated"
			if target.up && !m.w.broken.witness {
				m.w.override = true
			}
		}
	}
	return out
}

func (m *mdeps) InRecovery(context.Context) (bool, error) {
	m.pause()
	if m.n.pg == pgOff {
		return false, errGone
	}
	return m.n.pg == pgStandby, nil
}

func (m *mdeps) Positions(context.Context) (replication.LSN, replication.LSN, error) {
	return 100, 100, m.alive()
}
func (m *mdeps) StopReceiving(context.Context) error         { return m.alive() }
func (m *mdeps) ResumeReceiving(context.Context) error       { return nil }
func (m *mdeps) Settle(context.Context) error                { return m.alive() }
func (m *mdeps) CreateSlot(context.Context, string) error    { return m.alive() }
func (m *mdeps) ReleaseSync(context.Context) (string, error) { return "", m.alive() }
func (m *mdeps) Settled(context.Context, bool) error         { return m.alive() }
func (m *mdeps) Bind(context.Context) error                  { m.n.d.DataDirectory = "/data"; return nil }

func (m *mdeps) alive() error {
	m.pause()
	if m.n.pg == pgOff {
		return errGone
	}
	return nil
}

func (m *mdeps) Promote(context.Context) error {
	if m.n.pg != pgStandby {
		return errGone
	}
	m.n.pg, m.n.signal = pgPrimary, false
	m.w.tell("%s is promoted", m.n.name)
	return nil
}

func (m *mdeps) Prove(context.Context, replication.EpochRow) (replication.Timeline, error) {
	if err := m.alive(); err != nil || m.n.pg != pgPrimary {
		return 0, errGone
	}
	return 2, nil
}

func (m *mdeps) Start(context.Context) error {
	m.pause()
	m.w.gate(m.n)
	m.w.start(m.n)
	return m.alive()
}

// Append is the journal of this node, on its disk.
func (m *mdeps) Append(r Record) error {
	m.n.journal[r.Operation] = append(m.n.journal[r.Operation], r)
	return nil
}
