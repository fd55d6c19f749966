package view

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// ReportFormat is the version of the encoded Report. A reader ignores unknown
// fields and rejects other format numbers.
const ReportFormat = 1

// Never is the age of what has not happened yet.
const Never = time.Duration(-1)

// Report is everything that one node saw, as it goes over gossip. Ages count
// from the moment of sending; the receiver adds the time since it was heard on
// its own monotonic clock, so clocks of two machines are never compared.
type Report struct {
	Format      int    `json:"v"`
	Node        string `json:"node"`
	Boot        string `json:"boot"` // random id of this run of the service
	Seq         uint64 `json:"seq"`  // grows by one per report of one Boot
	Program     string `json:"program"`
	PlannedStop bool   `json:"planned_stop,omitempty"` // announced before the service stops on purpose
	Witness     bool   `json:"witness,omitempty"`
	// ConfigHash identifies the settings that all nodes share; empty: not known.
	ConfigHash string         `json:"config_hash,omitempty"`
	Servers    []ServerReport `json:"servers"`
	App        *AppReport     `json:"app,omitempty"`
	Durable    *fence.Durable `json:"durable,omitempty"` // nil when the state cannot be read
	StateFault string         `json:"state_fault,omitempty"`
	Edges      []EdgeReport   `json:"edges,omitempty"`
	// Operations lists what this node owns and has not closed.
	Operations []OperationReport `json:"operations,omitempty"`
	Host       HostReport        `json:"host"`
	// Alone is what the own server holds after a parting; nil when it has not
	// parted from another, or its disk was not read.
	Alone *AloneReport `json:"alone,omitempty"`
	// Readiness says of each operation that this node would run whether it would
	// work now; what is not listed is not known.
	Readiness []ReadinessReport `json:"readiness,omitempty"`
	// Login is whether a standby on this node could connect to the other server;
	// nil when it was not tried.
	Login *LoginReport `json:"login,omitempty"`
	// Notified lists incident keys and recipients already told, so that the
	// other service stays quiet.
	Notified []string `json:"notified,omitempty"`
}

// ServerReport is how one PostgreSQL server looked from the reporting node.
type ServerReport struct {
	Node     string               `json:"node"` // whose server
	Verdict  replication.Verdict  `json:"verdict"`
	Cause    string               `json:"cause,omitempty"`
	Detail   string               `json:"detail,omitempty"`
	Age      time.Duration        `json:"age"`   // since the newest sample, healthy or not; negative when never
	Since    time.Duration        `json:"since"` // how long the verdict has been this one
	Role     replication.Role     `json:"role"`
	SystemID replication.SystemID `json:"system_identifier"`
	Timeline replication.Timeline `json:"timeline"`
	Position replication.LSN      `json:"position"` // flush (primary) or received (standby), of the last answer
	Answered time.Duration        `json:"answered"` // since the last healthy answer; negative when never
	// Took is how long the last healthy answer took, so that the server read what it
	// told within Took before Answered; 0 when not known. Prior is the healthy
	// answer before it, of the same role and timeline: two servers are asked at one
	// beat, and which of their answers was read first is not known.
	Took      time.Duration       `json:"took"`
	Prior     *PriorAnswer        `json:"prior,omitempty"`
	History   []HistoryLine       `json:"history,omitempty"`
	Status    *replication.Status `json:"status,omitempty"` // last SQL answer; its At does not travel
	StatusAge time.Duration       `json:"status_age"`       // negative when never
	// RoleSince is how long this observer has seen the role without a miss or
	// another role in between; Never after a miss. Two servers were primary at
	// one and the same moment only when such spans overlap.
	RoleSince time.Duration `json:"role_since"`
	// Advanced is how long ago Position was last known to be lower than it is:
	// the age of the sample before the one that showed growth, because the bytes
	// may have come right after it. Never when it has not grown. On a standby
	// that streams, growth proves that its primary lived after that moment.
	Advanced time.Duration `json:"advanced"`
	// Processes counts live PostgreSQL processes that hold the data directory;
	// only the node's own service knows it (-1: not known).
	Processes int `json:"processes"`
	// WentBackFrom is the highest position that the observer saw a primary at
	// before a lower one on the same timeline; 0 when it saw none, or none is
	// known. It stands until the primary is past it.
	WentBackFrom replication.LSN `json:"went_back_from,omitempty"`
	// Replay is how far a standby had replayed at its last answer; 0 when not
	// known. Unlike Status it keeps the pace of the position probe.
	Replay replication.LSN `json:"replay,omitempty"`
	// Reached is the highest Position that this observer has seen of a standby on
	// its timeline and that no stream has confirmed or replaced since; 0 when not
	// known. Position below it means that the standby has restarted and says less
	// than it holds.
	Reached replication.LSN `json:"reached,omitempty"`
	// Stuck is how long WAL that a standby has received has waited at one
	// replayed position; 0 when none was seen waiting, or nothing is known.
	Stuck time.Duration `json:"stuck,omitempty"`
	// Behind is the standby's lag in time; nil when not known.
	Behind *Behind `json:"behind,omitempty"`
	// ConflictsRecent counts the queries that replay canceled in the last
	// ConflictWindow; nil: not known.
	ConflictsRecent *uint64 `json:"conflicts_recent,omitempty"`
	// ArchiverFailing is how long this observer has seen the archiver's newest
	// attempt fail; 0: it does not, or not known.
	ArchiverFailing time.Duration `json:"archiver_failing,omitempty"`
}

