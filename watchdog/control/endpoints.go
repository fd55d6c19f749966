package control

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/audit"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Endpoint is one call: its method, its path and the two types that travel.
// Paths may hold one {id}.
type Endpoint[Req, Resp any] struct {
	Method, Path string
}

// None is the body of a call that carries nothing.
type None struct{}

// The local socket: what the commands call.
var (
	Status     = Endpoint[None, view.Status]{"GET", "/v1/status"}
	MakePlan   = Endpoint[runbooks.Request, runbooks.Plan]{"POST", "/v1/plan"}
	StartOp    = Endpoint[runbooks.Request, Started]{"POST", "/v1/operations"}
	ListOps    = Endpoint[None, OperationList]{"GET", "/v1/operations"}
	ShowOp     = Endpoint[None, Records]{"GET", "/v1/operations/{id}"}
	ResumeOp   = Endpoint[runbooks.Request, Started]{"POST", "/v1/operations/{id}/resume"}
	Doctor     = Endpoint[None, audit.Document]{"GET", "/v1/doctor"}
	AbortOp    = Endpoint[runbooks.Request, Started]{"POST", "/v1/operations/{id}/abort"}
	FollowPath = "/v1/operations/{id}/follow" // a stream: one runbooks.Record per line
)

// Between nodes, mutual TLS only.
var (
	NodePing     = Endpoint[None, Pong]{"GET", "/v1/node/ping"}
	NodeFacts    = Endpoint[None, Facts]{"GET", "/v1/node/facts"}
	NodeTell     = Endpoint[fence.Notice, None]{"POST", "/v1/node/tell"}
	NodeAsk      = Endpoint[None, Standing]{"GET", "/v1/node/operations/{id}"}
	NodeSeal     = Endpoint[fence.Order, fence.Outcome]{"POST", "/v1/node/seal"}
	NodeOps      = Endpoint[None, OperationList]{"GET", "/v1/node/operations"}
	NodeShowOp   = Endpoint[None, Records]{"GET", "/v1/node/operations/{id}/records"}
	NodeForward  = Endpoint[Forwarded, Answer]{"POST", "/v1/node/forward"}
	NodeApp      = Endpoint[AppAct, None]{"POST", "/v1/node/app"}
	NodeAudit    = Endpoint[None, audit.Local]{"GET", "/v1/node/audit"}
	NodeEndOfWAL = Endpoint[WALQuestion, fence.EndOfWAL]{"POST", "/v1/node/end-of-wal"}
)

// AppAct asks a node to stop or start its application for an open operation.
type AppAct struct {
	Operation string `json:"operation"`
	Start     bool   `json:"start"`
}

// Started answers a command that began (or found) an operation.
type Started struct {
	Operation string `json:"operation"`
	Node      string `json:"node"` // owner
	Already   bool   `json:"already,omitempty"`
	Text      string `json:"text,omitempty"`
}

// OperationList is every operation of this node's journal, newest first.
type OperationList struct {
	Operations []OperationLine `json:"operations"`
}

// OperationLine is one operation in a list.
type OperationLine struct {
	ID     string        `json:"id"`
	Kind   runbooks.Kind `json:"operation"`
	Node   string        `json:"node"`
	State  string        `json:"state"` // running, stopped, done, aborted
	Step   string        `json:"step,omitempty"`
	By     string        `json:"by"`
	Reason string        `json:"reason,omitempty"`
	At     time.Time     `json:"at"`
	Took   time.Duration `json:"took"`
	Text   string        `json:"text,omitempty"`
}

// Records is one operation's journal.
type Records struct {
	Records []runbooks.Record `json:"records"`
}

// Pong is a node's sign of life. It is asked for every second and costs nothing
// to give, unlike Facts.
type Pong struct {
	Node  string    `json:"node"`
	Clock time.Time `json:"clock"`
}

// Facts is what a node says of itself when asked directly: the only source of
// evidence for plans and for the gate (gossip is advice).
type Facts struct {
	Node             string         `json:"node"`
	Witness          bool           `json:"witness"`
	Boot             string         `json:"boot"` // random id of this run of the service
	Clock            time.Time      `json:"clock"`
	Durable          *fence.Durable `json:"durable,omitempty"` // nil: state cannot be read
	StateFault       string         `json:"state_fault,omitempty"`
	RunningAsPrimary bool           `json:"running_as_primary"`
	RunningKnown     bool           `json:"running_known"` // false: the node cannot say whether PostgreSQL runs as primary
	Report           *view.Report   `json:"report,omitempty"`
}

// Standing answers "does this operation still stand?".
type Standing struct {
	Open   bool         `json:"open"`   // its intent is open
	Result fence.Result `json:"result"` // outcome when closed; unknown when never heard of
	Known  bool         `json:"known"`
}

// WALQuestion asks for the end of valid WAL on the asked node's own disk.
type WALQuestion struct {
	From replication.LSN `json:"from"` // a record boundary to start at: the asker's replay LSN
}

// Forwarded is a command of an operator who sits at another node.
type Forwarded struct {
	Call    string           `json:"call"` // plan, start, resume, abort
	ID      string           `json:"id,omitempty"`
	Request runbooks.Request `json:"request"`
}

// Answer answers a forwarded command.
type Answer struct {
	Plan    *runbooks.Plan `json:"plan,omitempty"`
	Started *Started       `json:"started,omitempty"`
}
