package watchdog

import (
	"context"
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/fence/device"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

// linger is how long an answer of the fenced node may outlast a device's "off"
// before it counts as a contradiction.
const linger = 3 * time.Second

// sealLimit bounds a seal through the peer's service: a clean stop may
// checkpoint for a while before the harder stops come.
const sealLimit = 100 * time.Second

// fencer carries out fences: a chain of devices per node, and the local seal
// for the own one.
type fencer struct {
	self   string
	others *others
	local  func(ctx context.Context, o fence.Order) fence.Outcome
	agents map[string][]fence.Link
	every  map[string][]time.Duration // status_interval of each of the agents
	// answers says whether a node's server or service answers now.
	answers func(ctx context.Context, node string) (bool, fence.Evidence)
	now     func() time.Time
}

// newAgents builds the configured devices of every node.
func newAgents(cfg *config.Config, now func() time.Time) (map[string][]fence.Link, error) {
	out := map[string][]fence.Link{}
	for name, n := range cfg.Nodes {
		for _, d := range n.Fence {
			if d.Type != "agent" {
				continue // "peer" is implied
			}
			o := device.AgentOptions{Node: name, Program: d.Agent, Options: d.Options, Observer: cfg.Node, Now: now}
			if d.PasswordFile.Set() {
				o.Secrets = map[string]string{"password": d.PasswordFile.Path}
			}
			a, err := device.NewAgent(o)
			if err != nil {
				return nil, fmt.Errorf("configure fence device of %s: %w", name, err)
			}
			out[name] = append(out[name], fence.Link{Device: a, Grade: fence.GradePower, Limit: d.OffLimit})
		}
	}
	return out, nil
}

// statusIntervals gives how often each agent of every node is asked for its
// status, in the order of newAgents.
func statusIntervals(cfg *config.Config) map[string][]time.Duration {
	out := map[string][]time.Duration{}
	for name, n := range cfg.Nodes {
		for _, d := range n.Fence {
			if d.Type == config.DeviceAgent {
				out[name] = append(out[name], d.StatusInterval)
			}
		}
	}
	return out
}

// chain gives the devices that can fence node, the peer's own service first.
func (f *fencer) chain(node, statedBy string) fence.Chain {
	c := fence.Chain{Node: node, Observer: f.self, Linger: linger, Now: f.now,
		StillAnswers: func(ctx context.Context) (bool, fence.Evidence) { return f.answers(ctx, node) }}
	if node != f.self {
		c.Links = append(c.Links, fence.Link{Grade: fence.GradeSealed, Limit: sealLimit,
			Device: device.Peer{Client: f.others, Observer: f.self, Now: f.now}})
	}
	c.Links = append(c.Links, f.agents[node]...)
	if statedBy != "" {
		c.Links = append(c.Links, fence.Link{Device: device.Stated{Node: node, By: statedBy, Now: f.now},
			Grade: fence.GradeStated, Limit: time.Second})
	}
	return c
}

// Fence implements runbooks.Fencer.
func (f *fencer) Fence(ctx context.Context, o fence.Order, statedBy string) fence.Outcome {
	if o.Node == f.self {
		return f.local(ctx, o)
	}
	return f.chain(o.Node, statedBy).Fence(ctx, o)
}

// ready says what each device of node could do now; it changes nothing.
func (f *fencer) ready(ctx context.Context, node string) []runbooks.DeviceFact {
	if node == f.self {
		return []runbooks.DeviceFact{{Name: "local", Grade: fence.GradeSealed, Ready: true, Text: "this node's own service"}}
	}
	return f.asked(ctx, f.chain(node, ""))
}
