package main

import (
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// oldRows is when what a server listed is shown with its age: the SQL probe
// asks every 5 s.
const oldRows = 20 * time.Second

// topologyLines says who feeds whom, further standbys included, and which
// standby receives from somebody else than the primary.
func topologyLines(s view.Status) string {
	var b strings.Builder
	for _, n := range s.Nodes {
		if len(n.Downstreams) > 0 {
			b.WriteString(feedsLine(n))
		}
		if u := n.Upstream; u != nil && !isPrimary(s, u.Node) {
			b.WriteString(clean(n.Node) + " receives from " + upstreamText(*u) + "\n")
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + b.String()
}

func isPrimary(s view.Status, node string) bool {
	for _, n := range s.Nodes {
		if n.Node == node {
			return n.Role == replication.RolePrimary
		}
	}
	return false
}

func feedsLine(n view.NodeStatus) string {
	var parts []string
	for _, d := range n.Downstreams {
		parts = append(parts, downstreamText(d))
	}
	line := clean(n.Node) + " feeds " + strings.Join(parts, "; ")
	if age := n.Downstreams[0].Age; age > oldRows {
		line += " (listed " + ageText(age) + " ago)"
	}
	return line + "\n"
}

func downstreamText(d view.Downstream) string {
	who := clean(d.Node)
	if d.Node == "" {
		who = clean(d.ApplicationName)
		if d.Address != "" {
			who += " at " + clean(d.Address)
		}
		switch d.Kind {
		case view.KindLogical:
			who += ", a logical subscriber"
		case view.KindStandby:
			who += ", a further standby"
		default:
			who += ", no standby"
		}
	}
	lag := unknownText
	if d.LagBytes != nil {
		lag = bytesText(*d.LagBytes)
	}
	state := clean(d.State)
	if state == "" {
		state = unknownText
	}
	return who + " (" + state + ", " + clean(d.SyncState) + ", " + lag + " behind)"
}

func upstreamText(u view.Upstream) string {
	if u.Node != "" {
		return clean(u.Node) + " (" + clean(u.State) + ")"
	}
	if u.Host == "" {
		return "somebody that it does not name (" + clean(u.State) + ")"
	}
	return clean(replication.Target{Host: u.Host, Port: u.Port}.Address()) + ", no address of a configured node (" + clean(u.State) + ")"
}
