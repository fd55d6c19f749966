package watchdog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// gather collects the evidence for a plan: own probes, the own server asked
// afresh, the other services asked directly, the fence devices asked for their
// status. Nothing comes from gossip (DESIGN rule 14). about is the node whose
// fence the plan would need; empty when none.
func (s *Service) gather(ctx context.Context, about string) runbooks.Facts {
	s.awaitFirstLook(ctx)
	f := runbooks.Facts{Cluster: s.cfg.Cluster, Self: s.cfg.Node, At: s.now(), RateBytes: s.rate.perSecond(),
		Allowed: uint64(s.live.Load().Loss.Allowed), ValidFor: s.live.Load().Plan.ValidFor, MaxSkew: s.cfg.Probes.ClockSkew, Devices: map[string][]runbooks.DeviceFact{},
		App: runbooks.AppFact{Containers: s.cfg.App.Containers, HealthURL: s.cfg.App.HealthURL, Within: runbooks.Seconds(s.cfg.App.HealthyWithin / time.Second)}}
	own, err := s.store.Read()
	if err != nil && !errors.Is(err, state.ErrAbsent) {
		f.Faults = append(f.Faults, err.Error())
	}
	f.Own = own
	f.DataSystemID, _ = s.systemID()
	f.Faults = append(f.Faults, s.ops.faults()...)
	answers := s.askOthers(ctx)
	report := s.observer.Report()
	for _, name := range s.cfg.NodeNames() {
		f.Nodes = append(f.Nodes, s.factsOf(ctx, name, own, answers, report))
	}
	if about != "" {
		f.Devices[about] = s.fencer.ready(ctx, about)
	}
	f.Unsealed = s.unsealed(ctx, f)
	return f
}

// answered is one node's direct answer, or why there is none.
type answered struct {
	facts control.Facts
	err   error
}

// askOthers asks every other service at once.
func (s *Service) askOthers(ctx context.Context) map[string]answered {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := map[string]answered{}
	for _, name := range s.others.Names() {
		wg.Go(func() {
			facts, err := s.others.facts(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			out[name] = answered{facts, err}
		})
	}
	wg.Wait()
	return out
}

// factsOf gives what is known of one node, its server seen from every node that
// answers: a cut between two of them hides a primary that the third still sees.
func (s *Service) factsOf(ctx context.Context, name string, own fence.Durable, answers map[string]answered, report view.Report) runbooks.NodeFacts {
	a := answers[name]
	n := runbooks.NodeFacts{Node: name, Witness: s.cfg.Nodes[name].Witness, Advanced: -1}
	switch {
	case name == s.cfg.Node:
		n.Answers, n.Durable = true, &own
		n.RunningAsPrimary, n.RunningKnown = s.running()
	case a.err != nil:
		n.Silence = a.err.Error()
	default:
		n = nodeFacts(a.facts)
		n.Witness = s.cfg.Nodes[name].Witness
	}
	n.Advanced = -1
	theirs := a.facts.Report
	if name == s.cfg.Node {
		theirs = &report
	}
	s.addReady(&n, &report, theirs)
	s.addSeen(&n, s.cfg.Node, report)
	for _, observer := range slices.Sorted(maps.Keys(answers)) {
		if seen := answers[observer]; seen.err == nil && seen.facts.Report != nil {
			s.addSeen(&n, observer, *seen.facts.Report)
		}
	}
	if name == s.cfg.Node {
		s.refresh(ctx, &n)
	}
	return n
}

// addSeen adds how observer sees the node's server. Reports in direct answers
// count like own ones: their ages start at the answer.
func (s *Service) addSeen(n *runbooks.NodeFacts, observer string, r view.Report) {
	for _, sr := range r.Servers {
		if sr.Node != n.Node {
			continue
		}
		age := sr.Age
		if age < 0 {
			age = time.Hour // never probed: too old for anything
		}
		n.Seen = append(n.Seen, runbooks.Seen{Observer: observer, Verdict: sr.Verdict, Cause: sr.Cause, Age: age, Since: sr.Since,
			Role: sr.Role, SystemID: sr.SystemID, Timeline: sr.Timeline, Position: sr.Position, Answered: sr.Answered})
		if len(sr.History) > 0 {
			n.History = n.History[:0]
			for _, h := range sr.History {
				n.History = append(n.History, runbooks.Parent{Timeline: h.Timeline, SwitchPoint: h.SwitchPoint})
			}
		}
		if sr.Status != nil && (n.Status == nil || sr.StatusAge < n.StatusAge) {
			n.Status, n.StatusAge = sr.Status, sr.StatusAge
		}
		if observer == s.cfg.Node && n.Node == s.cfg.Node && sr.Status != nil && sr.Status.Receiver != nil {
			n.Advanced = sr.Advanced
		}
	}
}

// refresh asks the own server once more for its position: the plan must not
// rest on a value that is seconds old.
func (s *Service) refresh(ctx context.Context, n *runbooks.NodeFacts) {
	if s.server == nil || n.Status == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, factLimit)
	defer cancel()
	l, err := s.server.look(ctx)
	if err != nil {
		return
	}
	fresh := *n.Status
	fresh.InRecovery = l.positions.InRecovery
	if !l.streaming {
		n.Advanced = -1 // whatever came in, came in before the stream broke
	}
	if fresh.InRecovery {
		fresh.Receive, fresh.Replay, fresh.ReplayPaused = l.positions.Receive, l.positions.Replay, l.positions.Paused
	}
	n.Status, n.StatusAge = &fresh, 0
}

