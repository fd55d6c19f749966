package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// survey picks, once for all rules, the newest fresh SQL answer of each server,
// and the newest that holds a Health, which an older observer's does not. Where
// there is none, the rules that need one say nothing: NoSample does.
func (j *judgement) survey() {
	for _, a := range j.servers {
		seen := j.Sightings(a.Node)
		if s, ok := newestStatus(seen); ok && s.statusFresh(j.limits) {
			j.told = append(j.told, s)
		}
		seen = slices.DeleteFunc(seen, func(s Sighting) bool { return s.Status == nil || s.Status.Health == nil })
		if s, ok := newestStatus(seen); ok && s.statusFresh(j.limits) {
			j.healths = append(j.healths, s)
		}
	}
}

// read is the evidence line of an SQL answer.
func (s Sighting) read(format string, args ...any) string {
	return fmt.Sprintf("%s: %s, read from PostgreSQL of %s %s ago", s.Observer, fmt.Sprintf(format, args...), s.Node, Span(s.StatusAge))
}

// heardLately gives a node's own report where it is young enough to say how the
// node is now.
func (j *judgement) heardLately(node string) (Heard, bool) {
	h, ok := j.Reports[node]
	return h, ok && h.Heard <= j.limits.PeerSilence
}

// volumeOf gives the file system of a node that serves a use, freshly measured.
func (j *judgement) volumeOf(node, use string) (VolumeReport, bool) {
	h, ok := j.heardLately(node)
	if !ok {
		return VolumeReport{}, false
	}
	for _, v := range h.Report.Host.Volumes {
		if slices.Contains(v.Uses, use) && v.Age+h.Heard <= j.limits.VolumeFresh {
			return v, true
		}
	}
	return VolumeReport{}, false
}

// subjectNode gives the node of a subject such as "db1/watchdog_db2".
func subjectNode(subject string) string {
	node, _, _ := strings.Cut(subject, "/")
	return node
}

// partner is the other server of a pair; empty where there are more.
func (j *judgement) partner(node string) string {
	if len(j.servers) != 2 {
		return ""
	}
	if j.servers[0].Node == node {
		return j.servers[1].Node
	}
	return j.servers[0].Node
}

// setting gives one of the settings that are compared between nodes.
func setting(s Sighting, name string) (string, bool) {
	v, ok := s.Status.Settings[name]
	return v, ok
}

// Bytes prints a size for people: "812 B", "3.2 MiB", "41 GiB".
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-max(n, -1<<62))
	}
	f, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	i := 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 || f >= 10 {
		return fmt.Sprintf("%.0f %s", f, units[i])
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// days prints a time that may be long: "5h12m", "3 days".
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return Span(d)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// retained is what a slot keeps, as a size that fits a sentence.
func retained(slot replication.SlotRow) string {
	return Bytes(int64(min(slot.RetainedBytes, 1<<62))) //nolint:gosec // bounded here
}

// percent is part of whole in whole percent, rounded down; 0 of nothing.
func percent(part, whole int64) int {
	if whole <= 0 {
		return 0
	}
	return int(float64(part) / float64(whole) * 100)
}
