package config

import (
	"fmt"
	"time"
)

// DefaultFile is where the service and the commands look without --config.
const DefaultFile = "/etc/pg-watchdog/watchdog.yaml"

// DefaultSocket is the operators' socket when no configuration says otherwise.
const DefaultSocket = "/run/pg-watchdog/control.sock"

// Config is the whole file after defaults, as plain values. It is made by Load
// alone and is not changed afterwards, so it may be read from any goroutine.
type Config struct {
	// Version is the version of the file's shape; only 1 exists.
	Version int `yaml:"version"`
	// Cluster names the pair in every alert and labels its gossip: [a-z0-9-],
	// at most 63 characters.
	Cluster string `yaml:"cluster"`
	// Node is this server's name in Nodes: the only line that differs between
	// the two servers.
	Node string `yaml:"node"`
	// StateDir holds epoch, markers, journal and spool; mode 0750, owned by the
	// user that the service runs as. Never inside the data directory.
	StateDir string `yaml:"state_dir"`

	Listen   Listen          `yaml:"listen"`
	Nodes    map[string]Node `yaml:"nodes"`
	Keys     Keys            `yaml:"keys"`
	Postgres Postgres        `yaml:"postgres"`
	Probes   Probes          `yaml:"probes"`
	Gossip   Gossip          `yaml:"gossip"`
	App      App             `yaml:"app"`
	// Hold overrides how long a condition must last before it becomes an
	// incident, by name; see HoldNames and Limits.
	Hold map[string]time.Duration `yaml:"hold"`
	// Thresholds are the figures above or below which a value is a finding.
	Thresholds Thresholds `yaml:"thresholds"`
	// HoldDown is how long a condition must be gone before its incident is
	// told as resolved: shorter gives pairs of mails on every flap.
	HoldDown time.Duration `yaml:"hold_down"`
	Alerts   Alerts        `yaml:"alerts"`
	Loss     Loss          `yaml:"loss"`
	Gate     Gate          `yaml:"gate"`
	Plan     Plan          `yaml:"plan"`
	Helper   Helper        `yaml:"helper"`
	Log      Log           `yaml:"log"`

	// File is the path that was loaded.
	File string `yaml:"-"`
	// Warnings are findings that do not stop the service but leave something
	// out, such as a peer without a key.
	Warnings []string `yaml:"-"`
}

// String names the configuration without showing it.
func (c *Config) String() string {
	return fmt.Sprintf("%s (cluster %s, node %s)", c.File, c.Cluster, c.Node)
}

// Listen says where this node's service listens.
type Listen struct {
	// Control is the node-to-node API (mutual TLS). Default: every address, at
	// this node's control_port.
	Control string `yaml:"control"`
	// Gossip is memberlist's address, TCP and UDP. Default: every address, at
	// this node's gossip_port.
	Gossip string `yaml:"gossip"`
	// Web is the read-only status page, metrics and role endpoints; "off"
	// closes it. It has no login: keep it on loopback or behind a proxy.
	Web string `yaml:"web"`
	// Socket is the operators' unix socket, mode 0660.
	Socket string `yaml:"socket"`
	// SocketGroup may use the socket; empty keeps the service's own group.
	SocketGroup string `yaml:"socket_group"`
}

// Node is one server of the cluster, as the others see it.
type Node struct {
	// Address is where the other nodes reach it: an IP address or a host name.
	Address string `yaml:"address"`
	// ControlPort and GossipPort are the ports that the others dial.
	ControlPort int `yaml:"control_port"`
	GossipPort  int `yaml:"gossip_port"`
	// Key is the node's public key, printed by `watchdog key show` there.
	// Without it the node is not let in, which is a warning and no error, so
	// that the first of two servers can be set up before the second.
	Key string `yaml:"key"`
	// Witness marks a third party without PostgreSQL; it has no vote, its
	// answers can only forbid.
	Witness bool `yaml:"witness"`
	// Postgres says where this node's PostgreSQL is reached from elsewhere.
	Postgres Endpoint `yaml:"postgres"`
	// Fence lists devices that can stop this node from writing, tried in this
	// order after the node's own service, which needs no entry.
	Fence []Device `yaml:"fence"`
}

// Endpoint is where a PostgreSQL server listens.
type Endpoint struct {
	Host string `yaml:"host"` // default: the node's address
	Port int    `yaml:"port"` // default: postgres.port
}

// Device is one fence device.
type Device struct {
	// Type is "peer" (the node's own service; implied, and written only to be
	// explicit) or "agent".
	Type string `yaml:"type"`
	// Agent is the program of a Debian fence-agents package, by name or
	// absolute path.
	Agent string `yaml:"agent"`
	// Options go to the agent's standard input as key=value. Passwords are not
	// accepted here.
	Options map[string]string `yaml:"options,scalars"`
	// PasswordFile holds the device's password.
	PasswordFile Secret `yaml:"password_file"`
	// OffLimit bounds one attempt, from the order to the power state read back
	// as off.
	OffLimit time.Duration `yaml:"off_limit"`
	// StatusInterval is how often the device is asked whether it would answer,
	// and each minute while it does not. A slow controller may want it longer.
	StatusInterval time.Duration `yaml:"status_interval"`
}

// Keys names the two key files of this node.
type Keys struct {
	// NodeKeyFile is this node's own Ed25519 key; it never leaves the server.
	NodeKeyFile Secret `yaml:"node_key_file"`
	// GossipKeyFile is the key shared by all nodes. It encrypts gossip and can
	// fence or promote nothing.
	GossipKeyFile Secret `yaml:"gossip_key_file"`
}
