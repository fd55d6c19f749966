package view

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// HeartbeatBounds is what the heartbeat row allows to say of a standby's lag in
// time, by the primary's clock alone: both servers show the same row, and the
// standby shows the newest one only when it has replayed it.
type HeartbeatBounds struct {
	AtLeast time.Duration  `json:"at_least"`
	AtMost  *time.Duration `json:"at_most"` // nil: no bound
	Age     time.Duration  `json:"age"`     // of the standby's SQL answer that this rests on
}

// heartbeatBounds compares the primary's own row on both servers; nil when one of
// them shows none.
func heartbeatBounds(v View, primary, standby string, l Limits) *HeartbeatBounds {
	p, row, ok := beatOn(v, primary, primary, l)
	if !ok {
		return nil
	}
	s, shown, ok := beatOn(v, standby, primary, l)
	if !ok {
		return nil
	}
	// The age of the newest row at the moment when the standby was read. Below 0
	// it was written after that, and proves nothing about the standby.
	newest := row.Age + p.StatusAge - s.StatusAge
	missing := row.At.Sub(shown.At)
	b := &HeartbeatBounds{Age: s.StatusAge}
	switch {
	case missing > 0:
		b.AtLeast = max(0, newest)
	case missing < 0: // the primary was read before it wrote what the standby shows
		newest = max(0, newest+missing)
		missing = 0
	}
	most := max(0, newest+missing)
	b.AtMost = &most
	return b
}

// beatOn gives the newest SQL answer of server that shows the heartbeat row of
// node.
func beatOn(v View, server, node string, l Limits) (Sighting, replication.HeartbeatRow, bool) {
	s, ok := newestStatus(v.Sightings(server))
	if !ok || !s.statusFresh(l) {
		return Sighting{}, replication.HeartbeatRow{}, false
	}
	for _, h := range s.Status.Heartbeats {
		if h.Node == node {
			return s, h, true
		}
	}
	return Sighting{}, replication.HeartbeatRow{}, false
}

// heartbeatSlack is how far Time and the bounds may lie apart and still agree,
// beside what passed between the two answers that they rest on.
const heartbeatSlack = 2 * time.Second

// contradicts says that the heartbeat row rules out the time that was measured.
// A lower bound is contradicted from above only.
func (b HeartbeatBounds) contradicts(lag time.Duration, atLeast bool) bool {
	slack := heartbeatSlack + b.Age
	if b.AtMost != nil && lag > *b.AtMost+slack {
		return true
	}
	return !atLeast && lag+slack < b.AtLeast
}
