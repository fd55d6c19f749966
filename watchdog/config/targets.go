package config

import (
	"net"
	"sort"
	"strconv"
	"strings"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Peer is another node, as this one reaches it.
type Peer struct {
	Name    string
	Control string // HOST:PORT of its node-to-node API
	Gossip  string // HOST:PORT of its gossip
	Key     string // public key; empty means that it is not let in
	Witness bool
}

// Self is this node as the others see it.
func (c *Config) Self() Node { return c.Nodes[c.Node] }

// Peers lists every other node, sorted by name.
func (c *Config) Peers() []Peer {
	var out []Peer
	for name, n := range c.Nodes {
		if name != c.Node {
			out = append(out, n.peer(name))
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func (n Node) peer(name string) Peer {
	return Peer{
		Name:    name,
		Control: net.JoinHostPort(n.Address, strconv.Itoa(n.ControlPort)),
		Gossip:  net.JoinHostPort(n.Address, strconv.Itoa(n.GossipPort)),
		Key:     n.Key,
		Witness: n.Witness,
	}
}

// NodeNames lists every node, sorted.
func (c *Config) NodeNames() []string { return (&validator{c: c}).nodeNames() }

// Servers lists the nodes that have PostgreSQL, sorted.
func (c *Config) Servers() []string {
	var out []string
	for _, name := range c.NodeNames() {
		if !c.Nodes[name].Witness {
			out = append(out, name)
		}
	}
	return out
}

// Managed names what the root helper may touch on this node: the unit or the
// container of PostgreSQL, and the application's containers.
func (c *Config) Managed() []string {
	var out []string
	for _, name := range append([]string{c.Postgres.Unit, c.Postgres.Container}, c.App.Containers...) {
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}

// Target is how the watching role reaches a node's server: the local one over
// its unix socket (or postgres.host), another one over the network. It is zero
// for a witness or an unknown node.
func (c *Config) Target(node string) replication.Target {
	return c.target(node, c.Postgres.Monitor, c.Postgres.Database)
}

// ActTarget is how the acting role reaches the local server. There is none for
// another node's server: acting is local.
func (c *Config) ActTarget() replication.Target {
	return c.target(c.Node, c.Postgres.Act, c.Postgres.Database)
}

// ReplicationTarget is how a standby reaches a node's server, over the network
// even when that node is this one; its values go into primary_conninfo.
func (c *Config) ReplicationTarget(node string) replication.Target {
	n, ok := c.Nodes[node]
	if !ok || n.Witness {
		return replication.Target{}
	}
	return c.remote(n, c.Postgres.Replication, "")
}

func (c *Config) target(node string, l Login, database string) replication.Target {
	n, ok := c.Nodes[node]
	if !ok || n.Witness {
		return replication.Target{}
	}
	if node != c.Node {
		return c.remote(n, l, database)
	}
	t := c.remote(n, l, database)
	t.Port = c.Postgres.Port
	if t.Host = c.Postgres.Host; t.Host == "" {
		t.Host = c.Postgres.SocketDir
		t.SSLMode, t.RootCert = "disable", "" // a unix socket has no TLS
	}
	return t
}

func (c *Config) remote(n Node, l Login, database string) replication.Target {
	return replication.Target{
		Host: n.Postgres.Host, Port: n.Postgres.Port,
		User: l.User, Database: database, PassFile: l.PassFile.Path,
		SSLMode: c.Postgres.SSLMode, RootCert: c.Postgres.RootCert,
		AppName: "pg-watchdog/" + c.Node,
	}
}

// SlotFor names the replication slot that any other server keeps for node.
// Node names have no underscore, so that two nodes never share a slot.
func (c *Config) SlotFor(node string) string {
	return c.Postgres.SlotPrefix + strings.ReplaceAll(node, "-", "_")
}
