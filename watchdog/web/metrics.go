package web

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Build says which program runs.
type Build struct {
	Version, Revision, GoVersion string
}

// collector makes every metric from the Source at the moment of the scrape, so
// that none can be older than what status shows. A value that is not known has
// no sample: 0 would be a lie.
type collector struct {
	source Source
	build  Build
	now    func() time.Time
}

func newCollector(o Options) *collector {
	return &collector{source: o.Source, build: o.Build, now: o.Now}
}

// metric is one family: its name without the prefix, its help, its labels.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("pgwatchdog_"+name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("pgwatchdog_"+name, help, labels, nil), prometheus.CounterValue}
}

var (
	buildInfo    = gauge("build_info", "Which program runs; always 1.", "version", "revision", "goversion")
	lastRound    = gauge("last_round_timestamp_seconds", "When the service's loop last completed a round.")
	reloadOK     = gauge("config_last_reload_successful", "Whether the last reload of the configuration succeeded.")
	reloadedAt   = gauge("config_last_reload_success_timestamp_seconds", "When the configuration was last loaded successfully.")
	clusterState = gauge("cluster_state", "State set of the cluster; exactly one state is 1.", "state")
	epochNumber  = gauge("epoch", "Number of the newest known epoch.")
	members      = gauge("gossip_members", "Other nodes by what gossip membership thinks of them; a hint.", "state")
	rejected     = counter("reports_rejected_total", "Reports of other nodes that were rejected as absurd.")
	reportAge    = gauge("report_age_seconds", "Time since the newest report of a node was heard.", "node")
	peerRTT      = gauge("peer_rtt_seconds", "Round trip to the control API of another node.", "node")
	clockSkew    = gauge("clock_skew_seconds", "Clock of another node minus ours, by round-trip midpoint.", "node")

	nodeUp       = gauge("node_up", "Whether the node's PostgreSQL serves, by all vantage points; absent when not known.", "node")
	nodeRole     = gauge("node_role", "Role that the node's PostgreSQL proved by a fresh answer; exactly one is 1.", "node", "role")
	nodeTimeline = gauge("node_timeline", "Timeline of the node's last fresh answer.", "node")

	walWrite   = gauge("wal_write_position_bytes", "Flush position of a primary.", "node")
	walReceive = gauge("wal_receive_position_bytes", "Received position of a standby.", "node")
	walReplay  = gauge("wal_replay_position_bytes", "Replayed position of a standby.", "node")
	streaming  = gauge("replication_streaming", "Whether the standby's WAL receiver says that it streams; absent when not known.", "node")
	receiveLag = gauge("replication_receive_lag_bytes", "WAL of the primary that the standby has not received; absent when not known.", "node")
	replayLag  = gauge("replication_replay_lag_bytes", "WAL of the primary that the standby has not replayed; absent when not known.", "node")

	flushLag   = gauge("replication_flush_lag_bytes", "WAL of the primary that the standby has not made durable; absent when not known.", "node")
	timeLag    = gauge("replication_time_lag_seconds", "Time since the primary passed the position that the standby has replayed; absent when not known, see also the lower bound.", "node")
	timeLeast  = gauge("replication_time_lag_lower_bound_seconds", "The same where only a lower bound is known; absent otherwise.", "node")
	applyDelay = gauge("replication_apply_delay_seconds", "recovery_min_apply_delay of the standby: so much time lag is wanted; absent when there is none.", "node")

	slotActive   = gauge("slot_active", "Whether somebody consumes a replication slot of the node.", "node", "slot")
	slotRetained = gauge("slot_retained_bytes", "WAL that a replication slot of the node keeps from being removed.", "node", "slot")

	probeOK   = gauge("probe_success", "Whether this node's newest probe succeeded.", "node", "probe")
	probeLast = gauge("probe_last_success_timestamp_seconds", "When this node's probe last succeeded.", "node", "probe")
	fsAvail   = gauge("filesystem_avail_bytes", "Free bytes of the file system that holds a volume of the node.", "node", "volume")

	fsInodes = gauge("filesystem_avail_inodes", "Free inodes of the file system that holds a volume of the node; absent where it has no limit.", "node", "volume")
	fsFullIn = gauge("filesystem_full_seconds", "Time until the file system is full at the present rate; absent when it does not grow or that is not known.", "node", "volume")
	waiting  = gauge("archive_ready_segments", "WAL segments that wait for the archiver on this node.", "node")

	ready         = gauge("ready", "Whether the operation would work if it were typed now; absent when not known.", "operation", "target")
	readyChecked  = gauge("ready_checked_timestamp_seconds", "When it was last checked whether the operation would work.", "operation", "target")
	alertsFiring  = gauge("alerts_firing", "Conditions past their hold, by severity.", "severity")
	notified      = counter("notifications_total", "Messages that a channel accepted.", "channel")
	notifyFailed  = counter("notification_failures_total", "Attempts that a channel did not accept.", "channel")
	notifyLast    = gauge("notification_last_success_timestamp_seconds", "When a channel last accepted a message.", "channel")
	notifyQueued  = gauge("notifications_queued", "Messages that wait in the spool.", "channel")
	opsStarted    = counter("operations_total", "Operations that this node began.", "operation")
	opsFailed     = counter("operation_failures_total", "Operations of this node that stopped part-way or were aborted.", "operation")
	opsRunning    = gauge("operation_running", "Whether an operation of this kind runs on this node.", "operation")
	everyMetric   = []metric{buildInfo, lastRound, reloadOK, reloadedAt, clusterState, epochNumber, members, rejected, reportAge, peerRTT, clockSkew, nodeUp, nodeRole, nodeTimeline, walWrite, walReceive, walReplay, streaming, receiveLag, replayLag, flushLag, timeLag, timeLeast, applyDelay, slotActive, slotRetained, probeOK, probeLast, fsAvail, ready, readyChecked, fsInodes, fsFullIn, waiting, alertsFiring, notified, notifyFailed, notifyLast, notifyQueued, opsStarted, opsFailed, opsRunning}
	alertSeverity = []string{"page", "warning", "info"}
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range everyMetric {
		ch <- m.desc
	}
}

// sink sends samples of one scrape.
type sink chan<- prometheus.Metric

func (s sink) put(m metric, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
}

func (s sink) flag(m metric, on bool, labels ...string) {
	v := 0.0
	if on {
		v = 1
	}
	s.put(m, v, labels...)
}

// when sends a point in time; the zero time has no sample.
func (s sink) when(m metric, t time.Time, labels ...string) {
	if !t.IsZero() {
		s.put(m, float64(t.UnixMilli())/1000, labels...)
	}
}

// bytes sends a figure that may be unknown.
func (s sink) bytes(m metric, n *uint64, labels ...string) {
	if n != nil {
		s.put(m, float64(*n), labels...)
	}
}
