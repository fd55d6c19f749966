package control

import (
	"context"
	"fmt"
)

// Caller is who made a call, as the transport proved it: the kernel's peer
// credentials on the local socket, or the pinned key between nodes. Nothing in
// it comes from the request itself.
type Caller struct {
	UID  uint32
	GID  uint32
	PID  int32
	User string // name of UID; empty when it has none
	Node string // set on the node API only: whose key it was
}

// String gives the form that goes into the journal: "mario (uid 1000)" for a
// person, "node b" for a service.
func (c Caller) String() string {
	switch {
	case c.Node != "":
		return "node " + c.Node
	case c.User != "":
		return fmt.Sprintf("%s (uid %d)", c.User, c.UID)
	default:
		return fmt.Sprintf("uid %d", c.UID)
	}
}

// peer is what a connection knows about its other end. identify is asked once
// per request, so that a key or a group that was taken away counts at once.
type peer interface {
	identify() (Caller, error)
}

type peerKey struct{}

func withPeer(ctx context.Context, p peer) context.Context {
	return context.WithValue(ctx, peerKey{}, p)
}

func peerOf(ctx context.Context) (Caller, error) {
	p, ok := ctx.Value(peerKey{}).(peer)
	if !ok {
		return Caller{}, fmt.Errorf("connection has no proven caller")
	}
	return p.identify()
}
