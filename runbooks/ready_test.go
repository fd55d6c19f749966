package runbooks

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// readyFacts is what db2's service knows of a pair that is well, with a witness:
// a promotion of db2 and both exchanges of roles would work.
func readyFacts(change ...func(*Facts)) Facts {
	f := pairFacts(func(f *Facts) { f.Unsealed, f.MaxSkew = nil, 2*time.Second })
	settings := map[string]string{"max_connections": "100", "max_worker_processes": "8", "max_wal_senders": "10", "max_prepared_transactions": "0",
		"max_locks_per_transaction": "64", "max_replication_slots": "10", "wal_level": "replica", "full_page_writes": "on"}
	skew := 3 * time.Millisecond
	primary, standby := &f.Nodes[0], &f.Nodes[1]
	primary.Seen[0].Verdict, primary.Seen[0].Answered = replication.VerdictHealthy, 200*time.Millisecond
	primary.RunningAsPrimary, primary.Skew = true, &skew
	primary.Status = &replication.Status{ServerVersion: 170002, Timeline: 3, Flush: 1000, StatsVisible: true, DataChecksums: true,
		Standbys: []replication.StandbyRow{{ApplicationName: "db2", State: "streaming", SyncState: "async", Flush: 1000, Replay: 1000}}}
	standby.Status.StatsVisible, standby.Status.DataChecksums = true, true
	standby.Status.Receiver = &replication.ReceiverRow{Status: "streaming", SenderHost: "10.0.0.1", SenderPort: 5432}
	for i := range f.Nodes {
		n, other := &f.Nodes[i], f.Nodes[1-i].Node
		n.Durable.DataDirectory = "/d"
		n.Status.Settings, n.Status.MaxWalSenders, n.Status.WalSenders = maps.Clone(settings), 10, 3
		n.Burden, n.Disk, n.Slot = &replication.Burden{}, &DiskFact{Free: 60 << 30, Total: 100 << 30}, "watchdog_"+n.Node
		n.Login = &LoginFact{To: other, OK: true, Age: 20 * time.Second}
	}
	witness := fence.Durable{Node: "wit", SystemID: planSystem, Epoch: f.Own.Epoch}
	f.Nodes = append(f.Nodes, NodeFacts{Node: "wit", Witness: true, Answers: true, Durable: &witness, RunningKnown: true, Advanced: -1})
	f.Devices["db2"] = []DeviceFact{{Name: "peer", Grade: fence.GradeSealed, Ready: true}}
	for _, c := range change {
		c(&f)
	}
	return f
}

// asPrimary lets db1's service plan: it owns the way back.
func asPrimary(f *Facts) {
	f.Self = "db1"
	if d := f.Nodes[0].Durable; d != nil {
		f.Own = *d
	}
	f.Nodes[0].Skew, f.Nodes[1].Skew = nil, f.Nodes[0].Skew
}

// red names what fails of one operation, and wants every word that helps.
func red(t *testing.T, f Facts, operation, target string) []string {
	t.Helper()
	for _, r := range Ready(f) {
		if r.Operation != operation || r.Target != target {
			continue
		}
		seen, out := map[string]bool{}, []string{}
		for _, g := range r.Gates {
			if g.Name == "" || g.Reason == "" || seen[g.Name] {
				t.Errorf("%s to %s: gate without a name of its own or a reason: %+v", operation, target, g)
			}
			seen[g.Name] = true
		}
		for _, g := range r.Failing() {
			if g.Hint == "" {
				t.Errorf("%s fails without a hint: %s", g.Name, g.Reason)
			}
			out = append(out, g.Name)
		}
		return out
	}
	t.Fatalf("%s to %s is not judged", operation, target)
	return nil
}

func TestReady_PairThatIsWell_NothingFails(t *testing.T) {
	for _, c := range []struct {
		f      Facts
		op, to string
	}{
		{readyFacts(), ReadyToPromote, "db2"}, {readyFacts(), ReadyToSwitch, "db2"}, {readyFacts(asPrimary), ReadyToSwitch, "db1"},
	} {
		if got := red(t, c.f, c.op, c.to); len(got) > 0 {
			t.Errorf("%s to %s: %v fail", c.op, c.to, got)
		}
	}
	if got := Ready(readyFacts(asPrimary)); len(got) != 1 {
		t.Errorf("the primary's service judges %d operations, want the way back alone", len(got))
	}
}

