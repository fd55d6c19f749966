package audit

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// wellServer is a server that is set up as it should be.
func wellServer(standby bool) *replication.Audit {
	a := &replication.Audit{InRecovery: standby, ServerVersion: 150020, StatsVisible: true, WalSenders: 3, Upstream: &replication.Upstream{Set: standby},
		Settings: map[string]string{
			"max_connections": "100", "max_wal_senders": "10", "max_worker_processes": "8", "max_prepared_transactions": "0", "max_locks_per_transaction": "64",
			"wal_level": "replica", "data_checksums": "on", "wal_log_hints": "off", "full_page_writes": "on", "fsync": "on", "hot_standby": "on",
			"primary_slot_name": "", "max_replication_slots": "10", "max_slot_wal_keep_size": "51200", "synchronous_standby_names": "",
			"archive_mode": "off", "recovery_min_apply_delay": "0", "recovery_target_timeline": "latest", "restart_after_crash": "on",
		},
		Collations: []replication.Collation{{Database: "gestionale", Recorded: "2.36", Actual: "2.36"}, {Database: "template1"}}}
	if standby {
		a.Settings["primary_slot_name"] = "watchdog_db2"
		return a
	}
	a.Slots = []replication.SlotRow{{Name: "watchdog_db2", Active: true, WALStatus: "reserved"}}
	a.Standbys = []replication.StandbyRow{{ApplicationName: "db2", State: "streaming", SyncState: "async"}}
	return a
}

func wellLocal(node, other string, standby bool) *Local {
	return &Local{Node: node, Program: "1.0", Server: wellServer(standby), Secrets: 4, DevicesSet: 1,
		Streams: []Stream{{To: other, OK: true, Role: "watchdog_repl", Secret: true}},
		Boot:    Boot{Adopted: true, Driver: "systemd", Unit: "postgresql@15-main.service", Hook: "/etc/systemd/system/x.conf", Known: true, StartsAtBoot: true},
		Host:    Host{ClockKnown: true, ClockSynced: true, StateFS: "ext4", DataFreeBytes: 50, DataTotalBytes: 100, DataDir: "/d", DataMode: 0o700},
		Alerts:  Alerts{Recipients: 2},
		Devices: []Device{{Node: other, Name: PeerDevice, Ready: true}, {Node: other, Name: "agent:fence_ipmilan", Ready: true, Grade: "power", Text: "reads on"}}}
}

// well is a pair with a witness in which nothing is to be found.
func well() Facts {
	skew := 3 * time.Millisecond
	wit := &Local{Node: "wit", Program: "1.0", Secrets: 2, Host: Host{ClockKnown: true, ClockSynced: true, StateFS: "ext4"}, Alerts: Alerts{Recipients: 2}}
	return Facts{Asked: "db1", SkewLimit: 2 * time.Second, Nodes: []Node{
		{Name: "db1", Keyed: true, Slot: "watchdog_db1", Local: wellLocal("db1", "db2", false)},
		{Name: "db2", Keyed: true, Slot: "watchdog_db2", Local: wellLocal("db2", "db1", true), Skew: &skew},
		{Name: "wit", Keyed: true, Witness: true, Local: wit, Skew: &skew},
	}}
}

func find(checks []Check, name, node string) (Check, bool) {
	i := slices.IndexFunc(checks, func(c Check) bool { return c.Name == name && c.Node == node })
	if i < 0 {
		return Check{}, false
	}
	return checks[i], true
}

func TestJudge_WellPair_FindsNothing(t *testing.T) {
	checks := Judge(well())
	seen := map[string]bool{}
	for _, c := range checks {
		if c.Level != OK || c.Text == "" || c.Hint != "" {
			t.Errorf("%+v", c)
		}
		if seen[c.Name+"/"+c.Node] {
			t.Errorf("%s of %s is told twice", c.Name, c.Node)
		}
		seen[c.Name+"/"+c.Node] = true
		if !slices.Contains(Groups, c.Group) {
			t.Errorf("group %q is not shown", c.Group)
		}
	}
}

