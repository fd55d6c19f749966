package web_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"go.uber.org/goleak"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
	"github.com/gestionale-fullstack/watchdog/watchdog/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.Date(2026, 11, 23, 3, 14, 48, 0, time.UTC)

// source is a primary db1 with its standby, as db1 sees them.
type source struct {
	v       view.View
	health  web.Health
	figures web.Figures
	open    []view.OpenCondition
}

func (s *source) View() (view.View, view.Limits) { return s.v, view.DefaultLimits() }
func (s *source) Health() web.Health             { return s.health }
func (s *source) Figures() web.Figures           { return s.figures }
func (s *source) Status() view.Status {
	return view.BuildStatus(view.StatusInput{View: s.v, Limits: view.DefaultLimits(), At: at, Open: s.open, Adopted: true})
}

// standbyBehind sets what every node measured of db2's lag in time.
func (s *source) standbyBehind(b *view.Behind) {
	for _, h := range s.v.Reports {
		h.Report.Servers[1].Behind = b
	}
}

func newSource(self string) *source {
	s := &source{
		v: view.View{Cluster: "gestionale", Self: self, Nodes: []view.NodeInfo{{Name: "db1"}, {Name: "db2"}},
			Reports: map[string]view.Heard{}, Alive: map[string]bool{"db1": true, "db2": true}, Up: time.Hour},
		health: web.Health{Round: at.Add(-time.Second), Interval: time.Second},
		figures: web.Figures{ReloadOK: true, ReloadedAt: at, Channels: map[string]web.Channel{"email": {Sent: 3, Failed: 1, LastSuccess: at}},
			Operations: map[string]web.Operation{"promote": {Started: 2, Running: true}}},
	}
	for _, n := range []string{"db1", "db2"} {
		role := replication.RoleStandby
		if n == "db1" {
			role = replication.RolePrimary
		}
		s.v.Reports[n] = view.Heard{Report: view.Report{
			Node: n, Boot: "b", Seq: 1, Servers: []view.ServerReport{server("db1", true), server("db2", false)},
			Durable: &fence.Durable{Node: n, Role: role, Epoch: fence.Epoch{Number: 3, ID: "e3", Primary: "db1"}},
			App:     &view.AppReport{OK: true, Status: 200},
			Edges:   []view.EdgeReport{{Node: other(n), OK: true, RTT: 2 * time.Millisecond, Skew: -time.Second}},
			Host: view.HostReport{DataFreeBytes: 1 << 30, DataTotalBytes: 1 << 31, Archive: &view.ArchiveReport{Ready: 7}, Volumes: []view.VolumeReport{
				{Uses: []string{view.VolumeData, view.VolumeWAL}, FreeBytes: 1 << 29, TotalBytes: 1 << 31, FreeInodes: 5, TotalInodes: 9, FullIn: time.Hour},
				{Uses: []string{view.VolumeState}, FreeBytes: 77, TotalBytes: 99}}},
		}}
	}
	return s
}

func other(n string) string {
	if n == "db1" {
		return "db2"
	}
	return "db1"
}

func server(node string, primary bool) view.ServerReport {
	r := view.ServerReport{Node: node, Verdict: replication.VerdictHealthy, Since: time.Hour, RoleSince: time.Hour,
		Role: replication.RoleStandby, SystemID: 7, Timeline: 1, Position: 900,
		Status: &replication.Status{InRecovery: true, Replay: 800, Receiver: &replication.ReceiverRow{Status: "streaming"}}}
	if primary {
		r.Role, r.Position, r.Status = replication.RolePrimary, 1000, &replication.Status{Flush: 1000, Slots: []replication.SlotRow{
			{Name: "db2", Active: true, RetainedBytes: 4096}, {Name: "db2"}, {Name: "no\xffslot"}}}
	}
	return r
}

