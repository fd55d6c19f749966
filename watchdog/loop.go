package watchdog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/gossip"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// leaveLimit bounds telling the others of a planned stop: the whole stop stays
// under 5 s.
const leaveLimit = 1500 * time.Millisecond

// Run watches until ctx ends, then stops in order: the others are told, running
// operations stop part-way (their journal says so), everything is joined.
func (s *Service) Run(ctx context.Context) error {
	defer s.close()
	// Parts end after the loop has announced the stop.
	parts, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.ops.root = parts
	var wg sync.WaitGroup
	errs := make(chan error, 9)
	failed, fail := context.WithCancel(ctx)
	defer fail()
	run := func(name string, f func(context.Context) error) {
		wg.Go(func() {
			if err := f(parts); err != nil && parts.Err() == nil {
				errs <- fmt.Errorf("%s: %w", name, err)
				fail()
			}
		})
	}
	run("control socket", s.local.Run)
	run("node API", s.node.Run)
	run("gossip", s.gossip.Run)
	run("probes", s.observer.Run)
	run("alerts", s.engine.Run)
	run("chores", s.chores)
	run("lag history", s.lag.Run)
	run("partings", s.partings.Run)
	run("readiness", s.watchReadiness)
	if s.web != nil {
		run("web", s.web.Run)
	}
	s.log.Info("service started", zap.String("node", s.cfg.Node), zap.String("version", s.version), zap.String("cluster", s.cfg.Cluster))
	s.loop(failed)
	s.announceStop()
	stop()
	wg.Wait()
	s.ops.wg.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	s.log.Info("service stopped", zap.String("node", s.cfg.Node))
	return errors.Join(all...)
}

// calmRounds is how many report periods pass between two rounds while nothing
// happens.
const calmRounds = 2

// roundEvery is the longest time between two rounds.
func (s *Service) roundEvery() time.Duration { return calmRounds * s.cfg.Gossip.Report }

// loop publishes, judges and alerts: every report period, more slowly while
// nothing happens, and at once when a probe or a peer says that something
// changed.
func (s *Service) loop(ctx context.Context) {
	t := time.NewTimer(s.cfg.Gossip.Report)
	defer t.Stop()
	ready := false
	for {
		period := s.cfg.Gossip.Report
		if calm := s.round(); calm && ready {
			period = s.roundEvery()
		}
		t.Reset(replication.UntilBeat(time.Now(), period))
		if !ready && s.probed() {
			ready = true
			s.mu.Lock()
			s.ready = true
			s.mu.Unlock()
			s.notify(daemon.SdNotifyReady)
		}
		s.notify(daemon.SdNotifyWatchdog)
		select {
		case <-ctx.Done():
			s.notify(daemon.SdNotifyStopping)
			return
		case <-t.C:
		case <-s.observer.Changed():
		case <-s.poke:
		}
	}
}

func (s *Service) notify(state string) {
	if state == daemon.SdNotifyWatchdog || state == daemon.SdNotifyReady {
		s.mu.Lock()
		state += "\nSTATUS=" + s.status.State + ": " + s.status.Summary
		s.mu.Unlock()
	}
	_, _ = daemon.SdNotify(false, state) // without systemd there is nobody to tell
}

// probed says whether the first round of probes is done: every server has been
// looked at, or the grace is over.
func (s *Service) probed() bool {
	if s.now().Sub(s.started) > s.lim().Grace {
		return true
	}
	for _, sr := range s.observer.Report().Servers {
		if sr.Age < 0 {
			return false
		}
	}
	return true
}

// Whatever view encodes, gossip must carry: this does not compile otherwise.
const _ = uint(gossip.MaxReportBytes - view.MaxReportBytes)

