package runbooks

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// RecordFormat is the version of a journal record.
const RecordFormat = 1

// RecordType says what a journal record tells.
type RecordType string

// The records of one operation, in the order in which they can occur.
const (
	RecordOpened  RecordType = "opened"  // plan, operator, accepted loss
	RecordIntent  RecordType = "intent"  // about to act: step named
	RecordOutcome RecordType = "outcome" // done, not_done or unknown, with figures
	RecordNote    RecordType = "note"    // evidence and progress
	RecordStopped RecordType = "stopped" // part-way; resume or abort
	RecordResumed RecordType = "resumed"
	RecordClosed  RecordType = "closed" // finished (done) or aborted (not_done)
)

// Record is one line of an operation's journal, fsynced before the act it
// announces and after the outcome it tells (DESIGN rule 11).
type Record struct {
	Format    int              `json:"v"`
	Seq       int              `json:"seq"`
	At        time.Time        `json:"at"`
	Type      RecordType       `json:"type"`
	Operation string           `json:"operation"`
	Kind      Kind             `json:"kind,omitempty"`
	Node      string           `json:"node,omitempty"` // owner
	Step      string           `json:"step,omitempty"`
	N         int              `json:"n,omitempty"`
	Of        int              `json:"of,omitempty"`
	Result    fence.Result     `json:"result,omitempty"`
	Text      string           `json:"text,omitempty"`
	TookMS    int64            `json:"took_ms,omitempty"`
	By        string           `json:"by,omitempty"`
	Reason    string           `json:"reason,omitempty"`
	Plan      *Plan            `json:"plan,omitempty"`
	Request   *Request         `json:"request,omitempty"`
	Fence     *fence.Outcome   `json:"fence,omitempty"`
	Refusal   *Refusal         `json:"refusal,omitempty"`
	Figures   map[string]int64 `json:"figures,omitempty"` // e.g. loss_bytes, outage_ms
}

// Request is what the operator asked for and confirmed.
type Request struct {
	Kind   Kind   `json:"operation"`
	Node   string `json:"node,omitempty"`    // positional or --confirm=NODE
	PlanID string `json:"plan_id,omitempty"` // empty: plan and run what is true now
	By     string `json:"by"`                // operating system user, and through which node
	Reason string `json:"reason,omitempty"`
	// AcceptLossBytes is the loss that the operator typed; nil when none was.
	AcceptLossBytes *uint64 `json:"accept_loss_bytes,omitempty"`
	// AcceptLossUnknown is true for --accept-data-loss unknown.
	AcceptLossUnknown bool `json:"accept_loss_unknown,omitempty"`
	// StatedOff names the node that the operator says is powered off.
	StatedOff string `json:"stated_off,omitempty"`
}
