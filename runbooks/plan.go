package runbooks

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// Kind is the kind of an operation.
type Kind string

// The operations of this program.
const (
	KindPromote Kind = "promote"
	KindFence   Kind = "fence"
	KindRelease Kind = "release"
	KindAdopt   Kind = "adopt"
)

// Plan is an operation before it runs: printed, confirmed, then executed, and
// always the same value.
type Plan struct {
	ID      string      `json:"id"`
	Kind    Kind        `json:"operation"`
	Cluster string      `json:"cluster"`
	Owner   string      `json:"owner"`  // node whose service will run it
	Target  string      `json:"target"` // node that becomes (or stays) primary, or is fenced
	Epoch   fence.Epoch `json:"epoch"`  // current epoch, which the plan is bound to
	// Other is the pair's other node, in a release and an adoption.
	Other string `json:"other,omitempty"`
	// SystemID is the system identifier that an adoption records.
	SystemID replication.SystemID `json:"system_identifier,omitempty"`
	MadeAt   time.Time            `json:"made_at"`
	ValidFor Seconds              `json:"valid_for_seconds"`
	Why      []string             `json:"why"`
	Loss     Loss                 `json:"loss"`
	Fence    FencePlan            `json:"fence"`
	Steps    []StepLine           `json:"steps"`
	Gates    []Gate               `json:"gates"`
	// Lifts names the operations whose marker and orders hold the node that a
	// release lets go.
	Lifts []string `json:"lifts,omitempty"`
	// Over names the open operations of silent nodes that a release passes
	// over, and that end with it.
	Over     []string `json:"over,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Refusal is the first gate that stands in the way; nil when the plan may
	// be confirmed as it is.
	Refusal *Refusal `json:"refusal,omitempty"`
	// Already is true when nothing is to be done.
	Already bool `json:"already,omitempty"`
	// Phrase is what the operator types besides the node's name; it is longer
	// the weaker the fence is.
	Phrase string `json:"phrase,omitempty"`
	// Next is the command that runs this plan.
	Next string `json:"next,omitempty"`
}

// Seconds is a duration that travels as whole seconds.
type Seconds int64

// Loss has the three figures of DESIGN rule 8. Nil figures are unknown, and
// unknown counts as more than any limit.
type Loss struct {
	AtLeastBytes  uint64  `json:"at_least_bytes"`
	EstimateBytes *uint64 `json:"estimate_bytes"`
	AtMostBytes   *uint64 `json:"at_most_bytes"`
	SampleAgeMS   int64   `json:"sample_age_ms"` // age of the last sample of the old primary; -1 when there is none
	AllowedBytes  uint64  `json:"allowed_bytes"` // loss.allowed of the configuration
	// Basis says in words what AtMostBytes rests on, or why it is unknown.
	Basis string `json:"basis"`
	// Primary and Standby are the two positions that were compared.
	Primary replication.LSN `json:"primary_lsn"`
	Standby replication.LSN `json:"standby_lsn"`
	// Timeline is the standby's: an end of WAL on another one is not compared.
	Timeline replication.Timeline `json:"standby_timeline,omitempty"`
	// Unsealed is the end of WAL that the old primary's service read from the
	// disk before the seal; zero when not read.
	Unsealed replication.LSN `json:"unsealed_end_of_wal,omitempty"`
}

// FencePlan says who is fenced and how sure it will be.
type FencePlan struct {
	Node     string           `json:"node"`  // empty when nobody is fenced
	Grade    fence.Grade      `json:"grade"` // best grade that the configured devices can give now
	Devices  []string         `json:"devices"`
	Evidence []fence.Evidence `json:"evidence,omitempty"`
}

// StepLine is one line of the plan as it is printed.
type StepLine struct {
	N       int     `json:"n"`
	Name    string  `json:"name"` // stable, never translated
	Node    string  `json:"node"`
	Text    string  `json:"text"`
	Limit   Seconds `json:"limit_seconds"`
	IfFails string  `json:"if_it_fails"`
	// Final marks the first step after which there is no way back.
	Final bool `json:"point_of_no_return,omitempty"`
}

// Gate is one preflight check with its verdict.
type Gate struct {
	Name   string `json:"name"` // stable
	OK     bool   `json:"ok"`
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"`
}
