package web

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Source is what the pages read. Every method may be called from any goroutine
// and must not wait for a probe.
type Source interface {
	// View gives what the nodes saw, with ages as of now, and the thresholds.
	View() (view.View, view.Limits)
	// Status gives the document of `watchdog status`.
	Status() view.Status
	// Health says how the service itself is doing.
	Health() Health
	// Figures gives the counters that stand in no report.
	Figures() Figures
}

// Health is the service's word on itself.
type Health struct {
	Round    time.Time     // when the loop last completed a round; zero: never
	Interval time.Duration // how often it should
	// NotReady says what is missing until the service is of use: the socket, the
	// first probes. Empty: ready.
	NotReady string
}

// Figures are counters since the start of the service. Their keys come from the
// configuration (channels) or from closed lists (operations), so that they are
// bounded.
type Figures struct {
	Channels        map[string]Channel
	Operations      map[string]Operation // by kind
	RejectedReports uint64
	ReloadOK        bool
	ReloadedAt      time.Time // last successful load of the configuration
}

// Channel counts one way out of alerts.
type Channel struct {
	Sent, Failed uint64
	LastSuccess  time.Time // zero: never
	Queued       int       // in the spool
}

// Operation counts one kind of operation.
type Operation struct {
	Started, Failed uint64
	Running         bool
}
