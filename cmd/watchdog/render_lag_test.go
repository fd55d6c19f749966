package main

import (
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func TestBehindText_ZeroUnknownAndNotApplicable_AreTold(t *testing.T) {
	size := func(n uint64) *uint64 { return &n }
	span := func(d time.Duration) *time.Duration { return &d }
	standby := func(g *view.Lag) view.NodeStatus { return view.NodeStatus{Role: replication.RoleStandby, Lag: g} }
	for want, n := range map[string]view.NodeStatus{
		"-":                                  {Role: replication.RolePrimary},
		"?":                                  standby(&view.Lag{Unknown: "nobody is known to be primary"}),
		"0 B, 0.0s":                          standby(&view.Lag{FlushBytes: size(0), ReplayBytes: size(0), Time: span(0)}),
		"12 MiB, 3.0s":                       standby(&view.Lag{FlushBytes: size(0), ReplayBytes: size(12 << 20), Time: span(3 * time.Second)}),
		"12 MiB (11 KiB not received), 3.0s": standby(&view.Lag{FlushBytes: size(11 << 10), ReplayBytes: size(12 << 20), Time: span(3 * time.Second)}),
		"12 MiB (? not received), 3.0s":      standby(&view.Lag{ReplayBytes: size(12 << 20), Time: span(3 * time.Second)}),
		"5 B, at least 40s":                  standby(&view.Lag{FlushBytes: size(0), ReplayBytes: size(5), Time: span(40 * time.Second), AtLeast: true}),
		"? (5 B not received), ?":            standby(&view.Lag{FlushBytes: size(5)}),
		"7 B, ?":                             {Role: replication.RoleStandby, ReceiveLagBytes: size(0), ReplayLagBytes: size(7)},
	} {
		if got := behindText(n); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