func (s *source) own(change func(*view.Report)) *source {
	h := s.v.Reports[s.v.Self]
	change(&h.Report)
	s.v.Reports[s.v.Self] = h
	return s
}

func serve(t *testing.T, s *source) (http.Handler, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	w, err := web.New(web.Options{Source: s, Registry: reg, Now: func() time.Time { return at }, Build: web.Build{Version: "1.0"}})
	if err != nil {
		t.Fatal(err)
	}
	return w.Handler(), reg
}

func get(t *testing.T, h http.Handler, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, path, nil))
	return rec
}

func TestRoles_OnlyProvenRolesAnswer200(t *testing.T) {
	unprobed := func(s *source) {
		s.own(func(r *view.Report) { r.Servers[0].Verdict = 0; r.Servers[0].Age = view.Never })
	}
	for name, c := range map[string]struct {
		self             string
		change           func(*source)
		primary, replica int
		words            string
	}{
		"primary":          {"db1", func(*source) {}, 200, 503, "primary of epoch 3"},
		"standby":          {"db2", func(*source) {}, 503, 200, "not primary: this is the standby"},
		"not probed":       {"db1", unprobed, 503, 503, "has not been probed yet"},
		"no report at all": {"db1", func(s *source) { s.v.Reports = nil }, 503, 503, "observes no PostgreSQL"},
		"fenced": {"db1", func(s *source) { s.own(func(r *view.Report) { r.Durable.Marker = &fence.Marker{} }) },
			503, 503, "this node is fenced"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSource(c.self)
			c.change(s)
			h, _ := serve(t, s)
			primary, replica := get(t, h, "GET", "/primary"), get(t, h, "GET", "/replica")
			if primary.Code != c.primary || replica.Code != c.replica || !strings.Contains(primary.Body.String(), c.words) {
				t.Errorf("/primary %d %q, /replica %d %q", primary.Code, primary.Body, replica.Code, replica.Body)
			}
		})
	}
}

func TestHealthy_FollowsTheLoop(t *testing.T) {
	for late, want := range map[time.Duration]int{0: 200, 3 * time.Second: 200, 3*time.Second + 1: 503} {
		s := newSource("db1")
		s.health.Round = at.Add(-late)
		h, _ := serve(t, s)
		if rec := get(t, h, "GET", "/-/healthy"); rec.Code != want {
			t.Errorf("%s late: %d %s", late, rec.Code, rec.Body)
		}
	}
	s := newSource("db1")
	s.health = web.Health{Interval: time.Second, NotReady: "the first probes are not done"}
	h, _ := serve(t, s)
	if rec := get(t, h, "GET", "/-/healthy"); rec.Code != 503 {
		t.Errorf("before the first round: %d", rec.Code)
	}
	if rec := get(t, h, "GET", "/-/ready"); rec.Code != 503 || !strings.Contains(rec.Body.String(), "first probes") {
		t.Errorf("not ready: %d %s", rec.Code, rec.Body)
	}
	s.health.NotReady = ""
	if rec := get(t, h, "GET", "/-/ready"); rec.Code != 200 {
		t.Errorf("ready: %d", rec.Code)
	}
}

func TestPages_AreReadOnly(t *testing.T) {
	h, _ := serve(t, newSource("db1"))
	for _, path := range []string{"/metrics", "/primary", "/api/v1/status", "/-/healthy", "/nothing"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "CONNECT", "OPTIONS", "TRACE"} {
			if rec := get(t, h, method, path); rec.Code != http.StatusMethodNotAllowed || rec.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", method, path, rec.Code)
			}
		}
		rec := get(t, h, "HEAD", path)
		if rec.Header().Get("X-Content-Type-Options") != "nosniff" || rec.Header().Get("Cache-Control") != "no-store" ||
			!strings.Contains(rec.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("HEAD %s: headers %v", path, rec.Header())
		}
	}
	if rec := get(t, h, "GET", "/nothing"); rec.Code != http.StatusNotFound {
		t.Errorf("unknown page: %d", rec.Code)
	}
}