// readyCase is one thing that is wrong, and what fails by it in each direction.
type readyCase struct {
	change                func(*Facts)
	promote, there, again string // space-separated gates
}

func (c readyCase) check(t *testing.T) {
	t.Helper()
	for _, way := range []struct {
		f            Facts
		op, to, want string
	}{
		{readyFacts(c.change), ReadyToPromote, "db2", c.promote},
		{readyFacts(c.change), ReadyToSwitch, "db2", c.there},
		{readyFacts(c.change, asPrimary), ReadyToSwitch, "db1", c.again},
	} {
		got, want := red(t, way.f, way.op, way.to), strings.Fields(way.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s to %s: %v fail, want %v", way.op, way.to, got, want)
		}
	}
}

func TestReady_StandbyThatCouldNotTakeOver_FailsByName(t *testing.T) {
	db1 := func(change func(*NodeFacts)) func(*Facts) { return func(f *Facts) { change(&f.Nodes[0]) } }
	db2 := func(change func(*NodeFacts)) func(*Facts) { return func(f *Facts) { change(&f.Nodes[1]) } }
	for name, c := range map[string]readyCase{
		"the primary is dead, its service answers": {db1(func(n *NodeFacts) {
			n.Seen[0].Verdict, n.Seen[0].Answered, n.StatusAge = replication.VerdictDown, time.Minute, time.Minute
			n.RunningAsPrimary = false
		}), "", "server settings rewind archive", "server senders slots settings delay"},
		"the primary's machine is dead": {db1(func(n *NodeFacts) {
			n.Seen[0].Verdict, n.Seen[0].Answered, n.StatusAge = replication.VerdictUnreachable, time.Minute, time.Minute
			n.Answers, n.Durable, n.Login, n.Disk, n.Burden = false, nil, nil, nil, nil
		}), "", "server service held login settings rewind archive backup gate", "server senders slots settings delay disk backup"},
		"replay is paused":                 {db2(func(n *NodeFacts) { n.Status.ReplayPaused = true }), "replay", "replay", ""},
		"replay is delayed":                {db2(func(n *NodeFacts) { n.Status.ApplyDelay = time.Minute }), "replay", "replay delay", ""},
		"the old primary would be delayed": {db1(func(n *NodeFacts) { n.Status.ApplyDelay = time.Minute }), "", "", "delay"},
		"no receiver":                      {db2(func(n *NodeFacts) { n.Status.Receiver = nil }), "stream", "stream", ""},
		"a receiver that starts":           {db2(func(n *NodeFacts) { n.Status.Receiver.Status = "starting" }), "stream", "stream", ""},
		"a stream without a message":       {db2(func(n *NodeFacts) { n.Status.Receiver.MessageAge = time.Minute }), "stream", "stream", ""},
		"the primary feeds nobody":         {db1(func(n *NodeFacts) { n.Status.Standbys = nil }), "stream", "stream", ""},
		"statistics are hidden":            {db2(func(n *NodeFacts) { n.Status.StatsVisible = false }), "stream", "stream", ""},
		"far behind":                       {db1(func(n *NodeFacts) { n.Seen[0].Position = 1000 + 17<<20 }), "lag", "lag", ""},
		"much to replay":                   {db2(func(n *NodeFacts) { n.Status.Receive, n.Status.Replay = 1000+65<<20, 1000 }), "lag", "lag", ""},
		"the standby is down":              {db2(func(n *NodeFacts) { n.Seen[0].Verdict = replication.VerdictDown }), "target", "server", "server"},
		"the standby was not asked for long": {db2(func(n *NodeFacts) { n.StatusAge = time.Minute }), "stream settings",
			"stream server senders slots settings delay", "server settings rewind archive"},
		"another timeline": {db1(func(n *NodeFacts) { n.Seen[0].Timeline = 4 }), "timeline", "timeline", "timeline"},
		"other data":       {db1(func(n *NodeFacts) { n.Seen[0].SystemID = 99 }), "system-id", "system-id", "system-id"},
		"other version":    {db1(func(n *NodeFacts) { n.Status.ServerVersion = 160004 }), "version", "version", "version"},
		"a further standby is ahead": {func(f *Facts) {
			f.Nodes = append(f.Nodes, NodeFacts{Node: "db3", Seen: []Seen{{Observer: "db2", Verdict: replication.VerdictHealthy, Role: replication.RoleStandby, Position: 1001 + readyLagBytes}}})
		}, "further", "further", ""},
		"little space on the standby": {db2(func(n *NodeFacts) { n.Disk.Free = 4 << 30 }), "disk", "disk", ""},
		"little space on the primary": {db1(func(n *NodeFacts) { n.Disk.Free = 4 << 30 }), "", "", "disk"},
		"space is not told":           {db2(func(n *NodeFacts) { n.Disk = nil }), "disk", "disk", ""},
	} {
		t.Run(name, c.check)
	}
}

