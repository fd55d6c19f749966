package observe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Observer runs the probes of one node and keeps what they saw.
type Observer struct {
	o       Options
	changed chan struct{}

	mu         sync.Mutex
	seq        uint64
	servers    []*server
	app        *appState
	edges      []*edgeState
	host       hostState
	disks      upkeep
	walArchive walArchive
}

type edgeState struct {
	node     string
	ok       bool
	detail   string
	at       time.Time
	answered time.Time
	last     Edge
}

// New checks the options. Nothing is dialed before Run.
func New(o Options) (*Observer, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("set up observer: %w", err)
	}
	ob := &Observer{o: o, changed: make(chan struct{}, 1), host: newHostState()}
	for _, s := range o.Servers {
		ob.servers = append(ob.servers, &server{node: s.Node, processes: -1})
	}
	for _, n := range o.Edges {
		ob.edges = append(ob.edges, &edgeState{node: n})
	}
	if o.App != nil {
		ob.app = &appState{}
	}
	return ob, nil
}

// Run probes until ctx ends and returns nil then. Every goroutine that it
// started has ended when it returns. An error means that a watcher could not be
// made or stopped by itself; nothing is watched any more then.
func (ob *Observer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	loops, err := ob.loops()
	if err != nil {
		return err
	}
	errs := make(chan error, len(loops))
	var all sync.WaitGroup
	for _, loop := range loops {
		all.Go(func() {
			if err := loop(ctx); err != nil && ctx.Err() == nil {
				errs <- err
				cancel()
			}
		})
	}
	all.Wait()
	close(errs)
	var joined []error
	for err := range errs {
		joined = append(joined, err)
	}
	return errors.Join(joined...)
}

func (ob *Observer) loops() ([]func(context.Context) error, error) {
	loops := []func(context.Context) error{ob.gapLoop}
	for i, s := range ob.o.Servers {
		w, err := s.Watch(ob.hooks(ob.servers[i]))
		if err != nil {
			return nil, fmt.Errorf("watch PostgreSQL of %s: %w", s.Node, err)
		}
		loops = append(loops, ob.watch(s.Node, w))
	}
	if ob.o.App != nil {
		loops = append(loops, ob.appLoop)
	}
	for _, e := range ob.edges {
		loops = append(loops, func(ctx context.Context) error { return ob.edgeLoop(ctx, e) })
	}
	if own := ob.own(); own != nil {
		if ob.o.Commit != nil && ob.o.MayCommit != nil {
			loops = append(loops, ob.commitLoop)
		}
		if ob.o.Processes != nil {
			loops = append(loops, ob.processLoop)
		}
	}
	if ob.o.DataDir != "" {
		loops = append(loops, ob.diskLoop)
	}
	if ob.o.StateDir != "" {
		loops = append(loops, ob.volumeLoop)
	}
	if ob.o.ArchiveDir != "" {
		loops = append(loops, ob.archiveLoop)
	}
	return loops, nil
}

func (ob *Observer) watch(node string, w Watcher) func(context.Context) error {
	return func(ctx context.Context) error {
		err := w.Run(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			return fmt.Errorf("watch PostgreSQL of %s: watcher stopped by itself", node)
		default:
			return fmt.Errorf("watch PostgreSQL of %s: %w", node, err)
		}
	}
}

// own is the node's own server; nil on a witness.
func (ob *Observer) own() *server {
	if i := indexOf(ob.servers, ob.o.Node); i >= 0 {
		return ob.servers[i]
	}
	return nil
}

func (ob *Observer) hooks(s *server) Hooks {
	return Hooks{
		OnSample: func(m replication.Sample) {
			ob.update(func() bool { return s.note(m) })
		},
		OnStatus: func(st replication.Status) {
			ob.update(func() bool { return s.noteStatus(st) })
		},
		OnHistory: func(h replication.History) {
			ob.update(func() bool {
				s.history = h
				return true
			})
		},
	}
}

// update changes what is known and signals when that matters at once.
func (ob *Observer) update(change func() bool) {
	ob.mu.Lock()
	significant := change()
	ob.mu.Unlock()
	if !significant {
		return
	}
	select {
	case ob.changed <- struct{}{}:
	default: // one signal is waiting already
	}
}

// Changed signals that something significant changed since the last receive: a
// verdict, a role, a timeline, the application or an edge. Several changes may
// share a signal.
func (ob *Observer) Changed() <-chan struct{} { return ob.changed }

// Report gives everything seen, with ages as of now and the next sequence
// number. What the service adds (durable state, operations, what was told) is
// left empty. It may be called from any goroutine.
func (ob *Observer) Report() view.Report {
	ob.mu.Lock()
	defer ob.mu.Unlock()
	now := ob.o.Now()
	ob.seq++
	r := view.Report{
		Format: view.ReportFormat, Node: ob.o.Node, Boot: ob.o.Boot, Seq: ob.seq, Program: ob.o.Program, Witness: ob.o.Witness,
		Servers: make([]view.ServerReport, 0, len(ob.servers)), Host: ob.host.report(now),
	}
	ob.disks.report(now, &r.Host)
	ob.walArchive.reportTo(now, &r.Host)
	for _, s := range ob.servers {
		sr := s.report(now)
		sr.Behind = s.behind(ob.servers)
		r.Servers = append(r.Servers, sr)
	}
	if ob.app != nil {
		r.App = ob.app.report(now, ob.o.AppURL)
	}
	for _, e := range ob.edges {
		r.Edges = append(r.Edges, e.report(now))
	}
	return r
}

func (e *edgeState) report(now time.Time) view.EdgeReport {
	return view.EdgeReport{
		Node: e.node, OK: e.ok, Detail: e.detail, Age: age(now, e.at), Answered: age(now, e.answered), RTT: e.last.RTT, Skew: e.last.Skew,
	}
}

// every calls do at once and then at each beat of period until ctx ends. A call
// that takes longer than the period delays the next one; calls never overlap.
func every(ctx context.Context, period time.Duration, do func(context.Context)) error {
	t := time.NewTimer(period)
	defer t.Stop()
	for {
		began := time.Now()
		next := began.Add(replication.UntilBeat(began, period))
		do(ctx)
		t.Reset(time.Until(next)) // at once when it has passed
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// edgeLoop measures the direct path to one node: a third gossip member would
// hide a cut.
func (ob *Observer) edgeLoop(ctx context.Context, e *edgeState) error {
	return every(ctx, ob.o.EdgePeriod, func(ctx context.Context) {
		ectx, cancel := context.WithTimeout(ctx, ob.o.EdgeDeadline)
		defer cancel()
		got, err := ob.o.Edge(ectx, e.node)
		if ctx.Err() != nil {
			return
		}
		ob.update(func() bool {
			now := ob.o.Now()
			flipped := e.at.IsZero() || e.ok != (err == nil)
			e.at, e.ok, e.detail = now, err == nil, ""
			if err != nil {
				e.detail = err.Error()
			} else {
				e.answered, e.last = now, Edge{RTT: max(0, got.RTT), Skew: got.Skew}
			}
			if flipped {
				ob.o.Log.Info("edge changed", zap.String("peer", e.node), zap.Bool("reached", e.ok), zap.Error(err))
			}
			return flipped
		})
	})
}
