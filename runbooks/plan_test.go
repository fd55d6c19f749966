package runbooks

import (
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

const planSystem = replication.SystemID(7_000_000_000_000_000_001)

// pairFacts is what db2's service knows after db1's server was killed: its host
// and service answer, nothing is lost, everything is ready to promote db2.
func pairFacts(change ...func(*Facts)) Facts {
	e := fence.Epoch{Number: 4, ID: "four", Primary: "db1"}
	own := fence.Durable{Node: "db2", SystemID: planSystem, DataDirectory: "/d", Epoch: e, Role: replication.RoleStandby}
	theirs := own
	theirs.Node, theirs.Role = "db1", replication.RolePrimary
	f := Facts{Cluster: "shop", Self: "db2", At: time.Unix(1_700_000_000, 0), Own: own, RateBytes: -1, ValidFor: 10 * time.Minute,
		Devices:  map[string][]DeviceFact{"db1": {{Name: "peer", Grade: fence.GradeSealed, Ready: true}}},
		Unsealed: &fence.EndOfWAL{Timeline: 3, LSN: 1000},
		Nodes: []NodeFacts{
			{Node: "db1", Answers: true, Durable: &theirs, RunningKnown: true, Advanced: -1,
				Seen: []Seen{{Observer: "db2", Verdict: replication.VerdictDown, Cause: "refused", Role: replication.RolePrimary, SystemID: planSystem, Timeline: 3, Position: 1000, Answered: 20 * time.Second}}},
			{Node: "db2", Answers: true, Durable: &own, RunningKnown: true, Advanced: 20 * time.Second,
				Status: &replication.Status{InRecovery: true, Timeline: 3, Receive: 1000, Replay: 1000, ServerVersion: 170002},
				Seen:   []Seen{{Observer: "db2", Verdict: replication.VerdictHealthy, Role: replication.RoleStandby, SystemID: planSystem, Timeline: 3, Position: 1000}}},
		}}
	for _, c := range change {
		c(&f)
	}
	return f
}

func primarySeen(v replication.Verdict) func(*Facts) {
	return func(f *Facts) { f.Nodes[0].Seen[0].Verdict = v }
}

func wantRefusal(t *testing.T, p Plan, exit int, rule, gate string) {
	t.Helper()
	if p.Refusal == nil || p.Refusal.Exit != exit || p.Refusal.Rule != rule || p.Refusal.Gate != gate {
		t.Fatalf("refusal %+v, want exit %d, rule %q, gate %q", p.Refusal, exit, rule, gate)
	}
	if p.Refusal.Reason == "" || p.Refusal.Hint == "" {
		t.Errorf("refusal without reason or next command: %+v", p.Refusal)
	}
}

// Rule 1: the verdict on the primary says what is allowed, for every verdict that
// there is, without and with a reason.
func TestPlanPromoteRule1_EveryVerdict(t *testing.T) {
	want := map[replication.Verdict][2]int{ // exit without, and with --reason
		replication.VerdictUnknown:        {ExitUnavailable, ExitUnavailable},
		replication.VerdictHealthy:        {ExitRefused, ExitRefused},
		replication.VerdictStarting:       {ExitRefused, ExitDone},
		replication.VerdictShuttingDown:   {ExitRefused, ExitDone},
		replication.VerdictSaturated:      {ExitRefused, ExitDone},
		replication.VerdictAuthRefused:    {ExitRefused, ExitDone},
		replication.VerdictReadOnly:       {ExitRefused, ExitDone},
		replication.VerdictSyncStalled:    {ExitRefused, ExitDone},
		replication.VerdictStorageStalled: {ExitDone, ExitDone},
		replication.VerdictHung:           {ExitDone, ExitDone},
		replication.VerdictDown:           {ExitDone, ExitDone},
		replication.VerdictUnreachable:    {ExitDone, ExitDone},
	}
	for v := replication.VerdictUnknown; !strings.Contains(v.String(), "("); v++ {
		exits, listed := want[v]
		if !listed {
			t.Errorf("no word on what verdict %s allows", v)
			continue
		}
		for n, r := range []Request{{}, {Reason: "the disk is on fire"}} {
			p := PlanPromote(pairFacts(primarySeen(v)), r, "X")
			if exits[n] == ExitDone {
				if p.Refusal != nil {
					t.Errorf("%s, reason %q: refused %+v", v, r.Reason, p.Refusal)
				}
				continue
			}
			wantRefusal(t, p, exits[n], "1", "primary")
			if v == replication.VerdictHealthy && !strings.Contains(p.Refusal.Hint, "switchover") {
				t.Errorf("a healthy primary's refusal does not name the switchover: %q", p.Refusal.Hint)
			}
		}
	}
	if len(want) != int(replication.VerdictUnreachable)+1 {
		t.Errorf("%d verdicts are listed", len(want))
	}
}

// DESIGN 3: a primary whose standby keeps receiving new WAL is alive, whatever a
// ping says; one that answers badly may be replaced with a reason all the same.
func TestPlanPromoteRule1_StandbyStillReceives(t *testing.T) {
	receives := func(f *Facts) { f.Nodes[1].Advanced = time.Second }
	for _, v := range []replication.Verdict{replication.VerdictDown, replication.VerdictUnreachable, replication.VerdictHung, replication.VerdictStorageStalled} {
		wantRefusal(t, PlanPromote(pairFacts(primarySeen(v), receives), Request{Reason: "x"}, "X"), ExitRefused, "1", "primary")
	}
	if p := PlanPromote(pairFacts(primarySeen(replication.VerdictSaturated), receives), Request{Reason: "x"}, "X"); p.Refusal != nil {
		t.Errorf("refused: %+v", p.Refusal)
	}
	wantRefusal(t, PlanPromote(pairFacts(primarySeen(replication.VerdictUnknown), receives), Request{Reason: "x"}, "X"), ExitUnavailable, "1", "primary")
}

// The most alive vantage point counts, an old one does not, and what only the own
// node can know is taken from there.
func TestVerdict_OfSeveralVantagePoints(t *testing.T) {
	at := func(observer string, v replication.Verdict, age time.Duration) Seen {
		return Seen{Observer: observer, Verdict: v, Age: age}
	}
	for _, c := range []struct {
		seen []Seen
		want replication.Verdict
	}{
		{nil, replication.VerdictUnknown},
		{[]Seen{at("db2", replication.VerdictUnreachable, 0), at("w1", replication.VerdictHealthy, 0)}, replication.VerdictHealthy},
		{[]Seen{at("db2", replication.VerdictUnreachable, 0), at("w1", replication.VerdictHealthy, time.Minute)}, replication.VerdictUnreachable},
		{[]Seen{at("db2", replication.VerdictHealthy, 0), at("db1", replication.VerdictReadOnly, 0)}, replication.VerdictReadOnly},
		{[]Seen{at("db1", replication.VerdictSyncStalled, 0), at("db2", replication.VerdictHealthy, 0)}, replication.VerdictSyncStalled},
		{[]Seen{at("db1", replication.VerdictStorageStalled, time.Minute), at("db2", replication.VerdictHealthy, 0)}, replication.VerdictHealthy},
		{[]Seen{at("db2", replication.VerdictDown, time.Minute)}, replication.VerdictUnknown},
	} {
		if got, _ := (NodeFacts{Node: "db1", Seen: c.seen}).Verdict(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.seen, got, c.want)
		}
	}
}

