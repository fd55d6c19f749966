package view_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func sample(t testing.TB) view.Report {
	t.Helper()
	r := view.Report{Format: 1, Node: "db1", Boot: "b1", Seq: 7, Program: "1.2.3",
		Servers: []view.ServerReport{healthy("db1", true), healthy("db2", false)},
		App:     &view.AppReport{URL: "http://app/healthz", OK: true, Status: 200},
		Durable: &fence.Durable{Node: "db1", SystemID: sysID, Epoch: fence.Epoch{Number: 3, ID: "e3", Primary: "db1"},
			Intents: []fence.Intent{{Operation: "K7", OpenedAt: time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)}}},
		Edges:      []view.EdgeReport{{Node: "db2", OK: true, Skew: -2 * time.Second}},
		Operations: []view.OperationReport{{ID: "K7", State: "running"}},
		Host:       view.HostReport{DataFreeBytes: -1},
		Notified:   []string{"a@example.org"},
		Alone:      &view.AloneReport{Timeline: 7, SwitchPoint: 0x4900000000, End: 0x4900000100, Commits: 3, Age: sec},
	}
	rate, safe, conflicts := int64(-5), int64(-7), uint64(3)
	r.Host.Volumes = []view.VolumeReport{{Uses: []string{view.VolumeData, view.VolumeWAL}, FreeBytes: 5, TotalBytes: 9, FreeInodes: 1, TotalInodes: 2,
		BytesPerHour: &rate, FullIn: time.Hour, Age: sec}}
	r.Host.Archive, r.Host.Faults = &view.ArchiveReport{Ready: 3, Oldest: time.Minute, Age: sec}, []string{"state directory not writable"}
	r.Host.WALArchive = &view.WALArchiveReport{Segments: 4, Gaps: 1, First: "x", Histories: []replication.Timeline{2}, Fault: "f", Age: sec}
	r.ConfigHash = "c0ffee"
	db1 := &r.Servers[0]
	db1.ConflictsRecent, db1.ArchiverFailing = &conflicts, time.Minute
	db1.Status.Slots = []replication.SlotRow{{Name: "watchdog_db2", SafeBytes: &safe, Invalid: "wal_removed"}}
	db1.Status.Archiver = &replication.ArchiverRow{FailedAge: sec, FailedWAL: "000000010000000000000001"}
	db1.Status.Health = &replication.Health{MultiXIDAge: 4, PendingRestart: []string{"port"}, Idle: &replication.SessionRow{PID: 4, User: "u", Lasted: sec},
		Expiring: []replication.LoginRow{{Role: "r", Left: sec}}}
	standby := &r.Servers[1]
	standby.Replay, standby.Reached, standby.Stuck = standby.Position-8, standby.Position, sec
	standby.Behind = &view.Behind{Primary: "db1", Time: 3 * sec, AtLeast: true}
	standby.Status.Heartbeats = []replication.HeartbeatRow{{Node: "db1", At: time.Date(2026, 11, 23, 3, 0, 0, 7000, time.UTC), Age: -sec}}
	standby.Status.Receiver.Written = standby.Position
	return r
}

func TestEncode_Decode_KeepsEverythingButTheServersClock(t *testing.T) {
	r := sample(t)
	r.Servers[0].Status.At = time.Now()
	b, err := view.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := view.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Servers[0].Status.At.IsZero() {
		t.Error("encode changed its argument")
	}
	r.Servers[0].Status.At = time.Time{}
	if d := cmp.Diff(r, got); d != "" {
		t.Errorf("report changed on its way:\n%s", d)
	}
}

