package control

import (
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// PublicKey is a node's public key as the configuration pins it.
type PublicKey [ed25519.PublicKeySize]byte

// Pins says which keys belong to which node. A node may have two while its key
// is being rotated. Replace swaps all of them at once, and counts for open
// connections, too.
type Pins struct {
	table atomic.Pointer[map[PublicKey]string]
}

// NewPins makes the table: node name to its keys.
func NewPins(nodes map[string][]PublicKey) (*Pins, error) {
	p := &Pins{}
	if err := p.Replace(nodes); err != nil {
		return nil, err
	}
	return p, nil
}

// Replace takes a new table or, on error, leaves the old one. One key under two
// names is an error: the key is all that tells nodes apart.
func (p *Pins) Replace(nodes map[string][]PublicKey) error {
	table := make(map[PublicKey]string)
	for name, keys := range nodes {
		if name == "" {
			return errors.New("pin node keys: a node has no name")
		}
		if len(keys) == 0 {
			return fmt.Errorf("pin node keys: node %s has no public key", name)
		}
		for _, k := range keys {
			if other, taken := table[k]; taken && other != name {
				return fmt.Errorf("pin node keys: nodes %s and %s have the same public key %s", min(name, other), max(name, other), k)
			}
			table[k] = name
		}
	}
	p.table.Store(&table)
	return nil
}

// nodeOf gives the node whose key k is.
func (p *Pins) nodeOf(k PublicKey) (string, bool) {
	name, ok := (*p.table.Load())[k]
	return name, ok
}

// UnknownKeyError is a handshake with somebody whose key is not pinned.
type UnknownKeyError struct {
	Key  PublicKey
	Want string   // node that was expected; empty on the server's side
	Is   string   // node whose key it is, when it is another node's
	Pins []string // node names that would have been let in
}

// Error shows the key in the form in which the configuration would pin it.
func (e *UnknownKeyError) Error() string {
	switch {
	case e.Is != "":
		return fmt.Sprintf("the key %s is node %s's, not node %s's", e.Key, e.Is, e.Want)
	case e.Want != "":
		return fmt.Sprintf("the key %s is not pinned for node %s", e.Key, e.Want)
	}
	return fmt.Sprintf("the key %s is not pinned for any node", e.Key)
}

// admit gives the node whose key the connection proved. TLS has checked that the
// other end holds the private key; the certificate around it says nothing, and
// its dates are not looked at, so that a wrong clock shuts nobody out.
func (p *Pins) admit(s tls.ConnectionState, want string) (PublicKey, error) {
	if len(s.PeerCertificates) == 0 {
		return PublicKey{}, errors.New("the other end showed no certificate")
	}
	pub, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok {
		return PublicKey{}, fmt.Errorf("the other end's key is %T, not Ed25519", s.PeerCertificates[0].PublicKey)
	}
	key := PublicKey(pub)
	name, known := p.nodeOf(key)
	switch {
	case !known:
		return key, &UnknownKeyError{Key: key, Want: want, Pins: p.names()}
	case want != "" && name != want:
		return key, &UnknownKeyError{Key: key, Want: want, Is: name, Pins: p.names()}
	}
	return key, nil
}

func (p *Pins) names() []string {
	var names []string
	for _, n := range *p.table.Load() {
		names = append(names, n)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