type planCase struct {
	name   string
	change func(*Facts)
	req    Request
	exit   int
	rule   string
	gate   string
}

func TestPlanPromote_Gates(t *testing.T) {
	open := fence.Intent{Operation: "fence-Z", Kind: "fence", Owner: "db1"}
	further := func(at replication.LSN) func(*Facts) {
		return func(f *Facts) {
			f.Nodes = append(f.Nodes, NodeFacts{Node: "db3", Seen: []Seen{{Observer: "db2", Verdict: replication.VerdictHealthy, Role: replication.RoleStandby, Position: at}}})
		}
	}
	cases := []planCase{
		{"ready", func(*Facts) {}, Request{}, ExitDone, "", ""},
		{"a further standby is behind", further(900), Request{}, ExitDone, "", ""},
		{"the primary is held in recovery", func(f *Facts) {
			f.Nodes[0].Seen[0].Verdict, f.Nodes[0].Seen[0].Role = replication.VerdictHealthy, replication.RoleStandby
		}, Request{}, ExitDone, "", ""},
		{"replay paused, nothing pending", func(f *Facts) { f.Nodes[1].Status.ReplayPaused = true }, Request{}, ExitDone, "", ""},

		{"a damaged journal", func(f *Facts) { f.Faults = []string{"operations/x.jsonl: damaged"} }, Request{}, ExitRefused, "11", "state"},
		{"never adopted", func(f *Facts) { f.Own.Epoch = fence.Epoch{} }, Request{}, ExitRefused, "5", "adopted"},
		{"the epoch's primary is not configured", func(f *Facts) { f.Own.Epoch.Primary = "db9" }, Request{}, ExitRefused, "1", "primary"},
		{"another node is named", func(*Facts) {}, Request{Node: "db7"}, ExitUsage, "1", "target"},
		{"a lock here", func(f *Facts) { f.Own.Lock = &fence.Lock{Operation: "fence-Z", Owner: "db2"} }, Request{}, ExitLocked, "10", "operation"},
		{"a lock there", func(f *Facts) { f.Nodes[0].Durable.Lock = &fence.Lock{Operation: "fence-Z", Owner: "db1"} }, Request{}, ExitLocked, "10", "operation"},
		{"an open intent here", func(f *Facts) { f.Own.Intents = []fence.Intent{open} }, Request{}, ExitLocked, "3", "operation"},
		{"an open intent there", func(f *Facts) { f.Nodes[0].Durable.Intents = []fence.Intent{open} }, Request{}, ExitLocked, "3", "operation"},
		{"the standby is not known yet", func(f *Facts) { f.Nodes[1].Seen = nil }, Request{}, ExitUnavailable, "1", "target"},
		{"the standby is down", func(f *Facts) { f.Nodes[1].Seen[0].Verdict = replication.VerdictDown }, Request{}, ExitRefused, "1", "target"},
		{"the standby is a primary already", func(f *Facts) { f.Nodes[1].Seen[0].Role = replication.RolePrimary }, Request{}, ExitRefused, "1", "target"},
		{"the standby is fenced", func(f *Facts) { f.Own.Marker = &fence.Marker{Operation: "fence-1"} }, Request{}, ExitRefused, "2", "target-held"},
		{"an order stands against the standby", func(f *Facts) { f.Own.Orders = []fence.Order{{Operation: "fence-1", Node: "db2"}} }, Request{}, ExitRefused, "6", "target-held"},
		{"a third node runs as primary", func(f *Facts) {
			f.Nodes = append(f.Nodes, NodeFacts{Node: "db3", Answers: true, RunningKnown: true, RunningAsPrimary: true})
		}, Request{}, ExitRefused, "1", "other-primary"},
		{"a further standby is ahead", further(1001), Request{}, ExitRefused, "1", "further"},
		{"another system identifier", func(f *Facts) { f.Nodes[0].Seen[0].SystemID = 99 }, Request{}, ExitRefused, "13", "system-id"},
		{"another major version", func(f *Facts) { f.Nodes[0].Status = &replication.Status{ServerVersion: 160004} }, Request{}, ExitRefused, "13", "version"},
		{"another timeline", func(f *Facts) { f.Nodes[0].Seen[0].Timeline = 4 }, Request{}, ExitRefused, "13", "timeline"},
		{"replay is paused with WAL pending", func(f *Facts) { f.Nodes[1].Status.ReplayPaused, f.Nodes[1].Status.Replay = true, 900 }, Request{}, ExitRefused, "13", "replay"},
		{"replay is delayed with WAL pending", func(f *Facts) { f.Nodes[1].Status.ApplyDelay, f.Nodes[1].Status.Replay = time.Hour, 900 }, Request{}, ExitRefused, "13", "replay"},
		{"no device", func(f *Facts) { f.Devices = nil }, Request{}, ExitRefused, "2", "fence"},
		{"no device is ready", func(f *Facts) { f.Devices["db1"][0].Ready = false }, Request{}, ExitRefused, "2", "fence"},
		{"another node is stated off", func(f *Facts) { f.Devices = nil }, Request{StatedOff: "db2"}, ExitRefused, "2", "fence"},
		{"stated off", func(f *Facts) { f.Devices = nil }, Request{StatedOff: "db1"}, ExitDone, "", ""},
		{"more would be lost than allowed", func(f *Facts) { f.Unsealed.LSN = 1500 }, Request{}, ExitRefused, "8", "loss"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := PlanPromote(pairFacts(c.change), c.req, "X")
			if c.exit != ExitDone {
				wantRefusal(t, p, c.exit, c.rule, c.gate)
				if p.Next != "" && c.gate != "loss" {
					t.Errorf("a refused plan prints a command to run: %q", p.Next)
				}
				return
			}
			if p.Refusal != nil || p.Target != "db2" || p.Owner != "db2" || p.Fence.Node != "db1" || p.Next == "" {
				t.Errorf("refused %+v, plan %+v", p.Refusal, p)
			}
		})
	}
}

