package main

import (
	"fmt"
	"strings"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// diskLine says how much room each node's file systems have, and how long it
// lasts where they grow; empty when no node has told.
func diskLine(s view.Status) string {
	var nodes []string
	for _, n := range s.Nodes {
		var parts []string
		for _, v := range n.Volumes {
			parts = append(parts, volumeText(v, len(n.Volumes) > 1))
		}
		if len(parts) > 0 {
			nodes = append(nodes, clean(n.Node)+" "+strings.Join(parts, ", "))
		}
	}
	if len(nodes) == 0 {
		return ""
	}
	return "disk   " + strings.Join(nodes, "; ") + "\n"
}

// volumeText names what lies on a file system only where there are several.
func volumeText(v view.VolumeReport, several bool) string {
	text := fmt.Sprintf("%s of %s free", view.Bytes(v.FreeBytes), view.Bytes(v.TotalBytes))
	if several {
		text = clean(strings.Join(v.Uses, "+")) + " " + text
	}
	if v.FullIn > 0 {
		text += ", full in " + ageText(v.FullIn)
	}
	return text
}
