package view

import (
	"errors"
	"fmt"
	"time"
)

// Limits are the thresholds of Judge. Holds delay a message, never the
// condition itself; the others say when a value is too old to be believed.
type Limits struct {
	// Fresh is how old an answer of the position probe may be and still prove
	// what a server is now: six probe periods of 500 ms, so that two lost
	// gossip packets do not turn into an opinion.
	Fresh time.Duration
	// MissFresh is how long a confirmed miss is believed: a server that does not
	// answer is dialed more rarely, with up to 6 s between two tries.
	MissFresh time.Duration
	// StatusFresh is what Fresh is, for the SQL probe: three misses of 5 s and a deadline.
	StatusFresh time.Duration
	// MessageStale is when a replication connection counts as dead although it
	// says "streaming": an idle primary sends nothing for up to 30 s (half of
	// wal_receiver_timeout), so it must lie above that.
	MessageStale time.Duration
	// PeerSilence is how long a node may be unheard, or its control API without
	// an answer, before that is a finding.
	PeerSilence time.Duration
	// Transit is what a report may have spent on its way, which its ages do not
	// show. Only TwoPrimaries needs it.
	Transit time.Duration
	// Grace is how long after the start silence is no finding yet.
	Grace time.Duration
	// ReadyStale is how old a preflight may be, which is made once a minute: an
	// older one is unknown, never ready.
	ReadyStale time.Duration
	// AppMisses is how many application probes in a row must miss.
	AppMisses int

	HoldNoPrimary       time.Duration
	HoldPrimaryDown     time.Duration // PostgresDown of the primary
	HoldStandbyDown     time.Duration // PostgresDown of another server
	HoldCommits         time.Duration
	HoldReplicationDown time.Duration
	HoldPeer            time.Duration
	HoldPath            time.Duration
	HoldApp             time.Duration
	HoldRole            time.Duration
	HoldTwoPrimaries    time.Duration
	HoldNoSample        time.Duration
	HoldPlannedStop     time.Duration
	HoldOrphanIntent    time.Duration

	LagLimits
	Thresholds
	ServerHolds
	HoldNotReady time.Duration
}

// DefaultLimits are the defaults of DESIGN section 3 and of the rule catalogue.
func DefaultLimits() Limits {
	return Limits{
		Fresh:        3 * time.Second,
		MissFresh:    10 * time.Second,
		StatusFresh:  20 * time.Second,
		MessageStale: 40 * time.Second,
		PeerSilence:  5 * time.Second,
		Transit:      time.Second,
		Grace:        10 * time.Second,
		ReadyStale:   5 * time.Minute,
		AppMisses:    3,

		HoldNoPrimary:       15 * time.Second,
		HoldPrimaryDown:     15 * time.Second,
		HoldStandbyDown:     2 * time.Minute,
		HoldCommits:         15 * time.Second,
		HoldReplicationDown: time.Minute,
		HoldPeer:            30 * time.Second,
		HoldPath:            2 * time.Minute,
		HoldApp:             0, // three misses have already taken 15 s
		// A role is seen by a probe, the epoch behind it arrives by gossip: the
		// second may come a moment after the first.
		HoldRole:         2 * time.Second,
		HoldTwoPrimaries: 0,
		HoldNoSample:     30 * time.Second,
		HoldPlannedStop:  15 * time.Minute,
		HoldOrphanIntent: time.Minute,

		LagLimits:   DefaultLagLimits(),
		Thresholds:  DefaultThresholds(),
		ServerHolds: defaultServerHolds(),
		// A restart of a server or of a service, and a busy hour, mend themselves.
		HoldNotReady: 15 * time.Minute,
	}
}

// Check refuses thresholds under which Judge would page for nothing or never.
func (l Limits) Check() error {
	switch {
	case l.Fresh <= 0 || l.StatusFresh <= 0 || l.PeerSilence <= 0 || l.ReadyStale <= 0 || l.AppMisses <= 0:
		return fmt.Errorf("check limits: fresh, status fresh, peer silence, ready stale and application misses must be above 0")
	case l.MessageStale <= 30*time.Second:
		return fmt.Errorf("check limits: message stale is %s, want more than 30s: an idle primary is silent that long", l.MessageStale)
	case l.Transit < 0 || l.Grace < 0:
		return fmt.Errorf("check limits: transit and grace must not be negative")
	}
	if err := errors.Join(l.LagLimits.check(), l.Thresholds.check()); err != nil {
		return err
	}
	for _, h := range l.holds() {
		if h < 0 {
			return fmt.Errorf("check limits: hold %s is negative", h)
		}
	}
	return nil
}

// WithHolds gives the same limits with no hold above d: the demo profile.
func (l Limits) WithHolds(d time.Duration) Limits {
	for _, h := range l.holdFields() {
		*h = min(*h, d)
	}
	return l
}

func (l *Limits) holdFields() []*time.Duration {
	own := []*time.Duration{
		&l.HoldNoPrimary, &l.HoldPrimaryDown, &l.HoldStandbyDown, &l.HoldCommits, &l.HoldReplicationDown,
		&l.HoldPeer, &l.HoldPath, &l.HoldApp, &l.HoldRole, &l.HoldTwoPrimaries, &l.HoldNoSample,
		&l.HoldPlannedStop, &l.HoldOrphanIntent, &l.HoldNotReady,
	}
	return append(append(own, l.LagLimits.fields()...), l.ServerHolds.fields()...)
}

func (l Limits) holds() []time.Duration {
	var all []time.Duration
	for _, h := range l.holdFields() {
		all = append(all, *h)
	}
	return all
}