// Rule 1: naming the primary of the epoch is exit 0 and nothing done.
func TestPlanPromoteRule1_NamesThePrimary_IsAlreadySo(t *testing.T) {
	if p := PlanPromote(pairFacts(), Request{Node: "db1"}, "X"); !p.Already || p.Refusal != nil || len(p.Steps) > 0 {
		t.Errorf("%+v", p)
	}
}

// Rule 2: the weaker the fence, the longer the phrase.
func TestPlanPromoteRule2_PhraseGrowsAsTheFenceWeakens(t *testing.T) {
	last := -1
	for _, g := range []fence.Grade{fence.GradePower, fence.GradeSealed, fence.GradeIsolated, fence.GradeStated} {
		words := len(strings.Fields(phrase("db1", g)))
		if words < last || (g == fence.GradeStated && words == last) {
			t.Errorf("%s asks for %d words, a surer one for %d", g, words, last)
		}
		last = words
	}
	f := pairFacts(func(f *Facts) { f.Devices = nil })
	if p := PlanPromote(f, Request{StatedOff: "db1"}, "X"); p.Fence.Grade != fence.GradeStated || p.Phrase == "" {
		t.Errorf("grade %s, phrase %q", p.Fence.Grade, p.Phrase)
	}
}

// Rule 12 and 5: the order of the steps is the plan's promise.
func TestPlanPromote_OrderOfSteps(t *testing.T) {
	var names []string
	p := PlanPromote(pairFacts(func(f *Facts) { f.Nodes[1].Status.SynchronousStandbyNames = "db1" }), Request{}, "X")
	for n, l := range p.Steps {
		names = append(names, l.Name)
		if l.N != n+1 || l.Limit <= 0 || l.Text == "" || l.IfFails == "" || l.Final != (l.Name == StepPromote) {
			t.Errorf("line %+v", l)
		}
	}
	if got := strings.Join(names, " "); got != "lock intent fence end-of-wal replay freeze slot epoch promote verify release-sync commit checkpoint close" {
		t.Errorf("steps: %s", got)
	}
	steps := PromoteSteps(Deps{}, NewOperation("promote-X", p, Request{}, nil))
	for _, name := range names {
		if _, known := steps[name]; !known {
			t.Errorf("nothing does step %s", name)
		}
	}
}

