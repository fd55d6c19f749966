package fence

import "github.com/gestionale-fullstack/watchdog/replication"

// StateReading says what the state directory gave.
type StateReading uint8

// The readings. StateUnreadable is the zero value: it permits nothing.
const (
	StateUnreadable StateReading = iota // damaged, half-written, of a newer format, or not permitted
	StateAbsent                         // certainly not there
	StateReadable
)

// GateFacts is everything that the gate's decision rests on. It needs no
// service, no database and no right clock.
type GateFacts struct {
	Node       string
	State      StateReading
	StateFault string // names the file, when StateUnreadable
	Durable    Durable
	Data       DataReading
	Peers      []PeerReading
	Asked      bool // every peer was asked at least once
	WaitOver   bool // the time to wait for peers is over
}

// DataReading is what the data directory gave, offline.
type DataReading struct {
	Directory      string
	Empty          bool   // nothing in it: an entrypoint would run initdb
	Fault          string // control file unreadable; names the file
	SystemID       replication.SystemID
	StandbySignal  bool
	RecoverySignal bool
	BackupLabel    bool
	Adopted        bool // adopt left its mark in this directory
	Holders        int  // processes of a server that hold it now
}

// PeerReading is one peer's answer over the control API.
type PeerReading struct {
	Node             string
	Witness          bool // holds no data: its answer can only forbid
	Answered         bool
	Why              string // why it did not answer
	Durable          *Durable
	RunningAsPrimary bool
	RunningKnown     bool
	// SeesPrimary is true when the peer's own probe sees, at this moment, a
	// PostgreSQL at this node's address that runs as primary. No server runs
	// here while the gate decides, so that it can only be a copy of this node.
	SeesPrimary bool
}
