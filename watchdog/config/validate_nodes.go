package config

import (
	"encoding/base64"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The types of fence devices that the file knows.
const (
	DevicePeer  = "peer"
	DeviceAgent = "agent"
)

// keyPrefix begins every node's public key, so that another kind of key is
// noticed here and not in a handshake at night.
const keyPrefix = "wdpub-ed25519:"

var (
	agentName  = regexp.MustCompile(`^fence_[A-Za-z0-9_]+$`)
	optionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

func (v *validator) nodes() {
	servers, keys, addresses := 0, map[string]string{}, map[string]string{}
	for _, name := range v.nodeNames() {
		n, path := v.c.Nodes[name], "nodes."+name
		if !nodeName.MatchString(name) {
			v.bad(path, fmt.Sprintf("%q is no name of a node", name), "begin with a letter; use a-z, 0-9 and -, at most 32 characters")
		}
		if !n.Witness {
			servers++
		}
		v.node(path, name, n)
		v.unique(path+".key", n.Key, name, keys, "the key of node %q too", "run `watchdog key show` on each server")
		for _, port := range []int{n.ControlPort, n.GossipPort} {
			at := net.JoinHostPort(n.Address, strconv.Itoa(port))
			if !v.unique(path+".address", at, name, addresses, at+" is used by node %q too", "give each node its own address or ports") {
				break
			}
		}
	}
	if servers < 2 {
		v.bad("nodes", fmt.Sprintf("names %d PostgreSQL servers", servers), "a cluster has two; a witness does not count")
	}
}

// unique refuses a value that another node, or this node for another purpose,
// uses already.
func (v *validator) unique(path, value, node string, seen map[string]string, reason, hint string) bool {
	if value == "" {
		return true
	}
	if other, taken := seen[value]; taken {
		v.bad(path, fmt.Sprintf(reason, other), hint)
		return false
	}
	seen[value] = node
	return true
}

func (v *validator) node(path, name string, n Node) {
	if n.Address == "" {
		v.bad(path+".address", "is missing", "write the address by which the other nodes reach "+name)
	} else if strings.ContainsAny(n.Address, "/ @") || strings.Contains(n.Address, ":") && net.ParseIP(n.Address) == nil {
		v.bad(path+".address", fmt.Sprintf("%q is no address or host name", n.Address), "ports are separate keys: control_port, gossip_port")
	}
	v.port(path+".control_port", n.ControlPort)
	v.port(path+".gossip_port", n.GossipPort)
	switch {
	case n.Key == "":
		v.c.Warnings = append(v.c.Warnings, fmt.Sprintf("%s.key is missing: %s is not let in until it holds what `watchdog key show` prints there", path, name))
	case !isPublicKey(n.Key):
		v.bad(path+".key", "is not the public key of a node", "it begins with "+keyPrefix+" and is printed by `watchdog key show` on "+name)
	}
	if n.Witness {
		if n.Postgres != (Endpoint{}) || len(n.Fence) > 0 {
			v.bad(path, "a witness has neither PostgreSQL nor a fence", "remove postgres and fence, or witness: true")
		}
		return
	}
	v.port(path+".postgres.port", n.Postgres.Port)
	for i, d := range n.Fence {
		v.device(fmt.Sprintf("%s.fence[%d]", path, i), d)
	}
}

// isPublicKey checks the form alone: 32 bytes behind the prefix.
func isPublicKey(s string) bool {
	text, ok := strings.CutPrefix(s, keyPrefix)
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	return ok && err == nil && len(b) == 32
}

func (v *validator) device(path string, d Device) {
	if d.Type == "" {
		v.bad(path+".type", "is missing", "use type: agent")
		return
	}
	v.oneOf(path+".type", d.Type, DevicePeer, DeviceAgent)
	if d.Type != DeviceAgent {
		if d.Agent != "" || len(d.Options) > 0 || d.PasswordFile.Set() {
			v.bad(path, fmt.Sprintf("type %s takes no agent, options or password", d.Type), "use type: agent")
		}
		return
	}
	switch {
	case d.Agent == "":
		v.bad(path+".agent", "is missing", "name a program of Debian's fence-agents, such as fence_ipmilan")
	case !agentName.MatchString(d.Agent) && !filepath.IsAbs(d.Agent):
		v.bad(path+".agent", fmt.Sprintf("%q is no fence agent", d.Agent), "use a name such as fence_ipmilan, or an absolute path")
	}
	for name := range d.Options {
		v.option(path+".options."+name, name)
	}
	v.between(path+".off_limit", d.OffLimit, time.Second, 10*time.Minute)
	v.between(path+".status_interval", d.StatusInterval, 0, 24*time.Hour)
}

func (v *validator) option(path, name string) {
	low := strings.ToLower(name)
	switch {
	case !optionName.MatchString(name):
		v.bad(path, fmt.Sprintf("%q is no option of a fence agent", name), "")
	case strings.Contains(low, "passw") || strings.Contains(low, "passwd"):
		v.bad(path, "a password does not belong in this file", "write it to a file of mode 0600 and name that file in password_file")
	case low == "action" || low == "method":
		v.bad(path, "the action is chosen by the watchdog, which reads the power state back", "remove this option")
	}
}

func (v *validator) port(path string, port int) {
	if port < 1 || port > 65535 {
		v.bad(path, fmt.Sprintf("%d is no port", port), "use 1 to 65535")
	}
}

func (v *validator) listen() {
	c := v.c
	self := c.Nodes[c.Node]
	v.hostPort("listen.control", c.Listen.Control, self.ControlPort, "control_port")
	v.hostPort("listen.gossip", c.Listen.Gossip, self.GossipPort, "gossip_port")
	if c.Listen.Web != Off {
		v.hostPort("listen.web", c.Listen.Web, 0, "")
	}
}

// hostPort checks an address to listen on; dialled, when not 0, is the port
// that the other nodes will dial.
func (v *validator) hostPort(path, value string, dialled int, key string) {
	_, port, err := net.SplitHostPort(value)
	p, numErr := strconv.Atoi(port)
	if err != nil || numErr != nil || p < 0 || p > 65535 {
		v.bad(path, fmt.Sprintf("%q is no address to listen on", value), "write HOST:PORT, such as 0.0.0.0:7947")
		return
	}
	if dialled != 0 && p != dialled {
		v.bad(path, fmt.Sprintf("listens on port %d, but the others dial %d", p, dialled),
			fmt.Sprintf("make it equal to nodes.%s.%s", v.c.Node, key))
	}
}
