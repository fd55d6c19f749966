package watchdog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// lateSeal is what this node did about itself when it heard that it had been
// replaced while its server took writes.
type lateSeal struct {
	at       time.Time
	text     string
	evidence []string
}

// lateSealTold is how long the condition about it stands: the seal comes a moment
// after the network heals, too soon for anybody to have seen two primaries, and
// somebody has to look at what was written there.
const lateSealTold = 10 * time.Minute

// noteLateSeal keeps in words what was found on a server that ran as primary
// until an order of a newer epoch reached it.
func (s *Service) noteLateSeal(o fence.Order, out fence.Outcome) {
	n := lateSeal{at: s.now(), text: fmt.Sprintf("%s ran on as primary after epoch %d had made %s the primary (%s, by %s).",
		s.cfg.Node, o.Epoch.Number, o.Epoch.Primary, o.Operation, o.By)}
	if out.Result != fence.ResultDone {
		n.text += " It could not be sealed yet: " + out.Problem
	} else {
		n.text += " It is sealed now; nothing was removed from it. " + s.divergence(o)
	}
	for _, e := range out.Evidence {
		n.evidence = append(n.evidence, s.cfg.Node+": "+e.Text)
	}
	s.log.Warn("a superseded primary ran here", zap.String("plan", o.Operation), zap.Uint64("epoch", o.Epoch.Number), zap.String("text", n.text))
	s.mu.Lock()
	s.late = &n
	s.mu.Unlock()
	s.wake()
}

// divergence tells what the own disk holds beyond the point at which the new
// primary's timeline left it.
func (s *Service) divergence(o fence.Order) string {
	unknown := "What was written here alone is not known yet: compare the two servers before a rejoin."
	own, err := pgdata.ReadControl(s.cfg.Postgres.DataDir)
	if err != nil {
		return unknown
	}
	fork, known := s.forkOf(o.Epoch.Primary, own.Timeline)
	if !known {
		return unknown
	}
	end, err := s.endOfWAL(fork)
	switch {
	case err != nil || end.Commits < 0:
		s.log.Warn("read what was written here alone", zap.Error(err))
		return unknown
	case end.Commits == 0:
		return "Nothing was committed here alone."
	}
	return fmt.Sprintf("Committed here alone: %d transactions in %d bytes of WAL after %s; they are on no other server.", end.Commits, end.LSN.Since(fork), fork)
}

// forkOf gives where the timeline of the new primary left the own one.
func (s *Service) forkOf(primary string, own replication.Timeline) (replication.LSN, bool) {
	s.mu.Lock()
	v := s.board.View(s.now())
	s.mu.Unlock()
	for _, seen := range v.Sightings(primary) {
		for _, h := range seen.History {
			if h.Timeline == own {
				return h.SwitchPoint, true
			}
		}
	}
	return 0, false
}

// lateConditions raises SupersededPrimary for what is over already, unless it is
// raised for what is seen now.
func (s *Service) lateConditions(now time.Time, judged []alerts.Condition) []alerts.Condition {
	s.mu.Lock()
	n := s.late
	s.mu.Unlock()
	same := func(c alerts.Condition) bool { return c.Code == view.SupersededPrimary && c.Subject == s.cfg.Node }
	if n == nil || now.Sub(n.at) > lateSealTold || slices.ContainsFunc(judged, same) {
		return nil
	}
	e, _ := view.Lookup(view.SupersededPrimary)
	return []alerts.Condition{{Code: e.Code, Subject: s.cfg.Node, Severity: e.Severity, Text: n.text, Evidence: n.evidence,
		Hint: strings.ReplaceAll(e.Hint, "NODE", s.cfg.Node), Runbook: e.Runbook, NeverSilenced: e.NeverSilenced}}
}