func TestReady_FencesRecordsAndWitness_FailByName(t *testing.T) {
	open := fence.Intent{Operation: "fence-Z", Kind: "fence", Owner: "db1"}
	durable := func(i int, change func(*fence.Durable)) func(*Facts) {
		return func(f *Facts) {
			d := *f.Nodes[i].Durable
			change(&d)
			f.Nodes[i].Durable = &d
			if f.Nodes[i].Node == f.Self {
				f.Own = d
			}
		}
	}
	for name, c := range map[string]readyCase{
		"no device": {func(f *Facts) { f.Devices = nil }, "fence", "", "fence"},
		"the power switch does not answer, the peer does": {func(f *Facts) {
			f.Devices["db1"] = append(f.Devices["db1"], DeviceFact{Name: "agent", Grade: fence.GradePower, Text: "connection timed out"})
		}, "fence", "", ""},
		"the peer's service is silent": {func(f *Facts) {
			f.Nodes[0].Answers, f.Nodes[0].Durable, f.Nodes[0].Login, f.Nodes[0].Silence = false, nil, nil, "refused"
			f.Devices["db1"][0].Ready = false
		}, "fence gate", "service gate login held", ""},
		"an open operation":                              {durable(0, func(d *fence.Durable) { d.Intents = []fence.Intent{open} }), "operation", "operation", "operation"},
		"the standby is fenced":                          {durable(1, func(d *fence.Durable) { d.Marker = &fence.Marker{Operation: "f"} }), "target-held", "held", "held"},
		"the primary is fenced":                          {durable(0, func(d *fence.Durable) { d.Marker = &fence.Marker{Operation: "f"} }), "", "held", "held"},
		"an order on the standby":                        {durable(1, func(d *fence.Durable) { d.Orders = []fence.Order{{Operation: "f", Node: "db1"}} }), "", "held", ""},
		"the primary knows no data directory":            {durable(0, func(d *fence.Durable) { d.DataDirectory = "" }), "gate", "gate", "gate"},
		"the primary was never adopted":                  {durable(0, func(d *fence.Durable) { d.Epoch = fence.Epoch{} }), "gate", "gate", "adopted"},
		"the primary holds another epoch of that number": {durable(0, func(d *fence.Durable) { d.Epoch.ID = "x" }), "gate", "gate", "gate witness"},
		"the primary knows a later epoch":                {durable(0, func(d *fence.Durable) { d.Epoch.Number = 9 }), "epoch", "epoch", "gate witness"},
		"the witness is silent":                          {func(f *Facts) { f.Nodes[2].Answers = false }, "witness", "witness", "witness"},
		"the witness holds an old epoch":                 {durable(2, func(d *fence.Durable) { d.Epoch.Number = 3 }), "witness", "witness", "witness"},
		"the clocks differ": {func(f *Facts) {
			far := -3 * time.Second
			f.Nodes[0].Skew = &far
		}, "", "clock", "clock"},
		"a third node runs as primary": {func(f *Facts) {
			f.Nodes = append(f.Nodes, NodeFacts{Node: "db3", Answers: true, RunningKnown: true, RunningAsPrimary: true})
		}, "other-primary", "other-primary", "other-primary"},
	} {
		t.Run(name, c.check)
	}
}

