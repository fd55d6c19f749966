package web

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := sink(ch)
	v, limits := c.source.View()
	status := c.source.Status()
	c.self(s)
	c.cluster(s, v, status)
	for _, n := range v.Servers() {
		server(s, v, limits, n)
	}
	for _, n := range status.Nodes {
		s.bytes(receiveLag, n.ReceiveLagBytes, n.Node)
		s.bytes(replayLag, n.ReplayLagBytes, n.Node)
		lag(s, n)
	}
	c.readiness(s, status)
	c.probes(s, v.Reports[v.Self].Report, v.Reports[v.Self].Heard)
	figures(s, c.source.Figures())
}

func (c *collector) self(s sink) {
	s.put(buildInfo, 1, c.build.Version, c.build.Revision, c.build.GoVersion)
	s.when(lastRound, c.source.Health().Round)
}

func (c *collector) cluster(s sink, v view.View, status view.Status) {
	for _, state := range []string{view.StateHealthy, view.StateDegraded, view.StateCritical, view.StateUnknown} {
		s.flag(clusterState, status.State == state, state)
	}
	if e := v.Epoch(); !e.Zero() {
		s.put(epochNumber, float64(e.Number))
	}
	alive, gone := 0, 0
	for _, n := range v.Nodes {
		if h, ok := v.Reports[n.Name]; ok {
			s.put(reportAge, h.Heard.Seconds(), n.Name)
		}
		switch {
		case n.Name == v.Self:
		case v.Alive[n.Name]:
			alive++
		default:
			gone++
		}
	}
	s.put(members, float64(alive), "alive")
	s.put(members, float64(gone), "gone")
	for _, severity := range alertSeverity {
		n := 0
		for _, o := range status.Open {
			if o.Firing && o.Severity == severity {
				n++
			}
		}
		s.put(alertsFiring, float64(n), severity)
	}
}

// lag sends what is known of a standby's lag beside the bytes above. A lower
// bound has a name of its own, so that no graph takes it for the figure.
func lag(s sink, n view.NodeStatus) {
	g := n.Lag
	if g == nil {
		return
	}
	s.bytes(flushLag, g.FlushBytes, n.Node)
	if g.ApplyDelay > 0 {
		s.put(applyDelay, g.ApplyDelay.Seconds(), n.Node)
	}
	switch {
	case g.Time == nil:
	case g.AtLeast:
		s.put(timeLeast, g.Time.Seconds(), n.Node)
	default:
		s.put(timeLag, g.Time.Seconds(), n.Node)
	}
}

// server sends what all vantage points together say of one server.
func server(s sink, v view.View, l view.Limits, node string) {
	a := view.Appraise(v, l, node)
	role := replication.RoleUnknown
	switch {
	case a.Standing == view.StandingPrimary && !a.ByWAL:
		role = replication.RolePrimary
	case a.Standing == view.StandingStandby:
		role = replication.RoleStandby
	}
	if a.Standing != view.StandingUnknown {
		s.flag(nodeUp, a.Standing != view.StandingBad, node)
	}
	for _, r := range []replication.Role{replication.RolePrimary, replication.RoleStandby, replication.RoleUnknown} {
		s.flag(nodeRole, role == r, node, r.String())
	}
	if role == replication.RoleUnknown {
		return
	}
	s.put(nodeTimeline, float64(a.Best.Timeline), node)
	slots(s, a.Best, l)
	if role == replication.RolePrimary {
		s.put(walWrite, float64(a.Best.Position), node)
		return
	}
	s.put(walReceive, float64(a.Best.Position), node)
	if st := a.Best.Status; st != nil && a.Best.StatusAge >= 0 && a.Best.StatusAge <= l.StatusFresh {
		s.put(walReplay, float64(st.Replay), node)
		s.flag(streaming, st.Receiver != nil && st.Receiver.Status == "streaming", node)
	}
}