// plant is one misconfiguration: what is changed, and which check must say so.
type plant struct {
	change     func(f Facts, db1, db2 *Local)
	name, node string
	level      Level
}

func on(server *Local, setting, value string) { server.Server.Settings[setting] = value }

// plants are misconfigurations as they are met in the field.
var plants = map[string]plant{
	"max_connections lower on the standby":           {func(_ Facts, _, s *Local) { on(s, "max_connections", "50") }, "max_connections", "db2", Fail},
	"max_connections lower on the primary":           {func(_ Facts, _, s *Local) { on(s, "max_connections", "150") }, "max_connections", "db2", Warn},
	"max_wal_senders lower on the standby":           {func(_ Facts, _, s *Local) { on(s, "max_wal_senders", "8") }, "max_wal_senders", "db2", Fail},
	"max_worker_processes lower on the standby":      {func(_ Facts, _, s *Local) { on(s, "max_worker_processes", "4") }, "max_worker_processes", "db2", Fail},
	"max_prepared_transactions lower on the standby": {func(_ Facts, p, _ *Local) { on(p, "max_prepared_transactions", "10") }, "max_prepared_transactions", "db2", Fail},
	"max_locks_per_transaction lower on the standby": {func(_ Facts, _, s *Local) { on(s, "max_locks_per_transaction", "32") }, "max_locks_per_transaction", "db2", Fail},
	"no WAL sender to spare":                         {func(_ Facts, p, _ *Local) { p.Server.WalSenders = 9 }, "wal_senders_to_spare", "db1", Fail},
	"wal_level minimal":                              {func(_ Facts, p, _ *Local) { on(p, "wal_level", "minimal") }, "wal_level", "db1", Fail},
	"wal_level differs":                              {func(_ Facts, p, _ *Local) { on(p, "wal_level", "logical") }, "wal_level", "db2", Warn},
	"no checksums and no hint bits logged":           {func(_ Facts, _, s *Local) { on(s, "data_checksums", "off") }, "rewind", "db2", Fail},
	"full_page_writes off":                           {func(_ Facts, p, _ *Local) { on(p, "full_page_writes", "off") }, "full_page_writes", "db1", Fail},
	"fsync off":                                      {func(_ Facts, _, s *Local) { on(s, "fsync", "off") }, "fsync", "db2", Fail},
	"hot_standby off":                                {func(_ Facts, p, _ *Local) { on(p, "hot_standby", "off") }, "hot_standby", "db1", Fail},
	"restart_after_crash off":                        {func(_ Facts, p, _ *Local) { on(p, "restart_after_crash", "off") }, "restart_after_crash", "db1", Warn},
	"recovery_target_timeline current":               {func(_ Facts, _, s *Local) { on(s, "recovery_target_timeline", "current") }, "recovery_target_timeline", "db2", Fail},
	"password in primary_conninfo":                   {func(_ Facts, _, s *Local) { s.Server.Upstream.Password = true }, "conninfo_password", "db2", Fail},
	"primary_conninfo may not be read":               {func(_ Facts, _, s *Local) { s.Server.Upstream = nil }, "conninfo_password", "db2", Unknown},
	"no primary_slot_name":                           {func(_ Facts, _, s *Local) { on(s, "primary_slot_name", "") }, "primary_slot_name", "db2", Warn},
	"slot missing on the primary":                    {func(_ Facts, p, _ *Local) { p.Server.Slots = nil }, "primary_slot_name", "db2", Fail},
	"slot lost its WAL":                              {func(_ Facts, p, _ *Local) { p.Server.Slots[0].WALStatus = "lost" }, "primary_slot_name", "db2", Fail},
	"no room for a slot":                             {func(_ Facts, _, s *Local) { on(s, "max_replication_slots", "0") }, "max_replication_slots", "db2", Fail},
	"a slot may fill the disk":                       {func(_ Facts, p, _ *Local) { on(p, "max_slot_wal_keep_size", "-1") }, "max_slot_wal_keep_size", "db1", Warn},
	"pg_hba refuses the reverse direction": {func(_ Facts, p, _ *Local) {
		p.Streams[0] = Stream{To: "db2", Verdict: replication.VerdictAuthRefused, Cause: "28000", Role: "watchdog_repl"}
	}, "replication_login_db2", "db1", Fail},
	"wrong password in the reverse direction": {func(_ Facts, p, _ *Local) {
		p.Streams[0] = Stream{To: "db2", Verdict: replication.VerdictAuthRefused, Cause: "28P01", Secret: true}
	}, "replication_login_db2", "db1", Fail},
	"password that the watchdog is not given": {func(_ Facts, p, _ *Local) {
		p.Streams[0] = Stream{To: "db2", Verdict: replication.VerdictAuthRefused, Cause: "28P01"}
	}, "replication_login_db2", "db1", Warn},
	"the standby listens on loopback alone": {func(_ Facts, p, _ *Local) {
		p.Streams[0] = Stream{To: "db2", Verdict: replication.VerdictDown, Cause: "ECONNREFUSED"}
	}, "replication_login_db2", "db1", Fail},
	"the other server is down for everybody": {func(_ Facts, p, s *Local) {
		p.Streams[0] = Stream{To: "db2", Verdict: replication.VerdictDown, Cause: "ECONNREFUSED"}
		s.Server = nil
	}, "replication_login_db2", "db1", Unknown},
	"the way back was not tried":            {func(_ Facts, p, _ *Local) { p.Streams = nil }, "replication_login_db2", "db1", Unknown},
	"synchronous standby that is not there": {func(_ Facts, p, _ *Local) { on(p, "synchronous_standby_names", `FIRST 1 ("db3", db2)`) }, "synchronous_standby_names", "db1", Fail},
	"standby that would wait for itself":    {func(_ Facts, _, s *Local) { on(s, "synchronous_standby_names", "db2") }, "synchronous_standby_names", "db2", Fail},
	"archiving without a command":           {func(_ Facts, p, _ *Local) { on(p, "archive_mode", "on") }, "archiving", "db1", Fail},
	"archive_command fails": {func(_ Facts, p, _ *Local) {
		on(p, "archive_mode", "on")
		p.Server.ArchiveSet = true
		p.Server.Archiver = &replication.ArchiverRow{Failed: 3, LastFailedNow: true}
	}, "archiving", "db1", Fail},
	"standby that replays late":             {func(_ Facts, _, s *Local) { on(s, "recovery_min_apply_delay", "3600000") }, "recovery_min_apply_delay", "db2", Fail},
	"former standby that would replay late": {func(_ Facts, p, _ *Local) { on(p, "recovery_min_apply_delay", "3600000") }, "recovery_min_apply_delay", "db1", Warn},
	"minor versions differ":                 {func(_ Facts, _, s *Local) { s.Server.ServerVersion = 150018 }, "server_version", "db2", Warn},
	"major versions differ":                 {func(_ Facts, _, s *Local) { s.Server.ServerVersion = 160004 }, "server_version", "db2", Fail},
	"collation of an index is of another day": {func(_ Facts, p, s *Local) {
		p.Server.Collations[0].Actual = "2.41"
		s.Server.Collations[0].Actual = "2.41"
	}, "collation_version", "db1", Fail},
	"collation of the other machine": {func(_ Facts, _, s *Local) {
		s.Server.Collations[0].Actual = "2.41"
		s.Server.Collations[0].Recorded = "2.41"
	}, "collation_version", "db1", Fail},
	"changes that wait for a restart":  {func(_ Facts, p, _ *Local) { p.Server.PendingRestart = []string{"max_connections"} }, "pending_restart", "db1", Warn},
	"watching role without pg_monitor": {func(_ Facts, p, _ *Local) { p.Server.StatsVisible = false }, "postgres_read", "db1", Fail},
	"server that could not be read":    {func(_ Facts, _, s *Local) { s.Server = nil; s.ServerProblem = "down" }, "postgres_read", "db2", Unknown},
	"unit without the gate":            {func(_ Facts, p, _ *Local) { p.Boot.Hook = "" }, "boot_start", "db1", Fail},
	"unit that restarts by itself":     {func(_ Facts, p, _ *Local) { p.Boot.RestartsByItself = true }, "boot_start", "db1", Warn},
	"manager that does not tell":       {func(_ Facts, p, _ *Local) { p.Boot.Known = false }, "boot_start", "db1", Unknown},
	"container that nobody starts":     {func(_ Facts, p, _ *Local) { p.Boot = Boot{Adopted: true, Driver: "compose", Known: true} }, "boot_start", "db1", Warn},
	"pg_ctl and who knows what else":   {func(_ Facts, p, _ *Local) { p.Boot = Boot{Adopted: true, Driver: "pg_ctl"} }, "boot_start", "db1", Warn},
	"pair that was never adopted":      {func(_ Facts, _, s *Local) { s.Boot.Adopted = false }, "boot_gate", "db2", Fail},
	"clocks apart":                     {func(f Facts, _, _ *Local) { d := -3 * time.Second; f.Nodes[1].Skew = &d }, "clock_skew", "db2", Fail},
	"clock not measured":               {func(f Facts, _, _ *Local) { f.Nodes[1].Skew = nil }, "clock_skew", "db2", Unknown},
	"clock without NTP":                {func(_ Facts, p, _ *Local) { p.Host.ClockSynced = false }, CheckNTP, "db1", Warn},
	"own clock not known":              {func(_ Facts, p, _ *Local) { p.Host.ClockKnown = false }, CheckNTP, "db1", Unknown},
	"no fence device":                  {func(_ Facts, p, s *Local) { p.DevicesSet = 0; s.Devices = s.Devices[:1] }, "fence_device", "db1", Warn},
	"fence device that fails": {func(_ Facts, _, s *Local) {
		s.Devices[1] = Device{Node: "db1", Name: "agent:fence_ipmilan", Text: "timed out"}
	}, "fence_status_fence_ipmilan", "db1", Fail},
	"nobody is told":                          {func(_ Facts, p, _ *Local) { p.Alerts.Recipients = 0 }, "alert_recipients", "db1", Fail},
	"mail that does not leave":                {func(_ Facts, p, _ *Local) { p.Alerts.Faults = []string{"email: refused"} }, "alert_delivery", "db1", Fail},
	"mail password readable by others":        {func(_ Facts, p, _ *Local) { p.SecretFaults = []string{"/etc/x has mode 0644"} }, "secrets", "db1", Fail},
	"state on tmpfs":                          {func(_ Facts, p, _ *Local) { p.Host.StateFS = "tmpfs" }, "state_directory", "db1", Fail},
	"state in a container's layer":            {func(_ Facts, p, _ *Local) { p.Host.StateFS = "overlay" }, "state_directory", "db1", Warn},
	"data directory nearly full":              {func(_ Facts, _, s *Local) { s.Host.DataFreeBytes = 5 }, "data_space", "db2", Fail},
	"data directory filling":                  {func(_ Facts, _, s *Local) { s.Host.DataFreeBytes = 15 }, "data_space", "db2", Warn},
	"data directory open to others":           {func(_ Facts, p, _ *Local) { p.Host.DataMode = 0o755 }, "data_directory", "db1", Fail},
	"services of two versions":                {func(_ Facts, _, s *Local) { s.Program = "0.9" }, "service_version", "db2", Warn},
	"state that cannot be read":               {func(_ Facts, _, s *Local) { s.StateFault = "epoch.json: bad checksum" }, "state", "db2", Fail},
	"two primaries":                           {func(_ Facts, _, s *Local) { s.Server.InRecovery = false }, "one_primary", "", Unknown},
	"no primary":                              {func(_ Facts, p, _ *Local) { p.Server.InRecovery = true }, "one_primary", "", Unknown},
	"service that does not answer":            {func(f Facts, _, _ *Local) { f.Nodes[1].Local = nil; f.Nodes[1].Silence = "refused" }, "service_answers", "db2", Fail},
	"service of an older version":             {func(f Facts, _, _ *Local) { f.Nodes[1].Local = nil; f.Nodes[1].Refused = "no such call" }, "service_answers", "db2", Unknown},
	"server behind a silent service":          {func(f Facts, _, _ *Local) { f.Nodes[1].Local = nil }, "postgres_read", "db2", Unknown},
	"node without a key":                      {func(f Facts, _, _ *Local) { f.Nodes[1].Keyed = false }, "service_answers", "db2", Fail},
	"configuration that leaves something out": {func(_ Facts, p, _ *Local) { p.Warnings = []string{"x"} }, "configuration", "db1", Warn},
}

