package main

import (
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// behindText is the column BEHIND: what the standby has not replayed, the part
// of it that it has not even received (a promotion would lose that), and the
// time. "-" does not apply, "?" is not known, and 0 was measured.
func behindText(n view.NodeStatus) string {
	if n.Role == replication.RolePrimary {
		return notApplicableText
	}
	flush, replay, late := n.ReceiveLagBytes, n.ReplayLagBytes, (*time.Duration)(nil)
	atLeast := false
	if n.Lag != nil {
		flush, replay, late, atLeast = n.Lag.FlushBytes, n.Lag.ReplayBytes, n.Lag.Time, n.Lag.AtLeast
	}
	if flush == nil && replay == nil && late == nil {
		return unknownText
	}
	text := sizeText(replay)
	if flush == nil || *flush > 0 {
		text += fmt.Sprintf(" (%s not received)", sizeText(flush))
	}
	return text + ", " + lateText(late, atLeast)
}

func sizeText(n *uint64) string {
	if n == nil {
		return unknownText
	}
	return bytesText(*n)
}

func lateText(d *time.Duration, atLeast bool) string {
	switch {
	case d == nil || *d < 0:
		return unknownText
	case atLeast:
		return "at least " + ageText(*d)
	}
	return ageText(*d)
}
