package audit

import (
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Facts is what all nodes together know.
type Facts struct {
	Asked string
	Nodes []Node // every configured node
	// SkewLimit is how far two clocks may differ.
	SkewLimit time.Duration
}

// Node is one configured node.
type Node struct {
	Name    string
	Witness bool
	Keyed   bool   // its public key stands in the configuration of the asked node
	Local   *Local // what its service says of itself; nil: it did not answer
	Silence string // why it did not answer
	Refused string // what it answered instead, as an older one would
	// Skew is this node's clock minus that of the asked node; nil: not measured.
	Skew *time.Duration
	Slot string // the slot that any other server keeps for it
}

// Local is what a service says of its own machine. The zero value of every
// field is "not known" or "not there", never "fine".
type Local struct {
	Node    string `json:"node"`
	Program string `json:"program"` // version
	// Server is the own PostgreSQL; nil: it could not be asked, see Problem.
	Server        *replication.Audit `json:"server,omitempty"`
	ServerProblem string             `json:"server_problem,omitempty"`
	// Streams are the tries to open a replication session on the other servers.
	Streams []Stream `json:"streams,omitempty"`
	Boot    Boot     `json:"boot"`
	Host    Host     `json:"host"`
	Alerts  Alerts   `json:"alerts"`
	// Devices is what the fence devices of the other nodes say to this one.
	Devices []Device `json:"devices,omitempty"`
	// DevicesSet counts the devices that the configuration gives this node.
	DevicesSet int `json:"devices_set"`
	// Secrets counts the secret files that are configured; SecretFaults says what
	// is wrong with some of them.
	Secrets      int      `json:"secrets"`
	SecretFaults []string `json:"secret_faults,omitempty"`
	StateFault   string   `json:"state_fault,omitempty"`
	Warnings     []string `json:"warnings,omitempty"` // of its configuration
}

// Stream is one try to open a replication session on another server, as this
// node's PostgreSQL would do as its standby.
type Stream struct {
	To      string              `json:"to"`
	OK      bool                `json:"ok"`
	Verdict replication.Verdict `json:"verdict"`
	Cause   string              `json:"cause,omitempty"`
	Detail  string              `json:"detail,omitempty"`
	Role    string              `json:"role"`
	// Secret is true when a passfile is configured for the role: without one,
	// a refused password says nothing about the standby's own.
	Secret bool `json:"secret"`
}

// Boot is how PostgreSQL starts on a machine.
type Boot struct {
	Adopted bool   `json:"adopted"` // the boot gate is active
	Driver  string `json:"driver"`  // systemd, pg_ctl, compose
	Unit    string `json:"unit,omitempty"`
	// Hook is the file that puts the gate before the unit; empty: none was found.
	Hook string `json:"hook,omitempty"`
	// Known: the manager told what follows.
	Known            bool   `json:"known"`
	StartsAtBoot     bool   `json:"starts_at_boot"`
	RestartsByItself bool   `json:"restarts_by_itself"`
	Restart          string `json:"restart,omitempty"` // the manager's words
	Problem          string `json:"problem,omitempty"`
}

// Host is the machine.
type Host struct {
	// ClockKnown: the kernel told whether its clock is disciplined (adjtimex(2)).
	ClockKnown  bool `json:"clock_known"`
	ClockSynced bool `json:"clock_synced"`
	// StateFS is the type of the state directory's file system; empty: unknown.
	StateFS        string `json:"state_fs,omitempty"`
	DataFreeBytes  int64  `json:"data_free_bytes"`
	DataTotalBytes int64  `json:"data_total_bytes"` // 0: not known
	DataDir        string `json:"data_dir,omitempty"`
	DataMode       uint32 `json:"data_mode"` // permission bits; 0: not known
}

// Alerts is who would be told.
type Alerts struct {
	Recipients int      `json:"recipients"`
	Faults     []string `json:"faults,omitempty"` // channels that do not deliver now
}

// Device is what one fence device of another node answered to a harmless verb.
type Device struct {
	Node  string `json:"node"` // whom it would fence
	Name  string `json:"name"`
	Ready bool   `json:"ready"`
	Grade string `json:"grade"`
	Text  string `json:"text,omitempty"`
}

// PeerDevice is the name of the device that every node has without one being
// configured: its own service.
const PeerDevice = "peer"

// servers lists the nodes that run PostgreSQL.
func (f Facts) servers() []Node {
	return slices.DeleteFunc(slices.Clone(f.Nodes), func(n Node) bool { return n.Witness })
}

// server gives the audit of a node's PostgreSQL; nil when it is not known.
func (n Node) server() *replication.Audit {
	if n.Local == nil {
		return nil
	}
	return n.Local.Server
}

// primary gives the one server that is known to be out of recovery.
func (f Facts) primary() (Node, bool) {
	var found []Node
	for _, n := range f.servers() {
		if a := n.server(); a != nil && !a.InRecovery {
			found = append(found, n)
		}
	}
	if len(found) != 1 {
		return Node{}, false
	}
	return found[0], true
}