func TestPlanFenceReleaseAdopt_Gates(t *testing.T) {
	asDB1 := func(change ...func(*Facts)) func(*Facts) { // db1 plans, sealed by an aborted operation, db2 a standby
		return func(f *Facts) {
			f.Self, f.Own = "db1", *f.Nodes[0].Durable
			f.Own.Marker = &fence.Marker{Operation: "fence-1"}
			f.Nodes[0].Seen[0].Verdict, f.Nodes[0].Seen[0].Role, f.Nodes[0].Seen[0].Answered = replication.VerdictHealthy, replication.RoleStandby, 0
			for _, c := range change {
				c(f)
			}
		}
	}
	healthy := func(f *Facts) {
		f.Own.Marker = nil
		f.Nodes[0].Seen[0].Role = replication.RolePrimary
	}
	peer := func(change func(*NodeFacts)) func(*Facts) { return func(f *Facts) { change(&f.Nodes[1]) } }
	silentPeer := peer(func(n *NodeFacts) { n.Answers, n.Durable = false, nil })
	release := func(f Facts) Plan { return PlanRelease(f, Request{Node: "db1"}, "X") }
	stated := func(f Facts) Plan { return PlanRelease(f, Request{Node: "db1", StatedOff: "db2"}, "X") }
	adopt := func(f Facts) Plan { return PlanAdopt(f, Request{Node: "db1"}, "X") }
	seal := func(f Facts) Plan { return PlanFence(f, Request{Node: "db1"}, "X") }
	for name, c := range map[string]struct {
		plan   func(Facts) Plan
		change func(*Facts)
		exit   int
		rule   string
		gate   string
	}{
		"fence":                            {seal, func(*Facts) {}, ExitDone, "", ""},
		"fence: a witness":                 {func(f Facts) Plan { return PlanFence(f, Request{Node: "w1"}, "X") }, func(*Facts) {}, ExitUsage, "", "target"},
		"fence: no device":                 {seal, func(f *Facts) { f.Devices = nil }, ExitRefused, "2", "fence"},
		"fence: another operation":         {seal, func(f *Facts) { f.Own.Lock = &fence.Lock{Operation: "Z", Owner: "db1"} }, ExitLocked, "10", "operation"},
		"fence: faults":                    {seal, func(f *Facts) { f.Faults = []string{"x"} }, ExitRefused, "11", "state"},
		"release: the other proves itself": {release, asDB1(), ExitDone, "", ""},
		"release: the other is fenced": {release, asDB1(peer(func(n *NodeFacts) {
			n.Durable.Marker, n.Durable.Role = &fence.Marker{Operation: "f"}, replication.RolePrimary
		})), ExitDone, "", ""},
		"release: the other is silent":          {release, asDB1(silentPeer), ExitRefused, "2", "fence"},
		"release: the other is stated off":      {stated, asDB1(silentPeer), ExitDone, "", ""},
		"release: the other has a later epoch":  {release, asDB1(peer(func(n *NodeFacts) { n.Durable.Epoch.Number = 9 })), ExitRefused, "2", "fence"},
		"release: the other is durable primary": {release, asDB1(peer(func(n *NodeFacts) { n.Durable.Role = replication.RolePrimary })), ExitRefused, "2", "fence"},
		"release: the other cannot say":         {release, asDB1(peer(func(n *NodeFacts) { n.RunningKnown = false })), ExitRefused, "2", "fence"},
		"release: the other runs as primary":    {release, asDB1(peer(func(n *NodeFacts) { n.RunningAsPrimary = true })), ExitRefused, "1", "other-primary"},
		"release: an operation of the other":    {release, asDB1(peer(func(n *NodeFacts) { n.Durable.Intents = []fence.Intent{{Operation: "Z", Owner: "db2"}} })), ExitLocked, "10", "operation"},
		"release: an operation of its own":      {release, asDB1(func(f *Facts) { f.Own.Intents = []fence.Intent{{Operation: "Z", Owner: "db1"}} }), ExitLocked, "10", "operation"},
		"release: nobody knows the data":        {release, asDB1(func(f *Facts) { f.Own = fence.Durable{Node: "db1"}; f.Nodes[0].Seen = nil }), ExitRefused, "5", "adopted"},
		"adopt: a healthy primary":              {adopt, asDB1(healthy, func(f *Facts) { f.Own.Epoch = fence.Epoch{} }), ExitDone, "", ""},
		"adopt: not a primary":                  {adopt, asDB1(), ExitRefused, "5", "target"},
		"adopt: not seen yet":                   {adopt, asDB1(healthy, func(f *Facts) { f.Nodes[0].Seen = nil }), ExitUnavailable, "5", "target"},
		"adopt: the partner is silent":          {adopt, asDB1(healthy, silentPeer, func(f *Facts) { f.Own.Epoch = fence.Epoch{} }), ExitUnavailable, "4", "partner"},
		"adopt: the partner holds other data":   {adopt, asDB1(healthy, func(f *Facts) { f.Own = fence.Durable{Node: "db1"} }, peer(func(n *NodeFacts) { n.Seen[0].SystemID = 99 })), ExitRefused, "13", "system-id"},
		"adopt: two primaries":                  {adopt, asDB1(healthy, func(f *Facts) { f.Own.Epoch = fence.Epoch{} }, peer(func(n *NodeFacts) { n.RunningAsPrimary = true })), ExitRefused, "1", "other-primary"},
		"adopt: fenced":                         {adopt, asDB1(healthy, func(f *Facts) { f.Own.Marker = &fence.Marker{Operation: "f"} }), ExitRefused, "2", "target-held"},
	} {
		t.Run(name, func(t *testing.T) {
			p := c.plan(pairFacts(c.change))
			if c.exit != ExitDone {
				wantRefusal(t, p, c.exit, c.rule, c.gate)
				return
			}
			if p.Refusal != nil || p.Already || len(p.Steps) == 0 {
				t.Errorf("refused %+v, already %v", p.Refusal, p.Already)
			}
		})
	}
	if p := adopt(pairFacts(asDB1(healthy))); !p.Already {
		t.Errorf("adopting what is adopted: %+v", p.Refusal)
	}
	half := peer(func(n *NodeFacts) { n.Durable.Epoch = fence.Epoch{} })
	if p := adopt(pairFacts(asDB1(healthy, half))); p.Already {
		t.Error("an adoption that reached one node only counts as done")
	}
}