// firstLook is how long a plan that is asked for right after the start of the
// service waits for the first probes: a moment later it would know.
const firstLook = 3 * time.Second

// awaitFirstLook waits until every server was probed once and the own one gave
// its status, if it answers at all.
func (s *Service) awaitFirstLook(ctx context.Context) {
	if s.now().Sub(s.started) > s.lim().Grace {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, firstLook)
	defer cancel()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for !s.lookedOnce() {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (s *Service) lookedOnce() bool {
	for _, sr := range s.observer.Report().Servers {
		silent := sr.Age < 0 || sr.Verdict == replication.VerdictUnknown
		if silent || (sr.Node == s.cfg.Node && sr.Verdict == replication.VerdictHealthy && sr.Status == nil) {
			return false
		}
	}
	return true
}

// unsealed asks the service of a node whose server is down for the end of WAL
// on its disk. It is a figure for the plan and no proof: nothing is sealed yet.
func (s *Service) unsealed(ctx context.Context, f runbooks.Facts) *fence.EndOfWAL {
	primary, found := f.Node(f.Own.Epoch.Primary)
	if !found || primary.Node == s.cfg.Node || !primary.Answers || !primary.RunningKnown || primary.RunningAsPrimary {
		return nil
	}
	self, _ := f.Node(s.cfg.Node)
	if self.Status == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	end, err := call(ctx, s.others, primary.Node, control.NodeEndOfWAL, "", control.WALQuestion{From: self.Status.Replay})
	if err != nil || end.LSN == 0 {
		return nil
	}
	return &end
}

// running says whether the own node's PostgreSQL runs as primary, and whether
// that is known: from the processes that hold the data directory and the state
// in its control file, which a promotion changes before the first write.
func (s *Service) running() (asPrimary, known bool) {
	if s.cfg.Self().Witness {
		return false, true
	}
	return runningAsPrimary(s.cfg.Postgres.DataDir)
}

func runningAsPrimary(dir string) (asPrimary, known bool) {
	if empty, err := pgdata.Empty(dir); err == nil && empty {
		return false, true
	}
	// Looking at all processes is needed only to know that none is a server.
	if _, runs := pgdata.Postmaster(dir); !runs {
		held, err := pgdata.Holders(dir)
		if err != nil {
			return false, false
		}
		if len(pgdata.Servers(held)) == 0 {
			return false, true
		}
	}
	c, err := pgdata.ReadControl(dir)
	if err != nil {
		return false, false
	}
	return c.State.LikePrimary(), true
}

// endOfWAL reads where valid WAL ends on the own disk.
func (s *Service) endOfWAL(from replication.LSN) (fence.EndOfWAL, error) {
	dir := s.cfg.Postgres.DataDir
	c, err := pgdata.ReadControl(dir)
	if err != nil {
		return fence.EndOfWAL{}, err
	}
	end, err := pgdata.EndOfWAL(dir, c.Timeline, from, c.WALSegmentSize)
	if err != nil {
		return fence.EndOfWAL{}, fmt.Errorf("read end of WAL: %w", err)
	}
	return fence.EndOfWAL{Timeline: end.Timeline, LSN: end.LSN, Commits: end.Commits, From: end.From, Shutdown: end.ShutdownCheckpoint}, nil
}

// rate keeps the last positions of the primary to tell how fast it writes WAL.
type rate struct {
	mu      sync.Mutex
	samples []rateSample
}

type rateSample struct {
	at  time.Time
	lsn replication.LSN
}

// rateKeep bounds the ring: a minute at one sample a second.
const rateKeep = 60

func (r *rate) add(at time.Time, lsn replication.LSN) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.samples); n > 0 && (at.Sub(r.samples[n-1].at) < time.Second || lsn < r.samples[n-1].lsn) {
		return
	}
	r.samples = append(r.samples, rateSample{at, lsn})
	if len(r.samples) > rateKeep {
		r.samples = slices.Delete(r.samples, 0, 1)
	}
}

// perSecond gives bytes per second over the ring; negative when not known.
func (r *rate) perSecond() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.samples) < 2 {
		return -1
	}
	first, last := r.samples[0], r.samples[len(r.samples)-1]
	return float64(last.lsn.Since(first.lsn)) / last.at.Sub(first.at).Seconds()
}

// liveNodes names the nodes that gossip or a fresh report shows alive.
func liveNodes(v view.View, fresh time.Duration) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(v.Reports)) {
		if h := v.Reports[name]; h.Heard <= fresh && !h.Report.PlannedStop {
			out = append(out, name)
		}
	}
	return out
}