func TestDecode_UnknownFieldsAreIgnored(t *testing.T) {
	r, err := view.Decode([]byte(`{"v":1,"node":"db1","boot":"b","seq":1,"added_later":{"x":[1]}}`))
	if err != nil || r.Node != "db1" {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestDecode_AbsurdValues_AreRejectedByName(t *testing.T) {
	cases := map[string]struct {
		change func(*view.Report)
		field  string
	}{
		"no name":              {func(r *view.Report) { r.Node = "" }, "node"},
		"name with escape":     {func(r *view.Report) { r.Node = "db1\x1b[2J" }, "node"},
		"name too long":        {func(r *view.Report) { r.Node = strings.Repeat("a", 64) }, "node"},
		"no boot":              {func(r *view.Report) { r.Boot = "" }, "boot"},
		"negative age":         {func(r *view.Report) { r.Servers[0].Age = -5 * sec }, "servers[0].age"},
		"huge age":             {func(r *view.Report) { r.Servers[1].Since = 1 << 62 }, "servers[1].since"},
		"healthy unanswered":   {func(r *view.Report) { r.Servers[0].Answered = view.Never }, "servers[0].answered"},
		"role without line":    {func(r *view.Report) { r.Servers[0].Timeline, r.Servers[0].History = 0, nil }, "servers[0].timeline"},
		"huge LSN":             {func(r *view.Report) { r.Servers[0].Position = 1 << 63 }, "servers[0].position"},
		"huge timeline":        {func(r *view.Report) { r.Servers[0].Timeline = 1<<32 - 1 }, "servers[0].timeline"},
		"history backwards":    {func(r *view.Report) { r.Servers[0].History[1].SwitchPoint = 1 }, "servers[0].history"},
		"history of itself":    {func(r *view.Report) { r.Servers[0].History[1].Timeline = 7 }, "servers[0].history"},
		"server twice":         {func(r *view.Report) { r.Servers[1].Node = "db1" }, "servers[1].node"},
		"too many servers":     {func(r *view.Report) { r.Servers = make([]view.ServerReport, 17) }, "servers"},
		"processes":            {func(r *view.Report) { r.Servers[0].Processes = -2 }, "servers[0].processes"},
		"waiting sessions":     {func(r *view.Report) { r.Servers[0].Status.SyncWaiters = -1 }, "servers[0].status"},
		"commit exceptions":    {func(r *view.Report) { r.Servers[0].Status.CommitExceptions = 1 << 40 }, "servers[0].status"},
		"transaction age":      {func(r *view.Report) { r.Servers[0].Status.XIDAge = 1 << 40 }, "servers[0].status.xid_age"},
		"archiver's age":       {func(r *view.Report) { r.Servers[0].Status.Archiver = &replication.ArchiverRow{LastAge: 1 << 62} }, "servers[0].status.archiver"},
		"misses":               {func(r *view.Report) { r.App.Misses = -1 }, "app.misses"},
		"latency":              {func(r *view.Report) { r.App.Latency = -sec }, "app.latency"},
		"edge age":             {func(r *view.Report) { r.Edges[0].Age = -2 }, "edges[0].age"},
		"skew":                 {func(r *view.Report) { r.Edges[0].Skew = -1 << 62 }, "edges[0].skew"},
		"disk":                 {func(r *view.Report) { r.Host.DataFreeBytes = -2 }, "host.data_free_bytes"},
		"loop gap":             {func(r *view.Report) { r.Host.LoopGap = -1 }, "host.loop_gap"},
		"more free than room":  {func(r *view.Report) { r.Host.Volumes[0].FreeBytes = 10 }, "host.volumes[0]"},
		"negative inodes":      {func(r *view.Report) { r.Host.Volumes[0].FreeInodes = -1 }, "host.volumes[0]"},
		"volume without use":   {func(r *view.Report) { r.Host.Volumes[0].Uses = nil }, "host.volumes[0].uses"},
		"full in the past":     {func(r *view.Report) { r.Host.Volumes[0].FullIn = -1 }, "host.volumes[0].full_in"},
		"too many volumes":     {func(r *view.Report) { r.Host.Volumes = make([]view.VolumeReport, 17) }, "host.volumes"},
		"too many faults":      {func(r *view.Report) { r.Host.Faults = make([]string, 17) }, "host.faults"},
		"ready files":          {func(r *view.Report) { r.Host.Archive.Ready = -1 }, "host.archive.ready"},
		"failing for ages":     {func(r *view.Report) { r.Servers[0].ArchiverFailing = 1 << 62 }, "servers[0].archiver_failing"},
		"multixact age":        {func(r *view.Report) { r.Servers[0].Status.Health.MultiXIDAge = 1 << 40 }, "servers[0].status.health.multixid_age"},
		"session's age":        {func(r *view.Report) { r.Servers[0].Status.Health.Idle.Lasted = 1 << 62 }, "servers[0].status.health.sessions"},
		"too many passwords":   {func(r *view.Report) { r.Servers[0].Status.Health.Expiring = make([]replication.LoginRow, 257) }, "servers[0].status.health.expiring"},
		"another node's state": {func(r *view.Report) { r.Durable.Node = "db2" }, "durable.node"},
		"message age":          {func(r *view.Report) { r.Servers[1].Status.Receiver.MessageAge = 1 << 62 }, "servers[1].status.receiver"},
		"reply age":            {func(r *view.Report) { r.Servers[0].Status.Standbys[0].ReplyAge = 1 << 62 }, "servers[0].status.standbys"},
		"replayed position":    {func(r *view.Report) { r.Servers[1].Replay = 1 << 63 }, "servers[1].replay"},
		"reached position":     {func(r *view.Report) { r.Servers[1].Reached = 1 << 63 }, "servers[1].reached"},
		"written position":     {func(r *view.Report) { r.Servers[1].Status.Receiver.Written = 1 << 63 }, "servers[1].status.receiver"},
		"stuck backwards":      {func(r *view.Report) { r.Servers[1].Stuck = -sec }, "servers[1].stuck"},
		"negative lag":         {func(r *view.Report) { r.Servers[1].Behind.Time = -1 }, "servers[1].behind"},
		"behind an escape":     {func(r *view.Report) { r.Servers[1].Behind.Primary = "\x1b[2J" }, "servers[1].behind"},
		"heartbeat of Caesar":  {func(r *view.Report) { r.Servers[1].Status.Heartbeats[0].At = time.Time{} }, "servers[1].status.heartbeats"},
		"heartbeat's age":      {func(r *view.Report) { r.Servers[1].Status.Heartbeats[0].Age = 1 << 62 }, "servers[1].status.heartbeats"},
		"many heartbeats": {func(r *view.Report) { r.Servers[1].Status.Heartbeats = make([]replication.HeartbeatRow, 17) },
			"servers[1].status.heartbeats"},
		"commits alone": {func(r *view.Report) { r.Alone.Commits = -1 }, "alone.commits"},
		"connections":   {func(r *view.Report) { r.Servers[0].Status.Connections = -1 }, "servers[0].status"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := sample(t)
			c.change(&r)
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			_, err = view.Decode(b)
			var re *view.ReportError
			if !errors.As(err, &re) || re.Field != c.field {
				t.Errorf("decode: %v, want a report error on %s", err, c.field)
			}
			if _, err := view.Encode(r); err == nil {
				t.Error("encode sends what peers reject")
			}
		})
	}
}

func TestDecode_WrongShape_IsRejected(t *testing.T) {
	for name, b := range map[string]string{
		"other format":     `{"v":2,"node":"db1","boot":"b"}`,
		"no format":        `{"node":"db1","boot":"b"}`,
		"not JSON":         `hello`,
		"trailing bytes":   `{"v":1,"node":"db1","boot":"b"}{}`,
		"number overflow":  `{"v":1,"node":"db1","boot":"b","seq":1e99}`,
		"not a number":     `{"v":1,"node":"db1","boot":"b","seq":NaN}`,
		"unknown verdict":  `{"v":1,"node":"db1","boot":"b","servers":[{"node":"db1","verdict":"fine"}]}`,
		"lenient LSN":      `{"v":1,"node":"db1","boot":"b","servers":[{"node":"db1","position":"0/16B3748zz"}]}`,
		"larger than caps": `{"v":1,"node":"db1","boot":"b","program":"` + strings.Repeat("x", view.MaxReportBytes) + `"}`,
	} {
		var re *view.ReportError
		if _, err := view.Decode([]byte(b)); !errors.As(err, &re) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecode_TextsCannotDriveATerminal(t *testing.T) {
	r := sample(t)
	r.Servers[0].Detail = "bad\x1b]0;owned\x07 \u202eevil\u2028" + strings.Repeat("é", 600)
	r.Servers[0].Status.Settings = map[string]string{"a\x00b": "c\rd"}
	r.StateFault = "\x9b2J"
	r.Host.WALArchive.First, r.Host.WALArchive.Fault = "\x1b[2J", "\x1b[2J"
	r.Host.Faults, r.Host.Volumes[0].Uses[0] = []string{"\x1b[2J"}, "\x1b[2J"
	h := r.Servers[0].Status.Health
	h.Collations, h.Idle.ApplicationName, h.PendingRestart, h.Expiring[0].Role = "\x1b[2J", "\x1b[2J", []string{"\x1b[2J"}, "\x1b[2J"
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := view.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	h = got.Servers[0].Status.Health
	for _, s := range []string{got.Host.Faults[0], got.Host.WALArchive.First, got.Host.WALArchive.Fault, got.Host.Volumes[0].Uses[0], h.Collations, h.Idle.ApplicationName, h.PendingRestart[0], h.Expiring[0].Role,
		got.Servers[0].Detail, got.StateFault, got.Servers[0].Status.Settings["a b"]} {
		if strings.ContainsAny(s, "\x1b\x07\u202e\u2028\r\x00") || strings.Contains(s, "\x9b") || len(s) > 512 {
			t.Errorf("%d bytes: %q", len(s), s)
		}
	}
	if got.Servers[0].Status.Settings["a b"] != "c d" {
		t.Errorf("settings %v", got.Servers[0].Status.Settings)
	}
}

func FuzzDecode(f *testing.F) {
	b, err := view.Encode(sample(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"v":1,"node":"db1","boot":"b","servers":[{"node":"db2","verdict":"down","age":-1}]}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := view.Decode(in)
		if err != nil {
			var re *view.ReportError
			if !errors.As(err, &re) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		again, err := view.Encode(r)
		if err != nil {
			t.Fatalf("what was accepted cannot be sent: %v", err)
		}
		back, err := view.Decode(again)
		if err != nil {
			t.Fatalf("second decode: %v", err)
		}
		if third, err := view.Encode(back); err != nil || string(third) != string(again) {
			t.Fatalf("not stable (%v):\n%s\n%s", err, again, third)
		}
		v := view.View{Cluster: "c", Self: "db1", Nodes: []view.NodeInfo{{Name: "db1"}, {Name: "db2"}},
			Reports: map[string]view.Heard{"db1": {Report: r}, "db2": {Report: r, Heard: time.Hour}}, Up: time.Hour}
		open := view.Judge(v, view.DefaultLimits(), time.Time{})
		st := view.StatusInput{View: v, Limits: view.DefaultLimits()}
		for _, c := range open {
			st.Open = append(st.Open, view.Opened(c, 0, true, ""))
		}
		view.BuildStatus(st)
	})
}