func TestReady_OtherServerCouldNotFollow_FailsByName(t *testing.T) {
	db1 := func(change func(*NodeFacts)) func(*Facts) { return func(f *Facts) { change(&f.Nodes[0]) } }
	db2 := func(change func(*NodeFacts)) func(*Facts) { return func(f *Facts) { change(&f.Nodes[1]) } }
	set := func(i int, name, value string) func(*Facts) {
		return func(f *Facts) { f.Nodes[i].Status.Settings[name] = value }
	}
	full := func(n *NodeFacts) {
		n.Status.Settings["max_replication_slots"] = "1"
		n.Status.Slots = []replication.SlotRow{{Name: "somebody"}}
	}
	for name, c := range map[string]readyCase{
		"no walsender to spare on the standby": {db2(func(n *NodeFacts) { n.Status.WalSenders = 10 }), "", "senders", ""},
		"no walsender to spare on the primary": {db1(func(n *NodeFacts) { n.Status.WalSenders = 10 }), "", "", "senders"},
		"no slot to spare":                     {db2(full), "", "slots", ""},
		"no slot to spare, but ours is there": {db2(func(n *NodeFacts) {
			full(n)
			n.Status.Slots = append(n.Status.Slots, replication.SlotRow{Name: "watchdog_db1"})
		}), "", "", ""},
		"the old primary is not let in":                   {db1(func(n *NodeFacts) { n.Login.OK, n.Login.Text = false, "28000" }), "", "login", ""},
		"its login was not tried lately":                  {db1(func(n *NodeFacts) { n.Login.Age = time.Hour }), "", "login", ""},
		"it tried another server":                         {db1(func(n *NodeFacts) { n.Login.To = "db9" }), "", "login", ""},
		"the standby has less":                            {set(1, "max_connections", "50"), "settings", "", "settings"},
		"the standby has more":                            {set(1, "max_worker_processes", "16"), "", "settings", ""},
		"wal_level minimal on the standby":                {set(1, "wal_level", "minimal"), "settings", "settings", "settings"},
		"settings are not known":                          {db1(func(n *NodeFacts) { n.Status.Settings = nil }), "settings", "settings rewind", "settings slots"},
		"the old primary has neither hints nor checksums": {db1(func(n *NodeFacts) { n.Status.DataChecksums = false }), "", "rewind", ""},
		"hints are enough":                                {db1(func(n *NodeFacts) { n.Status.DataChecksums, n.Status.WalLogHints = false, true }), "", "", ""},
		"the standby has neither":                         {db2(func(n *NodeFacts) { n.Status.DataChecksums = false }), "", "", "rewind"},
		"pages are torn":                                  {set(0, "full_page_writes", "off"), "", "rewind", ""},
		"the archive is behind":                           {db1(func(n *NodeFacts) { n.Burden.ArchiveReady = 128 }), "", "archive", ""},
		"archiving fails":                                 {db1(func(n *NodeFacts) { n.Status.Archiver = &replication.ArchiverRow{LastFailedNow: true} }), "", "archive", ""},
		"a base backup of the primary runs":               {db1(func(n *NodeFacts) { n.Burden.Backups = 1 }), "", "backup", "backup"},
		"a base backup of the standby runs":               {db2(func(n *NodeFacts) { n.Burden.Backups = 1 }), "", "backup", "backup"},
		"nobody looked":                                   {db1(func(n *NodeFacts) { n.Burden = nil }), "", "archive backup", "backup"},
		"the look was refused":                            {db1(func(n *NodeFacts) { n.Burden = &replication.Burden{Backups: -1, ArchiveReady: -1} }), "", "archive backup", "backup"},
	} {
		t.Run(name, c.check)
	}
}

// Where no operation could be planned at all, that is what fails.
func TestReady_NothingCouldBePlanned_SaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Facts)
		want   string
	}{
		"never adopted":                    {func(f *Facts) { f.Own.Epoch = fence.Epoch{} }, "adopted"},
		"records are damaged":              {func(f *Facts) { f.Faults = []string{"x"} }, "state"},
		"a primary that nobody configured": {func(f *Facts) { f.Own.Epoch.Primary = "db9" }, "primary"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, op := range []string{ReadyToPromote, ReadyToSwitch} {
				if got := red(t, readyFacts(c.change), op, "db2"); !slices.Equal(got, []string{c.want}) {
					t.Errorf("%s: %v fail, want %s", op, got, c.want)
				}
			}
		})
	}
}

// A witness and a further standby plan nothing.
func TestReady_NodeThatPlansNothing_GivesNothing(t *testing.T) {
	if got := Ready(readyFacts(func(f *Facts) { f.Self = "wit" })); got != nil {
		t.Errorf("a witness judges %+v", got)
	}
	further := func(f *Facts) {
		f.Nodes = append(f.Nodes, NodeFacts{Node: "db3"})
		f.Self = "db3"
	}
	if got := Ready(readyFacts(further)); got != nil {
		t.Errorf("a further standby judges %+v", got)
	}
}
