package gossip

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
)

// memberlist orders what is said about a node by the node's incarnation, starts
// every run at 1, and has no setter. So the others hold a new run's "alive, 1"
// for older than the farewell of the run before, until it has heard and refuted
// that: the node is not a member until then, and where a third member passes
// the old farewell on late, it stops being one again. A run therefore begins by
// refuting an accusation of its own making, whose incarnation comes from the
// clock, before anybody else can talk to it.
//
// A clock that was set back costs no more than the above. All of it is a hint.
const (
	// incarnationUnit is shorter than a farewell takes, so that two runs never
	// share one.
	incarnationUnit = 250 * time.Millisecond
	// riseLimit bounds waiting for memberlist's own packet reader.
	riseLimit = 2 * time.Second

	suspectMsg        = 3 // memberlist's message type
	encryptionVersion = 1 // memberlist's AES-GCM without padding
)

// incarnationEpoch makes the units fit 32 bits until 2059.
var incarnationEpoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func incarnationAt(now time.Time) uint32 {
	return uint32(max(0, now.Sub(incarnationEpoch)/incarnationUnit)) //nolint:gosec // G115: wraps in 2059, which is a clock set back
}

// rise lifts our own incarnation, as far as can be, and lets the others in.
func (g *Gossip) rise(t *transport) error {
	defer t.open()
	p, err := accusation(g.r, incarnationAt(time.Now()))
	if err != nil {
		return fmt.Errorf("start gossip: %w", err)
	}
	late := time.NewTimer(riseLimit)
	defer late.Stop()
	select {
	case t.packets <- p:
	case <-late.C:
		return nil
	}
	select {
	case <-g.bridge.risen:
	case <-late.C:
	}
	return nil
}

// accusation is the packet in which node r.Node is suspected, as memberlist
// would encode it.
func accusation(r resolved, incarnation uint32) (*memberlist.Packet, error) {
	m := []byte{suspectMsg, 0x80 | 3} // a MessagePack map of three
	m = binary.BigEndian.AppendUint32(append(appendText(m, "Incarnation"), 0xce), incarnation)
	m = appendText(appendText(m, "Node"), r.Node)
	m = appendText(appendText(m, "From"), r.Node)
	block, err := aes.NewCipher(r.Key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, gcm.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	sealed := gcm.Seal(append([]byte{encryptionVersion}, nonce...), nonce, m, []byte(r.Label))
	if sealed, err = memberlist.AddLabelHeaderToPacket(sealed, r.Label); err != nil {
		return nil, err
	}
	return &memberlist.Packet{Buf: sealed, From: net.UDPAddrFromAddrPort(r.advertise), Timestamp: time.Now()}, nil
}

// appendText appends s, which is shorter than 128 bytes, in MessagePack's form
// that old and new readers know.
func appendText(m []byte, s string) []byte {
	return append(append(m, 0xda, 0, byte(len(s))), s...)
}