// TestJudge_PlantedMisconfigurations_AllFound plants each alone, wants the one
// check to say so with a hint, and wants it gone without the plant.
func TestJudge_PlantedMisconfigurations_AllFound(t *testing.T) {
	base := Judge(well())
	for _, name := range slices.Sorted(maps.Keys(plants)) {
		p := plants[name]
		t.Run(name, func(t *testing.T) {
			f := well()
			p.change(f, f.Nodes[0].Local, f.Nodes[1].Local)
			got, found := find(Judge(f), p.name, p.node)
			if !found || got.Level != p.level || got.Text == "" {
				t.Fatalf("%s of %s: %+v, want %s", p.name, p.node, got, p.level)
			}
			if got.Hint == "" && p.level == Fail && p.name != "server_version" {
				t.Errorf("no hint: %+v", got)
			}
			if was, found := find(base, p.name, p.node); found && was.Level != OK {
				t.Errorf("without the plant: %+v", was)
			}
		})
	}
}

// TestJudge_NothingKnown_NothingIsOK: what nobody told is no success.
func TestJudge_NothingKnown_NothingIsOK(t *testing.T) {
	f := Facts{Asked: "db1", Nodes: []Node{{Name: "db1", Keyed: true}, {Name: "db2", Keyed: true}}}
	for _, c := range Judge(f) {
		if c.Level == OK {
			t.Errorf("%+v", c)
		}
	}
	f.Nodes[0].Local, f.Nodes[1].Local = &Local{}, &Local{Server: &replication.Audit{}}
	for _, c := range Judge(f) {
		if c.Level == OK && !slices.Contains([]string{"service_answers", "service_version", "state", "configuration", "alert_delivery", "pending_restart"}, c.Name) {
			t.Errorf("%+v", c)
		}
	}
}