// slots sends the replication slots that the last fresh SQL answer listed. The
// answer may be a peer's word: what PostgreSQL would not have said, a strange
// name or one name twice, must not spoil the whole scrape.
func slots(s sink, best view.Sighting, l view.Limits) {
	if best.Status == nil || best.StatusAge < 0 || best.StatusAge > l.StatusFresh {
		return
	}
	seen := map[string]bool{}
	for _, slot := range best.Status.Slots {
		if replication.CheckSlotName(slot.Name) == nil && !seen[slot.Name] {
			seen[slot.Name] = true
			s.flag(slotActive, slot.Active, best.Node, slot.Name)
			s.put(slotRetained, float64(slot.RetainedBytes), best.Node, slot.Name)
		}
	}
}

// readiness sends what the newest preflights say.
func (c *collector) readiness(s sink, status view.Status) {
	for _, r := range status.Readiness {
		if r.State != view.ReadyUnknown {
			s.flag(ready, r.State == view.ReadyYes, r.Operation, r.Target)
		}
		if r.Age >= 0 {
			s.when(readyChecked, status.At.Add(-r.Age), r.Operation, r.Target)
		}
	}
}

// probes sends how this node's own probes do.
func (c *collector) probes(s sink, own view.Report, heard time.Duration) {
	now := c.now()
	send := func(node, probe string, ok bool, last time.Duration) {
		s.flag(probeOK, ok, node, probe)
		if last >= 0 {
			s.when(probeLast, now.Add(-last-heard), node, probe)
		}
	}
	for _, r := range own.Servers {
		if r.Age >= 0 {
			send(r.Node, "position", r.Answered >= 0 && r.Answered <= r.Age, r.Answered)
		}
		if r.StatusAge >= 0 {
			s.when(probeLast, now.Add(-r.StatusAge-heard), r.Node, "sql")
		}
	}
	for _, e := range own.Edges {
		if e.Age >= 0 {
			send(e.Node, "edge", e.OK, e.Answered)
		}
		if e.Answered >= 0 {
			s.put(peerRTT, e.RTT.Seconds(), e.Node)
			s.put(clockSkew, e.Skew.Seconds(), e.Node)
		}
	}
	if a := own.App; a != nil && a.Age >= 0 {
		last := view.Never
		if a.OK {
			last = a.Age
		}
		send(own.Node, "app", a.OK, last)
	}
	if own.Host.DataFreeBytes >= 0 && own.Host.DataTotalBytes > 0 {
		s.put(fsAvail, float64(own.Host.DataFreeBytes), own.Node, "data")
	}
	disks(s, own.Node, own.Host)
}

// disks sends the file systems of this node, each under every use of it. The one
// of the data directory is measured more often and sent by probes.
func disks(s sink, node string, h view.HostReport) {
	for _, v := range h.Volumes {
		for _, use := range v.Uses {
			if use != view.VolumeData {
				s.put(fsAvail, float64(v.FreeBytes), node, use)
			}
			if v.TotalInodes > 0 {
				s.put(fsInodes, float64(v.FreeInodes), node, use)
			}
			if v.FullIn > 0 {
				s.put(fsFullIn, v.FullIn.Seconds(), node, use)
			}
		}
	}
	if h.Archive != nil {
		s.put(waiting, float64(h.Archive.Ready), node)
	}
}

func figures(s sink, f Figures) {
	s.put(rejected, float64(f.RejectedReports))
	s.flag(reloadOK, f.ReloadOK)
	s.when(reloadedAt, f.ReloadedAt)
	for _, name := range sortedKeys(f.Channels) {
		c := f.Channels[name]
		s.put(notified, float64(c.Sent), name)
		s.put(notifyFailed, float64(c.Failed), name)
		s.put(notifyQueued, float64(c.Queued), name)
		s.when(notifyLast, c.LastSuccess, name)
	}
	for _, kind := range sortedKeys(f.Operations) {
		o := f.Operations[kind]
		s.put(opsStarted, float64(o.Started), kind)
		s.put(opsFailed, float64(o.Failed), kind)
		s.flag(opsRunning, o.Running, kind)
	}
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
