package control

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"
)

// A host that lets a dial wait is mute until one gets through; one that refuses,
// or a caller who gave up early, says nothing about the next dial.
func TestNodeDialer_MuteHost_IsLearntAndForgotten(t *testing.T) {
	timeout := &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	d := &nodeDialer{}
	for _, c := range []struct {
		took time.Duration
		err  error
		want bool
	}{
		{time.Millisecond, syscall.ECONNREFUSED, false},
		{100 * time.Millisecond, timeout, false}, // the caller had no more time
		{time.Second, timeout, true},
		{time.Millisecond, syscall.ECONNREFUSED, true},
		{2 * time.Second, nil, false},                 // late, and there
		{3 * time.Second, syscall.EHOSTUNREACH, true}, // nobody answered ARP
		{time.Millisecond, nil, false},
	} {
		d.learn(c.took, c.err)
		if got := d.mute.Load(); got != c.want {
			t.Errorf("after %s and %v: mute %t, want %t", c.took, c.err, got, c.want)
		}
	}
}
