package fence

import (
	"context"
	"fmt"
	"time"
)

// PowerState is what a device reads back about a node: whether it can write as
// far as that device can tell. The zero value is unknown and never counts as off.
type PowerState uint8

// The states. For a peer's service, off means that the node holds a marker.
const (
	PowerUnknown PowerState = iota
	PowerOn
	PowerOff
)

var powerNames = [...]string{"unknown", "on", "off"}

// String gives the word used in evidence.
func (p PowerState) String() string {
	if int(p) < len(powerNames) {
		return powerNames[p]
	}
	return fmt.Sprintf("power(%d)", uint8(p))
}

// MarshalText implements encoding.TextMarshaler.
func (p PowerState) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText accepts exactly the names that String gives.
func (p *PowerState) UnmarshalText(b []byte) error {
	for i, n := range powerNames {
		if n == string(b) {
			*p = PowerState(i)
			return nil
		}
	}
	return fmt.Errorf("parse power state: unknown name %q", b)
}

// Device is one way to make sure that a node cannot write. Off acts; Status is
// harmless, so that readiness can ask it all day. Both are expected to end with
// their context; Chain bounds those that do not.
type Device interface {
	Name() string
	Off(ctx context.Context, o Order) Outcome
	Status(ctx context.Context, node string) (PowerState, Evidence, error)
}

// Link is one device with what is expected of it.
type Link struct {
	Device Device
	Grade  Grade         // the best grade that this device can give; what it claims beyond is not believed
	Limit  time.Duration // how long Off and, apart from it, one Status may take
}
