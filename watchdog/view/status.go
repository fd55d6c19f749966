package view

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// Status is the document behind `watchdog status`: every value with its age
// and vantage point. It is an interface to scripts ("v":1).
type Status struct {
	V       int             `json:"v"`
	Cluster string          `json:"cluster"`
	AskedOn string          `json:"asked_on"`
	At      time.Time       `json:"at"`
	State   string          `json:"state"` // HEALTHY, DEGRADED, CRITICAL, UNKNOWN
	Summary string          `json:"summary"`
	Epoch   fence.Epoch     `json:"epoch"`
	Adopted bool            `json:"adopted"` // the boot gate is active on the asked node
	Nodes   []NodeStatus    `json:"nodes"`
	Open    []OpenCondition `json:"conditions"`
	Running string          `json:"operation,omitempty"` // open operation
	Faults  []string        `json:"faults,omitempty"`    // why the service refuses to act
	Next    []NextCommand   `json:"next"`
	// CutOff is true when the asked node is primary and sees no other node.
	CutOff bool `json:"cut_off,omitempty"`
	// Readiness says of each operation whether it would work now; absent in the
	// documents of older services, which is not known.
	Readiness []ReadyStatus `json:"readiness,omitempty"`
}

// NodeStatus is one configured node; all of them are always listed.
type NodeStatus struct {
	Node            string           `json:"node"`
	Witness         bool             `json:"witness,omitempty"`
	Self            bool             `json:"self,omitempty"`
	Heard           time.Duration    `json:"heard"` // since the node's newest report was heard; negative: never
	Planned         bool             `json:"planned_stop,omitempty"`
	Role            replication.Role `json:"role"`
	Seen            []ServerReport   `json:"seen"`              // the server from each vantage point, Observer beside it
	Observers       []string         `json:"observers"`         // same order as Seen
	ReceiveLagBytes *uint64          `json:"receive_lag_bytes"` // nil: unknown or not applicable
	ReplayLagBytes  *uint64          `json:"replay_lag_bytes"`
	Lag             *Lag             `json:"lag,omitempty"` // a standby's; absent where it does not apply
	App             *AppReport       `json:"app,omitempty"`
	// DataFreeBytes is what is free on the file system of its data directory, as
	// its own service told last; nil: not known or not applicable.
	DataFreeBytes *int64 `json:"data_free_bytes,omitempty"`
	// Volumes are its file systems as it measured them itself; absent: not known.
	Volumes []VolumeReport `json:"volumes,omitempty"`
	Durable *fence.Durable `json:"durable,omitempty"`
	Fence   string         `json:"fence,omitempty"` // "", "marker", "ordered"
	// Upstream is what the server receives WAL from, and Downstreams who receives
	// from it, further standbys among them; absent when not known.
	Upstream    *Upstream    `json:"upstream,omitempty"`
	Downstreams []Downstream `json:"downstreams,omitempty"`
}

// OpenCondition is a condition as shown to people.
type OpenCondition struct {
	Code     string        `json:"code"`
	Subject  string        `json:"subject"`
	Severity string        `json:"severity"`
	Text     string        `json:"text"`
	Evidence []string      `json:"evidence"`
	For      time.Duration `json:"for"`
	// Hold is how long it must last before it is told; 0: at once, or not known.
	Hold     time.Duration `json:"hold,omitempty"`
	Firing   bool          `json:"firing"` // past its hold time
	Incident string        `json:"incident,omitempty"`
	// Within is the code of the incident whose message lists this condition;
	// empty when it is told by itself.
	Within  string `json:"within,omitempty"`
	Hint    string `json:"hint,omitempty"`
	Runbook string `json:"runbook,omitempty"`
}

// NextCommand is a command worth typing now.
type NextCommand struct {
	Command string `json:"command"`
	Why     string `json:"why"`
}
