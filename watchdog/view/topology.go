package view

import (
	"slices"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Downstream is one receiver of a server's WAL, as that server listed it.
type Downstream struct {
	// Node is the configured node behind it; empty: nobody watches it.
	Node            string `json:"node,omitempty"`
	ApplicationName string `json:"application_name"`
	Address         string `json:"address,omitempty"` // empty over a unix socket
	State           string `json:"state"`             // streaming, catchup, stopping; empty: hidden from our role
	SyncState       string `json:"sync_state"`        // async, potential, sync, quorum
	Slot            string `json:"slot,omitempty"`
	// Kind is standby, logical (a subscriber) or receiver (pg_receivewal, or a
	// standby that has not replied yet).
	Kind string `json:"kind"`
	// LagBytes is what it had not flushed yet when it was listed; nil: unknown.
	LagBytes *uint64       `json:"lag_bytes"`
	Age      time.Duration `json:"age"` // since it was listed
}

// Upstream is what a standby receives from, as it said itself.
type Upstream struct {
	Node  string        `json:"node,omitempty"` // configured node behind it; empty: none
	Host  string        `json:"host"`
	Port  int           `json:"port"`
	State string        `json:"state"`
	Slot  string        `json:"slot,omitempty"`
	Age   time.Duration `json:"age"` // since it was read
}

// The kinds of a Downstream.
const (
	KindStandby  = "standby"
	KindLogical  = "logical"
	KindReceiver = "receiver"
)

// topology says what a server receives from and what it feeds, by its newest
// SQL answer however old that is; nothing where that is not known or hidden.
func (v View) topology(node string) (*Upstream, []Downstream) {
	s, ok := newestStatus(v.Sightings(node))
	if !ok || !s.Status.StatsVisible {
		return nil, nil
	}
	var up *Upstream
	if r := s.Status.Receiver; r != nil && s.Status.InRecovery {
		up = &Upstream{Node: v.nodeAt(r.SenderHost, r.SenderPort), Host: r.SenderHost, Port: r.SenderPort, State: r.Status, Slot: r.SlotName, Age: s.StatusAge}
	}
	whose := v.whose(node, s.Status.Standbys)
	var down []Downstream
	for i, row := range s.Status.Standbys {
		down = append(down, Downstream{Node: whose[i], ApplicationName: row.ApplicationName, Address: row.ClientAddr, State: row.State,
			SyncState: row.SyncState, Slot: row.SlotName, Kind: kindOf(row), LagBytes: rowLag(*s.Status, row), Age: s.StatusAge})
	}
	return up, down
}

func kindOf(r replication.StandbyRow) string {
	switch {
	case r.SlotType == "logical":
		return KindLogical
	case r.Standby():
		return KindStandby
	}
	return KindReceiver
}

// rowLag compares two positions of one and the same answer.
func rowLag(s replication.Status, r replication.StandbyRow) *uint64 {
	at := s.Flush
	if s.InRecovery {
		at = max(s.Receive, s.Replay)
	}
	if at == 0 || r.Flush == 0 {
		return nil
	}
	lag := at.Since(r.Flush)
	return &lag
}

// whose names the configured node behind each row: by the slot that is kept for
// it, else by its name, else by its address, where the node itself says that it
// receives from there; no node has two rows.
func (v View) whose(upstream string, rows []replication.StandbyRow) []string {
	out := make([]string, len(rows))
	taken := map[string]bool{upstream: true}
	for _, fits := range []func(NodeInfo, replication.StandbyRow) bool{
		func(n NodeInfo, r replication.StandbyRow) bool { return n.Slot != "" && r.SlotName == n.Slot },
		func(n NodeInfo, r replication.StandbyRow) bool { return strings.EqualFold(r.ApplicationName, n.Name) },
		func(n NodeInfo, r replication.StandbyRow) bool {
			return r.ClientAddr != "" && slices.Contains(n.Addresses, r.ClientAddr) && kindOf(r) == KindStandby && v.receivesFrom(n.Name, upstream)
		},
	} {
		for i, r := range rows {
			for _, n := range v.Nodes {
				if out[i] == "" && !n.Witness && !taken[n.Name] && fits(n, r) {
					out[i], taken[n.Name] = n.Name, true
				}
			}
		}
	}
	return out
}

// receivesFrom reports whether a node's server said last that it receives from
// another, or from an address that is nobody's.
func (v View) receivesFrom(node, upstream string) bool {
	s, ok := newestStatus(v.Sightings(node))
	if !ok || !s.Status.InRecovery || s.Status.Receiver == nil {
		return false
	}
	at := v.nodeAt(s.Status.Receiver.SenderHost, s.Status.Receiver.SenderPort)
	return at == upstream || at == ""
}

// nodeAt names the configured server that listens there.
func (v View) nodeAt(host string, port int) string {
	for _, n := range v.Nodes {
		if !n.Witness && n.Port == port && port != 0 && slices.Contains(n.Addresses, host) {
			return n.Name
		}
	}
	return ""
}
