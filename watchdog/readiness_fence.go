package watchdog

import (
	"context"
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// polled is the newest answer of a power device to its harmless verb.
type polled struct {
	fact runbooks.DeviceFact
	at   time.Time
}

// deviceFacts says what each device of node could do: the peer's own service is
// asked each time, a power device at its status_interval or, while it fails, each
// time. Controllers of machines are slow, and some bear no visitor every minute.
func (s *Service) deviceFacts(ctx context.Context, node string) map[string][]runbooks.DeviceFact {
	c := s.fencer.chain(node, "")
	facts := make([]runbooks.DeviceFact, len(c.Links))
	var due []int
	ask := c
	ask.Links = nil
	for i, l := range c.Links {
		if p, kept := s.readiness.recall(node, i, s.fencer.interval(node, i), s.now()); kept {
			facts[i] = p
			continue
		}
		due = append(due, i)
		ask.Links = append(ask.Links, l)
	}
	for j, d := range s.fencer.asked(ctx, ask) {
		facts[due[j]] = d
		s.readiness.remember(node, due[j], d, s.now())
	}
	return map[string][]runbooks.DeviceFact{node: facts}
}

// recall gives what a device answered less than interval ago, unless it failed.
func (r *readiness) recall(node string, place int, interval time.Duration, now time.Time) (runbooks.DeviceFact, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, kept := r.polled[deviceKey(node, place)]
	if !kept || !p.fact.Ready || now.Sub(p.at) >= interval {
		return runbooks.DeviceFact{}, false
	}
	return p.fact, true
}

func (r *readiness) remember(node string, place int, d runbooks.DeviceFact, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.polled[deviceKey(node, place)] = polled{d, at}
}

func deviceKey(node string, place int) string { return fmt.Sprintf("%s/%d", node, place) }

// interval is how long an answer of a device of node counts; place 0 is the
// node's own service, which costs nothing to ask.
func (f *fencer) interval(node string, place int) time.Duration {
	if every := f.every[node]; place > 0 && place <= len(every) {
		return every[place-1]
	}
	return 0
}

// asked asks every device of the chain for its status; it changes nothing. The
// order is the one of the links: the peer first, then as configured.
func (f *fencer) asked(ctx context.Context, c fence.Chain) []runbooks.DeviceFact {
	var out []runbooks.DeviceFact
	for _, r := range c.Ready(ctx) {
		d := runbooks.DeviceFact{Name: r.Device, Grade: r.Grade, Ready: r.Grade > fence.GradeNone, Text: r.Evidence.Text}
		if r.Problem != "" {
			d.Text = r.Problem
		}
		out = append(out, d)
	}
	return out
}