// A site with both: the peer's service is asked first, and where it answers the
// power switch is not asked. The plan must not promise more than what will come.
func TestPlanPromoteRule2_PeerAndPowerSwitch_PlanNamesTheFenceThatWillCome(t *testing.T) {
	peer, agent := DeviceFact{Name: "peer", Grade: fence.GradeSealed, Ready: true}, DeviceFact{Name: "agent", Grade: fence.GradePower, Ready: true}
	silent := peer
	silent.Ready = false
	for _, c := range []struct {
		devices []DeviceFact
		want    fence.Grade
	}{{[]DeviceFact{peer, agent}, fence.GradeSealed}, {[]DeviceFact{silent, agent}, fence.GradePower}} {
		p := PlanPromote(pairFacts(func(f *Facts) { f.Devices["db1"] = c.devices }), Request{}, "X")
		if p.Fence.Grade != c.want || p.Refusal != nil {
			t.Errorf("devices %+v: planned grade %s, refused %+v; want %s", c.devices, p.Fence.Grade, p.Refusal, c.want)
		}
	}
}

// Between the plan and the fence the peer may come back, or go silent.
func TestJudgeFenceRule2_OtherGradeThanPlanned_OnlyTheWeakerProofIsRefused(t *testing.T) {
	for _, c := range []struct {
		planned, got fence.Grade
		ok           bool
	}{
		{fence.GradePower, fence.GradeSealed, true}, {fence.GradeSealed, fence.GradePower, true}, {fence.GradeSealed, fence.GradeSealed, true},
		{fence.GradePower, fence.GradeIsolated, false}, {fence.GradeSealed, fence.GradeStated, false}, {fence.GradeIsolated, fence.GradeStated, false},
	} {
		o := NewOperation("op", Plan{Fence: FencePlan{Node: "db1", Grade: c.planned}}, Request{By: "ada"}, nil)
		err := judgeFence(o, fence.Outcome{Node: "db1", Result: fence.ResultDone, Grade: c.got})
		if (err == nil) != c.ok {
			t.Errorf("planned %s, got %s: %v", c.planned, c.got, err)
		}
	}
}