// Behind is how far a standby was behind its primary at its last answer, in time:
// how long before that the primary had passed the position up to which it had
// replayed. It rests on one observer's samples of both and on no clock of theirs.
type Behind struct {
	Primary string        `json:"primary"` // whose positions it was measured against
	Time    time.Duration `json:"time"`
	// AtLeast says that Time is a lower bound: the observer did not see the
	// primary when it passed that position.
	AtLeast bool `json:"at_least,omitempty"`
}

// ConflictWindow is the past that ServerReport.ConflictsRecent counts.
const ConflictWindow = 10 * time.Minute

// PriorAnswer is what a server answered the time before.
type PriorAnswer struct {
	Position replication.LSN `json:"position"`
	Answered time.Duration   `json:"answered"` // its age
}

// OperationReport is one open operation of the reporting node.
type OperationReport struct {
	ID    string        `json:"id"`
	Kind  string        `json:"operation"`
	State string        `json:"state"` // running, stopped
	Step  string        `json:"step,omitempty"`
	By    string        `json:"by,omitempty"`
	Text  string        `json:"text,omitempty"`
	Age   time.Duration `json:"age"` // since its newest journal record
}

// HistoryLine is one parent of a timeline.
type HistoryLine struct {
	Timeline    replication.Timeline `json:"timeline"`
	SwitchPoint replication.LSN      `json:"switch_point"`
}

// AppReport is how the application's health endpoint answered.
type AppReport struct {
	URL     string        `json:"url"`
	OK      bool          `json:"ok"`
	Status  int           `json:"status"` // HTTP status; 0 when none came
	Detail  string        `json:"detail,omitempty"`
	Age     time.Duration `json:"age"`
	Misses  int           `json:"misses"` // consecutive
	Latency time.Duration `json:"latency"`
}

// EdgeReport is one direct measurement of the control API of another node.
type EdgeReport struct {
	Node     string        `json:"node"`
	OK       bool          `json:"ok"`
	Detail   string        `json:"detail,omitempty"`
	Age      time.Duration `json:"age"`      // since the newest try
	Answered time.Duration `json:"answered"` // since the last answer; negative when never
	RTT      time.Duration `json:"rtt"`
	Skew     time.Duration `json:"skew"` // the other clock minus ours, by round-trip midpoint
}
