package view

import (
	"maps"
	"slices"
	"time"
)

// retiredBoots is how many earlier runs of a node's service are remembered, so
// that a late packet of one cannot push out the present run's report.
const retiredBoots = 16

// Board collects reports into a View. It is not safe for concurrent use: the
// service's loop owns it.
type Board struct {
	cluster, self string
	nodes         []NodeInfo
	began         time.Time
	entries       map[string]entry
	alive         map[string]bool
}

type entry struct {
	report  Report
	at      time.Time
	since   time.Time // of the first of the reports that have come without a gap
	retired []string
}

// silentGap is how long a node must have been unheard for its next report to
// count as its return.
const silentGap = 5 * time.Second

// NewBoard begins an empty board. All times given to it must carry the
// monotonic reading of the same process.
func NewBoard(cluster, self string, nodes []NodeInfo, now time.Time) *Board {
	return &Board{
		cluster: cluster, self: self, nodes: slices.Clone(nodes), began: now,
		entries: map[string]entry{}, alive: map[string]bool{},
	}
}

// Put merges one report that was heard (or made) at the given time and says
// whether it was taken. Per node the newest wins: a higher Seq of the same Boot,
// or a Boot not seen before. Reports of nodes that are not configured are dropped.
func (b *Board) Put(r Report, at time.Time) bool {
	if !slices.ContainsFunc(b.nodes, func(n NodeInfo) bool { return n.Name == r.Node }) {
		return false
	}
	next, taken := merge(b.entries[r.Node], r, at)
	if taken {
		b.entries[r.Node] = next
	}
	return taken
}

func merge(old entry, r Report, at time.Time) (entry, bool) {
	if old.report.Boot == r.Boot {
		if old.report.Boot != "" && r.Seq <= old.report.Seq {
			return old, false
		}
		since := old.since
		if since.IsZero() || at.Sub(old.at) > silentGap {
			since = at
		}
		return entry{report: r, at: at, since: since, retired: old.retired}, true
	}
	if slices.Contains(old.retired, r.Boot) {
		return old, false
	}
	retired := old.retired
	if old.report.Boot != "" {
		retired = append(slices.Clone(retired), old.report.Boot)
	}
	if n := len(retired) - retiredBoots; n > 0 {
		retired = retired[n:]
	}
	return entry{report: r, at: at, since: at, retired: retired}, true
}

// SetAlive records what gossip membership thinks of a node.
func (b *Board) SetAlive(node string, alive bool) { b.alive[node] = alive }

// View gives everything with ages as of now.
func (b *Board) View(now time.Time) View {
	v := View{
		Cluster: b.cluster, Self: b.self, Nodes: slices.Clone(b.nodes),
		Reports: make(map[string]Heard, len(b.entries)),
		Alive:   maps.Clone(b.alive), Up: max(0, now.Sub(b.began)),
	}
	for name, e := range b.entries {
		v.Reports[name] = Heard{Report: e.report, Heard: max(0, now.Sub(e.at)), Present: max(0, now.Sub(e.since))}
	}
	return v
}