func TestStatus_IsTheDocument(t *testing.T) {
	h, _ := serve(t, newSource("db2"))
	rec := get(t, h, "GET", "/api/v1/status")
	var st view.Status
	if err := json.Unmarshal(rec.Body.Bytes(), &st); err != nil {
		t.Fatal(err)
	}
	if st.V != 1 || st.State != view.StateHealthy || len(st.Nodes) != 2 || rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s: %+v", rec.Header().Get("Content-Type"), st)
	}
}

// values reads /metrics as a scraper does: name{label=value,...} to its value.
func values(t *testing.T, h http.Handler) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for line := range strings.Lines(get(t, h, "GET", "/metrics").Body.String()) {
		name, number, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out[strings.ReplaceAll(strings.TrimPrefix(name, "pgwatchdog_"), `"`, "")] = v
	}
	return out
}

func TestMetrics_NamesAndHelpFollowTheConvention(t *testing.T) {
	s := newSource("db1")
	s.open = []view.OpenCondition{{Code: view.NoPrimary, Severity: "page", Firing: true}}
	_, reg := serve(t, s)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) < 30 {
		t.Errorf("only %d families are gathered: the linter sees nothing of the rest", len(families))
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestMetrics_TimeLag_UnknownAndLowerBoundAreNotTheFigure(t *testing.T) {
	for name, c := range map[string]struct {
		behind *view.Behind
		want   map[string]float64
	}{
		"unknown":     {nil, map[string]float64{}},
		"lower bound": {&view.Behind{Primary: "db1", Time: 2 * time.Second, AtLeast: true}, map[string]float64{"replication_time_lag_lower_bound_seconds{node=db2}": 2}},
		"measured 0":  {&view.Behind{Primary: "db1"}, map[string]float64{"replication_time_lag_seconds{node=db2}": 0}},
	} {
		s := newSource("db1")
		s.standbyBehind(c.behind)
		h, _ := serve(t, s)
		got := values(t, h)
		for _, metric := range []string{"replication_time_lag_lower_bound_seconds{node=db2}", "replication_time_lag_seconds{node=db2}"} {
			v, ok := got[metric]
			want, wanted := c.want[metric]
			if ok != wanted || v != want {
				t.Errorf("%s: %s is %v (present: %t)", name, metric, v, ok)
			}
		}
	}
}

func TestMetrics_Values(t *testing.T) {
	s := newSource("db1")
	s.standbyBehind(&view.Behind{Primary: "db1", Time: 2500 * time.Millisecond})
	s.open = []view.OpenCondition{{Code: view.ReplicationDown, Severity: "page", Firing: true}, {Code: view.NoSample, Severity: "page"}}
	h, _ := serve(t, s)
	got := values(t, h)
	for name, want := range map[string]float64{
		"build_info{goversion=,revision=,version=1.0}": 1,
		"node_up{node=db1}":                            1,
		"node_role{node=db1,role=primary}":             1,
		"node_role{node=db1,role=standby}":             0,
		"node_role{node=db2,role=standby}":             1,
		"wal_write_position_bytes{node=db1}":           1000,
		"wal_receive_position_bytes{node=db2}":         900,
		"wal_replay_position_bytes{node=db2}":          800,
		"replication_streaming{node=db2}":              1,
		"replication_receive_lag_bytes{node=db2}":      100,
		"replication_replay_lag_bytes{node=db2}":       200,
		"replication_flush_lag_bytes{node=db2}":        100,
		"replication_time_lag_seconds{node=db2}":       2.5,
		"slot_active{node=db1,slot=db2}":               1,
		"slot_retained_bytes{node=db1,slot=db2}":       4096,
		"cluster_state{state=CRITICAL}":                1,
		"cluster_state{state=HEALTHY}":                 0,
		"epoch":                                        3,
		"alerts_firing{severity=page}":                 1,
		"gossip_members{state=alive}":                  1,
		"peer_rtt_seconds{node=db2}":                   0.002,
		"clock_skew_seconds{node=db2}":                 -1,
		"probe_success{node=db2,probe=position}":       1,
		"notifications_total{channel=email}":           3,
		"operation_running{operation=promote}":         1,
		"filesystem_avail_bytes{node=db1,volume=data}": 1 << 30,

		"filesystem_avail_bytes{node=db1,volume=wal}":   1 << 29,
		"filesystem_avail_bytes{node=db1,volume=state}": 77,
		"filesystem_avail_inodes{node=db1,volume=data}": 5,
		"filesystem_full_seconds{node=db1,volume=wal}":  3600,
		"archive_ready_segments{node=db1}":              7,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v (present: %t), want %v", name, v, ok, want)
		}
	}
	if _, ok := got["filesystem_full_seconds{node=db1,volume=state}"]; ok {
		t.Error("a file system that does not grow is said to be full at some time")
	}
}

