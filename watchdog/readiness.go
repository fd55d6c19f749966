package watchdog

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

const (
	// readyAgain is how soon the preflights run again while something fails, so
	// that whoever mends it sees it.
	readyAgain = 15 * time.Second
	// readyLimit bounds one run; the next waits for it.
	readyLimit = 30 * time.Second
	// lookLimit bounds one look at a server or one try of a login.
	lookLimit = 5 * time.Second
)

// readiness keeps the newest preflights of the operations that this node would
// run. The zero value knows nothing.
type readiness struct {
	poke chan struct{} // run at once

	mu      sync.Mutex
	at      time.Time // when list was judged; zero: never
	list    []runbooks.Readiness
	login   runbooks.LoginFact
	loginAt time.Time         // zero: never tried
	polled  map[string]polled // newest answers of the power devices, by node and place
}

func newReadiness() *readiness {
	return &readiness{poke: make(chan struct{}, 1), polled: map[string]polled{}}
}

// again asks for a run now: something happened that changes the answer.
func (r *readiness) again() {
	select {
	case r.poke <- struct{}{}:
	default:
	}
}

// report gives it for the node's report; an operation that was never judged is
// not listed.
func (r *readiness) report(now time.Time) []view.ReadinessReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []view.ReadinessReport
	for _, one := range r.list {
		rr := view.ReadinessReport{Operation: one.Operation, Target: one.Target, Checks: len(one.Gates), Age: max(0, now.Sub(r.at))}
		for _, g := range one.Failing() {
			rr.Failing = append(rr.Failing, view.ReadyCheck{Name: g.Name, Reason: g.Reason, Hint: g.Hint})
		}
		out = append(out, rr)
	}
	return out
}

// loginReport gives the newest try; nil when there was none.
func (r *readiness) loginReport(now time.Time) *view.LoginReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loginAt.IsZero() {
		return nil
	}
	return &view.LoginReport{Node: r.login.To, OK: r.login.OK, Detail: r.login.Text, Age: max(0, now.Sub(r.loginAt))}
}

// keep takes a judgement and says whether other checks fail than before.
func (r *readiness) keep(at time.Time, list []runbooks.Readiness) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed = r.at.IsZero() || !slices.Equal(failing(r.list), failing(list))
	r.at, r.list = at, list
	return changed
}

// failing names what fails: "promote db2: replay".
func failing(list []runbooks.Readiness) []string {
	var out []string
	for _, r := range list {
		for _, g := range r.Failing() {
			out = append(out, r.Operation+" "+r.Target+": "+g.Name)
		}
	}
	return out
}

// watchReadiness runs the preflights all day. Only a node with PostgreSQL has
// any.
func (s *Service) watchReadiness(ctx context.Context) error {
	if s.cfg.Self().Witness {
		return nil
	}
	t := time.NewTimer(s.lim().Grace / 2) // let the first probes and the other services come
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-s.readiness.poke:
		}
		period := s.cfg.Probes.Readiness
		if !s.checkReadiness(ctx) {
			period = min(period, readyAgain)
		}
		t.Reset(replication.UntilBeat(time.Now(), period))
	}
}

// checkReadiness runs the preflights once and says whether all is well. While an
// operation runs anywhere it does nothing: the answer would be about a moment,
// and what runs must not be disturbed.
func (s *Service) checkReadiness(ctx context.Context) bool {
	if s.operating() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	s.tryLogin(ctx)
	f := s.gather(ctx, "")
	if other, found := s.otherServer(); found {
		f.Devices = s.deviceFacts(ctx, other)
	}
	s.addBurdens(ctx, &f)
	if ctx.Err() != nil || s.operating() {
		return false
	}
	list := runbooks.Ready(f)
	red := failing(list)
	if s.readiness.keep(s.now(), list) {
		s.log.Info("readiness changed", zap.String("failing", strings.Join(red, ", ")))
		s.wake()
	}
	return len(red) == 0
}

// operating says whether an operation runs on any node, as far as this one
// knows. One that has stopped is no reason to look away: it is a check that fails.
func (s *Service) operating() bool {
	if s.ops.busy() {
		return true
	}
	s.mu.Lock()
	v := s.board.View(s.now())
	s.mu.Unlock()
	return slices.ContainsFunc(v.Operations(), func(o view.OperationReport) bool {
		return o.State == "running" && o.Age <= s.lim().ReadyStale
	})
}

// busy says whether an operation of this node is being carried out now.
func (o *ops) busy() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current != nil
}

// tryLogin opens the connection that a standby here would open to the other
// server, and remembers what came of it.
func (s *Service) tryLogin(ctx context.Context) {
	to, found := s.otherServer()
	if !found {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	l := runbooks.LoginFact{To: to}
	if err := replication.TryReplication(ctx, s.cfg.ReplicationTarget(to)); err != nil {
		l.Text = err.Error()
	} else {
		l.OK = true
	}
	s.readiness.mu.Lock()
	defer s.readiness.mu.Unlock()
	s.readiness.login, s.readiness.loginAt = l, s.now()
}

// otherServer is the pair's other node.
func (s *Service) otherServer() (string, bool) {
	for _, n := range s.cfg.Servers() {
		if n != s.cfg.Node {
			return n, true
		}
	}
	return "", false
}

// addBurdens looks at both servers, at once.
func (s *Service) addBurdens(ctx context.Context, f *runbooks.Facts) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	var wg sync.WaitGroup
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if n.Witness {
			continue
		}
		wg.Go(func() {
			b, err := replication.LookBurden(ctx, s.cfg.Target(n.Node))
			if err != nil {
				s.log.Debug("look at burden", zap.String("node", n.Node), zap.Error(err))
				return
			}
			n.Burden = &b
		})
	}
	wg.Wait()
}

// addReady fills in what only readiness asks: what the node's own service says
// of its disk and its login, and the clock as this node measured it.
func (s *Service) addReady(n *runbooks.NodeFacts, own, theirs *view.Report) {
	n.Slot = s.cfg.SlotFor(n.Node)
	for _, e := range own.Edges {
		if e.Node == n.Node && e.OK {
			skew := e.Skew
			n.Skew = &skew
		}
	}
	if theirs == nil {
		return
	}
	if h := theirs.Host; h.DataTotalBytes > 0 && h.DataFreeBytes >= 0 {
		n.Disk = &runbooks.DiskFact{Free: h.DataFreeBytes, Total: h.DataTotalBytes}
	}
	login := theirs.Login
	if n.Node == s.cfg.Node {
		login = s.readiness.loginReport(s.now())
	}
	if login != nil {
		n.Login = &runbooks.LoginFact{To: login.Node, OK: login.OK, Text: login.Detail, Age: login.Age}
	}
}
