package gossip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"
)

// MaxReportBytes bounds one report. What its maker may encode must fit: a node
// whose report is too large for its carrier looks dead to the others.
const MaxReportBytes = 256 << 10

// keyBytes is the length of a gossip key: AES-256.
const keyBytes = 32

// The measured defaults for two nodes (500 ms / 250 ms / ×4 notice a dead peer
// after 2.5 to 3.5 s; a two-node memberlist does not heal by itself after about
// 7 s of cut, hence the re-join).
const (
	defaultProbeInterval = 500 * time.Millisecond
	defaultProbeTimeout  = 250 * time.Millisecond
	defaultSuspicionMult = 4
	defaultRejoinEvery   = 2 * time.Second
)

// gossipInterval is how often news of members is passed on. A farewell waits for
// it, and must be out within leaveLimit.
const gossipInterval = 400 * time.Millisecond

// Options configures a Gossip. Node, Label, Key, Bind, Peers and Log are needed.
type Options struct {
	Node  string // own name
	Label string // cluster name and system: other clusters' packets are dropped before decryption
	// Key is the gossip key, 32 bytes, used for sending. OlderKeys are also
	// accepted, which is what makes rotation possible.
	Key       []byte
	OlderKeys [][]byte
	Bind      string            // host:port, IP address and fixed port
	Advertise string            // what the others have configured for us; empty: Bind
	Peers     map[string]string // the other nodes: name to IP:port
	// Networks, when given, are the only ones from which connections and
	// packets are taken, even before decryption.
	Networks []netip.Prefix

	// OnReport gets each new report of a configured peer, OnMember each change
	// of a peer's liveness. Both are called from one goroutine, never at the
	// same time, and may take their time: reports meanwhile replaced by newer
	// ones of the same node are dropped and counted. Either may be nil.
	OnReport func(from string, b []byte)
	OnMember func(Member)

	// Zero means the measured default of each.
	ProbeInterval time.Duration
	ProbeTimeout  time.Duration
	SuspicionMult int
	RejoinEvery   time.Duration

	Log *zap.Logger

	// wrap lets tests put a cut between two nodes.
	wrap func(memberlist.NodeAwareTransport) memberlist.NodeAwareTransport
}

// resolved is Options after checking, with addresses parsed.
type resolved struct {
	Options
	bind, advertise netip.AddrPort
	peers           map[string]netip.AddrPort
}

func (o Options) resolve() (resolved, error) {
	r := resolved{Options: o, peers: make(map[string]netip.AddrPort, len(o.Peers))}
	if o.Log == nil {
		return r, errors.New("configure gossip: no logger")
	}
	if err := o.checkNames(); err != nil {
		return r, err
	}
	if err := o.checkKeys(); err != nil {
		return r, err
	}
	var err error
	if r.bind, err = parseAddr("bind", o.Bind, true); err != nil {
		return r, err
	}
	if o.Advertise == "" {
		r.Advertise = o.Bind
	}
	if r.advertise, err = parseAddr("advertise", r.Advertise, false); err != nil {
		return r, err
	}
	for name, addr := range o.Peers {
		if r.peers[name], err = parseAddr("peer "+name, addr, false); err != nil {
			return r, err
		}
		if r.peers[name] == r.advertise {
			return r, fmt.Errorf("configure gossip: peer %s has our own address %s", name, r.advertise)
		}
	}
	return r.withDefaults()
}

func (o Options) checkNames() error {
	if o.Label == "" || len(o.Label) > 255 { // memberlist's limit
		return fmt.Errorf("configure gossip: label has %d bytes, want 1 to 255", len(o.Label))
	}
	if !nameForm.MatchString(o.Node) {
		return fmt.Errorf("configure gossip: node name %q is not of the form %s", o.Node, nameForm)
	}
	for name := range o.Peers {
		if name == o.Node {
			return fmt.Errorf("configure gossip: node %s is its own peer", name)
		}
		if !nameForm.MatchString(name) {
			return fmt.Errorf("configure gossip: peer name %q is not of the form %s", name, nameForm)
		}
	}
	return nil
}

// nameForm keeps names apart from addresses, which memberlist writes as
// name/address, and from anything a log line could be confused by.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$`)

func (o Options) checkKeys() error {
	for _, k := range append([][]byte{o.Key}, o.OlderKeys...) {
		if len(k) != keyBytes {
			return fmt.Errorf("configure gossip: a key has %d bytes, want %d", len(k), keyBytes)
		}
	}
	return nil
}

// parseAddr takes IP:port only: a name could resolve to another address on each
// node, and not at all while the network is broken.
func parseAddr(what, s string, wildcard bool) (netip.AddrPort, error) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return a, fmt.Errorf("configure gossip: %s address %q: want IP:port: %w", what, s, err)
	}
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	if a.Port() == 0 {
		return a, fmt.Errorf("configure gossip: %s address %q: the port must be fixed", what, s)
	}
	if a.Addr().IsUnspecified() && !wildcard {
		return a, fmt.Errorf("configure gossip: %s address %q is not one that others can reach", what, s)
	}
	return a, nil
}

func (r resolved) withDefaults() (resolved, error) {
	if r.ProbeInterval == 0 {
		r.ProbeInterval = defaultProbeInterval
	}
	if r.ProbeTimeout == 0 {
		r.ProbeTimeout = min(defaultProbeTimeout, r.ProbeInterval/2)
	}
	if r.SuspicionMult == 0 {
		r.SuspicionMult = defaultSuspicionMult
	}
	if r.RejoinEvery == 0 {
		r.RejoinEvery = defaultRejoinEvery
	}
	if r.ProbeTimeout >= r.ProbeInterval || r.ProbeTimeout < 0 || r.SuspicionMult < 1 || r.RejoinEvery < 0 {
		return r, fmt.Errorf("configure gossip: probe timeout %v must be under the interval %v, and all above zero",
			r.ProbeTimeout, r.ProbeInterval)
	}
	return r, nil
}

// allowedNets is memberlist's own second line: it checks alive messages only.
func (r resolved) allowedNets() []net.IPNet {
	addrs := []netip.Addr{r.advertise.Addr()}
	for _, a := range r.peers {
		addrs = append(addrs, a.Addr())
	}
	nets := make([]net.IPNet, 0, len(addrs))
	for _, a := range addrs {
		nets = append(nets, net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())})
	}
	return nets
}