func TestMetrics_UnknownHasNoSample(t *testing.T) {
	s := newSource("db1")
	s.v.Reports = map[string]view.Heard{}
	h, _ := serve(t, s)
	for name := range values(t, h) {
		for _, absent := range []string{"node_up", "wal_", "replication_", "probe_", "node_timeline", "epoch"} {
			if strings.HasPrefix(name, absent) {
				t.Errorf("%s is shown although nothing is known", name)
			}
		}
	}
	if got := values(t, h); got["node_role{node=db1,role=unknown}"] != 1 || got["cluster_state{state=UNKNOWN}"] != 1 {
		t.Errorf("unknown is not said: %v", got)
	}
}

func TestRun_ServesAndStops(t *testing.T) {
	w, err := web.New(web.Options{Source: newSource("db1"), Registry: prometheus.NewRegistry(), Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, l) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), "pgwatchdog_build_info") {
		t.Errorf("%d, %v: %.200s", resp.StatusCode, err, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run ended with %v", err)
	}
	if err := w.Run(t.Context(), l); err == nil {
		t.Error("a closed listener is no error")
	}
}

func TestNew_TwiceInOneRegistry_IsAnError(t *testing.T) {
	reg := prometheus.NewRegistry()
	if _, err := web.New(web.Options{Source: newSource("db1"), Registry: reg}); err != nil {
		t.Fatal(err)
	}
	if _, err := web.New(web.Options{Source: newSource("db1"), Registry: reg}); err == nil {
		t.Error("two servers share one registry")
	}
	if _, err := web.New(web.Options{Registry: reg}); err == nil {
		t.Error("no source is no error")
	}
}

// Ready is 1 or 0 only while somebody knows.
func TestMetrics_Readiness_UnknownHasNoSample(t *testing.T) {
	s := newSource("db2")
	fails := []view.ReadyCheck{{Name: "replay", Reason: "paused"}}
	s.own(func(r *view.Report) {
		r.Readiness = []view.ReadinessReport{{Operation: "promote", Target: "db2", Checks: 9, Failing: fails, Age: time.Minute},
			{Operation: "switchover", Target: "db2", Checks: 9, Age: time.Hour}}
	})
	h, _ := serve(t, s)
	got := values(t, h)
	if v, known := got["ready{operation=promote,target=db2}"]; !known || v != 0 {
		t.Errorf("a promotion that would be refused: %v, %v", v, known)
	}
	for _, absent := range []string{"ready{operation=switchover,target=db2}", "ready{operation=switchover,target=db1}"} {
		if v, known := got[absent]; known {
			t.Errorf("%s is %v, and nobody knows", absent, v)
		}
	}
	if v := got["ready_checked_timestamp_seconds{operation=switchover,target=db2}"]; v != float64(at.Add(-time.Hour).Unix()) {
		t.Errorf("last checked at %v", v)
	}
}
