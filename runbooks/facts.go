package runbooks

import (
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// Facts is the evidence that a plan rests on. The service fills it from its own
// probes and from direct answers of the other services; nothing in it comes from
// gossip (DESIGN rule 14).
type Facts struct {
	Cluster string
	Self    string // node whose service plans and would run
	At      time.Time
	Own     fence.Durable
	// DataSystemID is what the own data directory says of itself, offline; zero
	// when it cannot be read.
	DataSystemID replication.SystemID
	// Faults names state files and journals that cannot be understood: nothing
	// acts while there is one.
	Faults []string
	Nodes  []NodeFacts // every configured node, self included
	// Devices is what the fence devices of each node could do now.
	Devices map[string][]DeviceFact
	// RateBytes is how fast the primary wrote WAL while it was last seen, in
	// bytes per second; negative when not known.
	RateBytes float64
	// Unsealed is the end of WAL that the old primary's own service reads from
	// its disk while the server is down; nil when it could not.
	Unsealed *fence.EndOfWAL
	Allowed  uint64 // loss.allowed, bytes
	App      AppFact
	ValidFor time.Duration
	// MaxSkew is how far the clocks of two nodes may differ; 0 judges none.
	MaxSkew time.Duration
}

// NodeFacts is one node: what its service says of itself, and how its server
// looks from each vantage point.
type NodeFacts struct {
	Node    string
	Witness bool
	// Answers is true when the node's service answered just now over the
	// control API; Durable and Running come from that answer.
	Answers          bool
	Silence          string // why it did not answer
	Durable          *fence.Durable
	RunningAsPrimary bool
	RunningKnown     bool
	Seen             []Seen
	// Status is the newest SQL answer of the server, with its age.
	Status    *replication.Status
	StatusAge time.Duration
	// History lists the parents of the server's timeline, as far as it was read.
	History []Parent
	// Advanced is how long ago the server's received position last grew while
	// it streams; negative when not known. Only of the own standby.
	Advanced time.Duration
	// What follows is gathered for readiness alone; nil is not known.

	// Burden is what the newest look at the server showed, a minute old at most.
	Burden *replication.Burden
	// Login says whether a standby on this node could connect to the other
	// server, as the node's own service tried.
	Login *LoginFact
	// Disk is the file system of the data directory, as the node's own service
	// sees it.
	Disk *DiskFact
	// Skew is the node's clock minus the planning one's.
	Skew *time.Duration
	// Slot names the replication slot that another server keeps for this node.
	Slot string
}

// LoginFact is one try of the connection that a standby would open.
type LoginFact struct {
	To   string // node whose server was asked
	OK   bool
	Text string // the refusal, in the server's or the kernel's words
	Age  time.Duration
}

// DiskFact is one file system, in bytes.
type DiskFact struct{ Free, Total int64 }

// Parent is one parent of a timeline: a server whose timeline has it holds all
// of its WAL up to the switch point.
type Parent struct {
	Timeline    replication.Timeline
	SwitchPoint replication.LSN
}

// Seen is one server from one vantage point.
type Seen struct {
	Observer string
	Verdict  replication.Verdict
	Cause    string
	Age      time.Duration // since the newest probe
	Since    time.Duration // how long the verdict has been this one
	Role     replication.Role
	SystemID replication.SystemID
	Timeline replication.Timeline
	Position replication.LSN
	Answered time.Duration // since the last answer; negative when never
}

// DeviceFact is what one fence device could do now.
type DeviceFact struct {
	Name  string
	Grade fence.Grade // the grade that a success would have
	Ready bool        // its harmless verb answered
	Text  string
}

// freshness is how old a probe may be to count as present knowledge: above the
// slowest dial back-off of the probes (5 s) with its deadline.
const freshness = 10 * time.Second

// Node gives the facts of one node; the zero value when it is not configured.
func (f Facts) Node(name string) (NodeFacts, bool) {
	for _, n := range f.Nodes {
		if n.Node == name {
			return n, true
		}
	}
	return NodeFacts{}, false
}

// Other gives the data-holding node that is not name. A cluster is a pair.
func (f Facts) Other(name string) (NodeFacts, bool) {
	for _, n := range f.Nodes {
		if n.Node != name && !n.Witness {
			return n, true
		}
	}
	return NodeFacts{}, false
}

// liveness orders verdicts by how much life they show. The most alive of all
// vantage points counts, because a promotion must fear the one that still
// writes.
var liveness = map[replication.Verdict]int{
	replication.VerdictUnreachable:    1,
	replication.VerdictDown:           2,
	replication.VerdictHung:           3,
	replication.VerdictStorageStalled: 4,
	replication.VerdictShuttingDown:   5,
	replication.VerdictStarting:       6,
	replication.VerdictAuthRefused:    7,
	replication.VerdictSaturated:      8,
	replication.VerdictReadOnly:       9,
	replication.VerdictSyncStalled:    10,
	replication.VerdictHealthy:        11,
}

// commitVerdicts can only be known by the node's own commit probe: an answer
// from outside is proof of life, not proof that commits work.
var commitVerdicts = map[replication.Verdict]bool{
	replication.VerdictStorageStalled: true,
	replication.VerdictReadOnly:       true,
	replication.VerdictSyncStalled:    true,
}

// Verdict combines the vantage points on one server. Unknown stays unknown
// until a fresh probe has spoken.
func (n NodeFacts) Verdict() (replication.Verdict, Seen) {
	var best Seen
	for _, s := range n.Seen {
		if s.Age > freshness || s.Verdict == replication.VerdictUnknown {
			continue
		}
		if s.Observer == n.Node && commitVerdicts[s.Verdict] {
			return s.Verdict, s
		}
		if liveness[s.Verdict] > liveness[best.Verdict] {
			best = s
		}
	}
	return best.Verdict, best
}

// Last gives the newest answer of the server from any vantage point: role,
// timeline and position as they were then.
func (n NodeFacts) Last() (Seen, bool) {
	var last Seen
	found := false
	for _, s := range n.Seen {
		if s.Answered < 0 || s.Role == replication.RoleUnknown {
			continue
		}
		if !found || s.Position > last.Position || (s.Position == last.Position && s.Answered < last.Answered) {
			last, found = s, true
		}
	}
	return last, found
}
