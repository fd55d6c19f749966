package pgctl

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// Limits bound the phases of StopVerified, each for itself.
type Limits struct {
	Fast      time.Duration // sessions end, shutdown checkpoint
	Immediate time.Duration // the postmaster kills its children after 5 s itself
	Kill      time.Duration // only uninterruptible I/O keeps a killed process
}

// DefaultLimits fit a server of ordinary size: a shutdown checkpoint is bounded
// by what shared_buffers holds.
func DefaultLimits() Limits {
	return Limits{Fast: 30 * time.Second, Immediate: 10 * time.Second, Kill: 10 * time.Second}
}

// Phase is one step of a stop.
type Phase struct {
	Name string        `json:"name"` // fast, immediate, kill
	Took time.Duration `json:"took"`
	Left int           `json:"left"`           // server processes that held the directory afterwards
	Note string        `json:"note,omitempty"` // what went wrong, or why it was left out
}

// StopReport says what StopVerified did and saw.
type StopReport struct {
	Driver     string           `json:"driver"`
	WasRunning bool             `json:"was_running"`
	Phases     []Phase          `json:"phases,omitempty"`
	Took       time.Duration    `json:"took"`
	Killed     []pgdata.Process `json:"killed,omitempty"`     // ended by SIGKILL
	Bystanders []pgdata.Process `json:"bystanders,omitempty"` // hold the directory and are no server: left alone
	State      pgdata.State     `json:"state"`                // of the control file afterwards
	Clean      bool             `json:"clean"`                // stopped in order
	Removed    bool             `json:"removed_pid_file"`     // a stale postmaster.pid was removed
	Proven     bool             `json:"proven"`               // no server process holds the directory; false with any error
}
