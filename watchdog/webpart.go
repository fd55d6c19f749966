package watchdog

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
	"github.com/gestionale-fullstack/watchdog/watchdog/web"
)

// webPart is the read-only web server on its listener.
type webPart struct {
	server   *web.Server
	listener net.Listener
}

// Run answers until ctx ends.
func (w *webPart) Run(ctx context.Context) error { return w.server.Run(ctx, w.listener) }

// makeWeb opens metrics, health and role endpoints, unless they are switched off.
func (s *Service) makeWeb(o Options) error {
	if s.cfg.Listen.Web == config.Off {
		return nil
	}
	server, err := web.New(web.Options{Source: (*pages)(s), Registry: o.Registry, Now: s.now, Log: s.log,
		Build: web.Build{Version: s.version, GoVersion: runtime.Version()}})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", s.cfg.Listen.Web)
	if err != nil {
		return fmt.Errorf("listen for the web pages: %w", err)
	}
	s.later(func() { _ = l.Close() })
	s.web = &webPart{server, l}
	return nil
}

// pages is what the web server may read of the service.
type pages Service

// View implements web.Source.
func (p *pages) View() (view.View, view.Limits) {
	s := (*Service)(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.board.View(s.now()), s.lim()
}

// Status implements web.Source.
func (p *pages) Status() view.Status { return (*Service)(p).Status() }

// Health implements web.Source.
func (p *pages) Health() web.Health {
	s := (*Service)(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := web.Health{Round: s.lastLoop, Interval: s.roundEvery()}
	if !s.ready {
		h.NotReady = "the first probes have not answered yet"
	}
	return h
}

// Figures implements web.Source.
func (p *pages) Figures() web.Figures {
	s := (*Service)(p)
	dropped := s.gossip.Stats() // what no decoder ever saw
	f := web.Figures{Channels: map[string]web.Channel{}, Operations: s.ops.figures(),
		RejectedReports: s.rejected.Load() + dropped.Oversize + dropped.Malformed + dropped.Foreign}
	for _, m := range s.engine.Metrics() {
		f.Channels[m.Channel] = web.Channel{Sent: m.Delivered, Failed: m.Failed, LastSuccess: m.LastSuccess, Queued: m.Spooled}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.ReloadOK, f.ReloadedAt = s.reloadErr == nil, s.reloadedAt
	return f
}

// figures counts the operations of this node's journal by kind.
func (o *ops) figures() map[string]web.Operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := map[string]web.Operation{}
	for _, k := range []runbooks.Kind{runbooks.KindPromote, runbooks.KindFence, runbooks.KindRelease, runbooks.KindAdopt} {
		out[string(k)] = web.Operation{}
	}
	for _, op := range o.known {
		f := out[string(op.Plan.Kind)]
		f.Started++
		if result, closed := op.Closed(); closed && result != fence.ResultDone {
			f.Failed++
		}
		f.Running = f.Running || (o.current != nil && o.current.op == op)
		out[string(op.Plan.Kind)] = f
	}
	return out
}

// reloaded notes a configuration that was read and applied.
func (s *Service) reloaded(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reloadErr, s.reloadedAt = nil, at
}