func TestPlanPromoteRule2_StatementAboutAnotherNode_RefusedWhateverCouldFence(t *testing.T) {
	for _, grade := range []fence.Grade{fence.GradeNone, fence.GradeSealed} {
		p := PlanPromote(pairFacts(func(f *Facts) {
			f.Devices["db1"] = []DeviceFact{{Name: "peer", Grade: grade, Ready: grade != fence.GradeNone}}
		}), Request{StatedOff: "db2"}, "X")
		wantRefusal(t, p, ExitRefused, "2", "fence")
		if strings.Contains(p.Next, "db2") {
			t.Errorf("the plan repeats the slip: %s", p.Next)
		}
	}
}

// Others saw the own server as primary seconds ago, before it was started anew
// read-only: its own answer of now is newer. Anybody else's server is believed to
// be what it was seen as last.
func TestOtherPrimaries_OwnServerRestartedReadOnly_OwnAnswerOfNowCounts(t *testing.T) {
	stale := Seen{Observer: "wit", Verdict: replication.VerdictHealthy, Role: replication.RolePrimary, Position: 2000, Answered: 3 * time.Second}
	for name, c := range map[string]struct {
		change func(f *Facts)
		ok     bool
	}{
		"asked just now":         {func(*Facts) {}, true},
		"asked a moment ago":     {func(f *Facts) { f.Nodes[1].StatusAge = time.Second }, false},
		"not asked":              {func(f *Facts) { f.Nodes[1].Status = nil }, false},
		"says that it is":        {func(f *Facts) { f.Nodes[1].RunningAsPrimary = true }, false},
		"answers as primary now": {func(f *Facts) { f.Nodes[1].Status.InRecovery = false }, false},
	} {
		f := pairFacts(func(f *Facts) { f.Nodes[1].Seen = append(f.Nodes[1].Seen, stale) }, c.change)
		if got := checkOtherPrimaries(f, "db1"); got.gate.OK != c.ok {
			t.Errorf("%s: %+v", name, got.gate)
		}
	}
}