// round is one turn: report, view, judgement, incidents. It gives whether all is
// calm: no condition, no incident, no message under way and no operation.
func (s *Service) round() (calm bool) {
	now := s.now()
	r := s.report(false)
	s.mu.Lock()
	s.board.Put(r, now)
	v := s.board.View(now)
	s.mu.Unlock()
	s.keepRate(v, now)
	if b, err := view.Encode(r); err != nil {
		s.log.Error("encode report", zap.Error(err))
	} else if err := s.gossip.Publish(b); err != nil {
		s.log.Error("publish report", zap.Error(err))
	}
	judged := view.Judge(v, s.lim(), now)
	conditions := slices.Concat(judged, s.lateConditions(now, judged), s.channelConditions())
	if id, known := s.clusterID(v); known {
		s.engine.SetIdentity(id)
	}
	if _, err := s.engine.Observe(now, conditions, s.peerView(v)); err != nil {
		s.log.Error("keep incidents", zap.Error(err))
	}
	st := s.buildStatus(v, r.Durable, conditions, now)
	s.mu.Lock()
	s.status, s.open, s.lastLoop = st, conditions, now
	s.mu.Unlock()
	return len(conditions) == 0 && !v.Operating() && s.engine.Idle()
}

// report is what the probes saw, with what only the service knows.
func (s *Service) report(stopping bool) view.Report {
	r := s.observer.Report()
	d, err := s.store.Read()
	switch {
	case err == nil || errors.Is(err, state.ErrAbsent):
		d.Closed = nil // only the owner of an intent is asked for it, and directly
		r.Durable = &d
	default:
		r.StateFault = err.Error()
	}
	for _, f := range s.ops.faults() {
		if r.StateFault == "" {
			r.StateFault = f
		}
	}
	r.Operations = s.ops.reports(s.now())
	r.Alone = s.partings.report()
	r.Readiness, r.Login = s.readiness.report(s.now()), s.readiness.loginReport(s.now())
	r.Notified = s.engine.Notified()
	r.PlannedStop, r.ConfigHash = stopping, *s.shared.Load()
	return r
}

// reports lists the operations of this node that are not closed.
func (o *ops) reports(now time.Time) []view.OperationReport {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []view.OperationReport
	for _, id := range o.order {
		op := o.known[id]
		if _, closed := op.Closed(); closed || op.Len() == 0 {
			continue
		}
		last := op.Last()
		out = append(out, view.OperationReport{ID: op.ID, Kind: string(op.Plan.Kind), State: o.state(op), Step: last.Step,
			By: op.Request.By, Text: last.Text, Age: max(0, now.Sub(last.At))})
	}
	return out
}

func (s *Service) onReport(from string, b []byte) {
	r, err := view.Decode(b)
	if err != nil || r.Node != from {
		s.rejected.Add(1)
		s.sayRejected(from, r.Node, err)
		return
	}
	delete(s.unfit, from)
	s.mu.Lock()
	taken := s.board.Put(r, s.now())
	if taken {
		s.notified[from] = r.Notified
	}
	s.mu.Unlock()
}

// sayRejected logs once per peer and field, until a good report: one that sends
// an absurd value does so every second.
func (s *Service) sayRejected(from, says string, err error) {
	why := "name"
	var absurd *view.ReportError
	if errors.As(err, &absurd) {
		why = "field " + absurd.Field
	}
	if s.unfit[from] == why {
		return
	}
	s.unfit[from] = why
	s.log.Warn("report rejected", zap.String("peer", from), zap.String("says", says), zap.Error(err))
}

func (s *Service) onMember(m gossip.Member) {
	s.mu.Lock()
	s.board.SetAlive(m.Name, m.Alive)
	s.mu.Unlock()
	s.log.Info("gossip membership", zap.String("peer", m.Name), zap.Bool("alive", m.Alive))
	s.wake()
}

// peerView is what the alert engine needs to know of the other services.
func (s *Service) peerView(v view.View) alerts.PeerView {
	p := alerts.PeerView{Self: s.cfg.Node, Alive: liveNodes(v, s.lim().PeerSilence), Configured: s.cfg.NodeNames()}
	if !slices.Contains(p.Alive, p.Self) {
		p.Alive = append(p.Alive, p.Self)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for node, marks := range s.notified {
		// The last marks of a node that has died must not silence a new incident.
		if slices.Contains(p.Alive, node) {
			p.Notified = append(p.Notified, marks...)
		}
	}
	return p
}

// announceStop tells the others that this stop is planned, before gossip leaves.
func (s *Service) announceStop() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
	defer cancel()
	b, err := view.Encode(s.report(true))
	if err == nil {
		err = s.gossip.AnnounceStop(ctx, b)
	}
	if err != nil {
		s.log.Warn("announce planned stop", zap.Error(err))
	}
}
