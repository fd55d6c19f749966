package watchdog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
)

// apps stops and starts the application beside a primary: the own node's
// through the privileged seam, another one's through its service.
type apps struct {
	self       string
	containers []string
	restart    string // policy that a start gives
	privileged pgctl.Privileged
	others     *others
	healthy    func(ctx context.Context) observe.AppAnswer // nil: no endpoint is configured
	log        *zap.Logger
}

// Stop implements runbooks.Apps.
func (a *apps) Stop(ctx context.Context, node, operation string) error {
	return a.act(ctx, node, control.AppAct{Operation: operation})
}

// Start implements runbooks.Apps.
func (a *apps) Start(ctx context.Context, node, operation string) error {
	return a.act(ctx, node, control.AppAct{Operation: operation, Start: true})
}

func (a *apps) act(ctx context.Context, node string, what control.AppAct) error {
	if node != a.self {
		_, err := call(ctx, a.others, node, control.NodeApp, "", what)
		return err
	}
	return a.own(ctx, what.Start)
}

// own stops the containers in the reverse of the order in which it starts them,
// and reads back what came of it: what a call returns proves nothing.
func (a *apps) own(ctx context.Context, start bool) error {
	names := slices.Clone(a.containers)
	if !start {
		slices.Reverse(names)
	}
	for _, name := range names {
		var err error
		if start {
			err = a.start(ctx, name)
		} else {
			err = a.stop(ctx, name)
		}
		if err != nil {
			return err
		}
		a.log.Info("application container", zap.String("container", name), zap.Bool("started", start))
	}
	return nil
}

func (a *apps) stop(ctx context.Context, name string) error {
	if _, err := a.privileged.Do(ctx, pgctl.ContainerStop, name); err != nil {
		return fmt.Errorf("stop container %s: %w", name, err)
	}
	c, err := a.read(ctx, name)
	switch {
	case err != nil:
		return err
	case c.Status == "running" || c.Status == "restarting" || c.Status == "paused":
		return fmt.Errorf("container %s is %s after it was stopped", name, c.Status)
	case c.Restart != "no" && c.Restart != "":
		return fmt.Errorf("container %s has restart policy %s after it was switched off", name, c.Restart)
	}
	return nil
}

func (a *apps) start(ctx context.Context, name string) error {
	for _, verb := range []pgctl.Verb{pgctl.ContainerStart, pgctl.KeepVerb(a.restart)} {
		if _, err := a.privileged.Do(ctx, verb, name); err != nil {
			return fmt.Errorf("start container %s: %w", name, err)
		}
	}
	c, err := a.read(ctx, name)
	if err == nil && c.Status != "running" {
		err = fmt.Errorf("container %s is %s after it was started (exit code %d)", name, c.Status, c.Exit)
	}
	return err
}

func (a *apps) read(ctx context.Context, name string) (pgctl.ContainerState, error) {
	var c pgctl.ContainerState
	out, err := a.privileged.Do(ctx, pgctl.ContainerShow, name)
	if err == nil {
		err = json.Unmarshal([]byte(out), &c)
	}
	if err != nil {
		return c, fmt.Errorf("read status of container %s: %w", name, err)
	}
	return c, nil
}

// healthTick is the pause between two questions to an application that starts.
const healthTick = 250 * time.Millisecond

// healthLimit bounds one of them.
const healthLimit = 5 * time.Second

// Healthy implements runbooks.Apps.
func (a *apps) Healthy(ctx context.Context) error {
	if a.healthy == nil {
		return nil
	}
	t := time.NewTicker(healthTick)
	defer t.Stop()
	for {
		actx, cancel := context.WithTimeout(ctx, healthLimit)
		got := a.healthy(actx)
		cancel()
		if got.OK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until the application is healthy: %w; its last answer: status %d, %s", context.Cause(ctx), got.Status, got.Reason)
		case <-t.C:
		}
	}
}

// appAct does what another node's operation asks of the application here. Only
// the owner of an operation whose intent is open on this node may ask: gossip
// keys, and operations that have ended, move nothing (DESIGN rules 3, 6, 14).
func (s *Service) appAct(ctx context.Context, by string, what control.AppAct) error {
	d, err := s.store.Read()
	if err != nil {
		return err
	}
	if i, open := d.OpenIntent(what.Operation); !open || i.Owner != by {
		return &runbooks.Refusal{Exit: runbooks.ExitRefused, Rule: "14", Gate: "caller",
			Reason: fmt.Sprintf("%s owns no open operation %q", by, what.Operation), Hint: "watchdog ops list"}
	}
	if len(s.cfg.App.Containers) == 0 {
		return errors.New("no application container is configured here (app.containers)")
	}
	return s.apps.own(ctx, what.Start)
}