func TestStandbyNames_EveryForm(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "a, b": "a b", "FIRST 1 (a, b)": "a b", `ANY 2 ("a-b", c)`: "a-b c", "2 (a,b,c)": "a b c", "*": "*",
	} {
		if got := strings.Join(standbyNames(in), " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestMerge_LocalKnowledge_ReplacesUnknown(t *testing.T) {
	service := []Check{{Name: CheckNTP, Node: "db1"}, {Name: "fsync", Node: "db1", Level: Fail}}
	out := Merge(service, []Check{LocalNTP("db1", true), {Name: "path"}})
	if len(out) != 3 || out[0].Level != OK || out[1].Level != Fail {
		t.Errorf("%+v", out)
	}
	if out := Merge(out, []Check{LocalNTP("db1", false)}); out[0].Level != OK {
		t.Errorf("a result was replaced: %+v", out)
	}
}

func TestLevel_WordFromNewerService_IsUnknown(t *testing.T) {
	var c Check
	if err := json.Unmarshal([]byte(`{"result":"superb"}`), &c); err != nil || c.Level != Unknown {
		t.Errorf("%v, %v", c.Level, err)
	}
	b, err := json.Marshal(Check{Level: Fail})
	if err != nil || !strings.Contains(string(b), `"result":"fail"`) || json.Unmarshal(b, &c) != nil || c.Level != Fail {
		t.Errorf("%s, %v, %v", b, c.Level, err)
	}
}
