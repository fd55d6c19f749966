package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// TestLab_HostDies_FencedByItsPowerSwitchAndReplaced is the story of the spine on
// a site as its users run it.
func TestLab_HostDies_FencedByItsPowerSwitchAndReplaced(t *testing.T) {
	b := newBench(t)
	b.on("a crash of the database's container: the engine starts it, the gate lets it be primary", (*bench).crash)
	b.on("lan is cut: a page, a plan, and nothing without a word", (*bench).lanCut)
	b.on("a power switch that lies: no promotion", (*bench).lyingSwitch)
	b.on("host 1 loses what is left of it: page, plan, fence, promotion, application moved", (*bench).hostDies)
	b.on("its power comes back: read-only", (*bench).powerBack)
	b.on("what administrators do by habit", (*bench).habits)
}

// TestLab_DatabaseDies_SealedThroughItsService: the host lives, its database does
// not. The other node's service has the container sealed.
func TestLab_DatabaseDies_SealedThroughItsService(t *testing.T) {
	b := newBench(t)
	b.on("the database is stopped by hand: sealed, replaced", (*bench).sealed)
	b.on("what administrators do by habit", (*bench).habits)
}

// TestLab_DatabaseHangs_SealedWhileItsContainerRuns: the server is there and does
// nothing, so that its container has to be ended before its data can be sealed.
func TestLab_DatabaseHangs_SealedWhileItsContainerRuns(t *testing.T) {
	b := newBench(t)
	b.on("the database hangs: its container is ended, sealed, replaced", (*bench).hangs)
}

func (b *bench) crash() {
	b.nothingLost("db1")
	before := b.must(b.inspect("db1", "{{.RestartCount}}"))
	b.killInit("db1")
	testenv.Wait(b.t, 60*time.Second, "the engine to start db1 again", func() (bool, string) {
		n, err := b.inspect("db1", "{{.RestartCount}}")
		return err == nil && n != before, n
	})
	testenv.Wait(b.t, 60*time.Second, "db1 to be primary again", func() (bool, string) {
		in, err := b.inRecovery("db1")
		return err == nil && !in, fmt.Sprint(in, err)
	})
	if err := b.awaitHealthy(b.ctx, "db1"); err != nil {
		b.t.Fatal(err)
	}
	b.nothingLost("db1")
}

// lan takes host 1 off the network of servers and services, or puts it back.
func (b *bench) lan(connected bool) {
	b.t.Helper()
	for _, s := range []string{"db1", "wd1"} {
		args := []string{"network", "disconnect", "-f", Project + "_lan", b.must(b.Container(b.ctx, s))}
		if connected {
			args = []string{"network", "connect", "--ip", b.address(s), "--alias", s, Project + "_lan", args[4]}
		}
		b.must(b.docker(b.ctx, args...))
	}
}

func (b *bench) lie(host string, lie bool) {
	b.t.Helper()
	body, err := json.Marshal(map[string]any{"host": host, "lie": lie})
	if err != nil {
		b.t.Fatal(err)
	}
	// The switch stands in a network of containers, which the host can reach.
	ip := b.must(b.inspect("power", `{{(index .NetworkSettings.Networks "`+Project+`_front").IPAddress}}`))
	req, err := http.NewRequestWithContext(b.ctx, http.MethodPost, "http://"+ip+":8000/lab/lie", bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.SetBasicAuth("admin", strings.TrimSpace(b.must(b.Exec(b.ctx, "wd2", "cat", "/etc/pg-watchdog/power.password"))))
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		b.t.Fatalf("lie: status %d", resp.StatusCode)
	}
}

// lanCut: nobody on the other side can tell a dead host from a cable. The plan
// says what it would take, and nothing happens until somebody confirms.
func (b *bench) lanCut() {
	b.lan(false)
	b.awaitPage(view.NoPrimary)
	if p := b.plan("wd2", "promote"); p.Fence.Grade != fence.GradePower || p.Target != "db2" {
		b.t.Errorf("plan during the cut: target %s, fence %+v", p.Target, p.Fence)
	}
	if in, err := b.inRecovery("db2"); err != nil || !in {
		b.t.Fatalf("db2 in recovery: %v, %v", in, err)
	}
	b.lan(true)
	if err := b.awaitHealthy(b.ctx, "db1"); err != nil {
		b.t.Fatal(err)
	}
	b.nothingLost("db1")
}

// lyingSwitch: host 1's service is dead and its database frozen, so that only the
// power switch can fence it; and that says off while the host goes on.
func (b *bench) lyingSwitch() {
	b.powerLoss("app1", "wd1", "helper1")
	db1 := b.must(b.Container(b.ctx, "db1"))
	b.must(b.docker(b.ctx, "pause", db1))
	b.lie("db1", true)
	var refused *runbooks.Refusal
	testenv.Wait(b.t, 60*time.Second, "the fence to be what stands in the way", func() (bool, string) {
		refused = b.plan("wd2", "promote").Refusal
		return refused != nil && refused.Gate == "fence", fmt.Sprintf("%+v", refused)
	})
	out, err := b.Watchdog(b.ctx, "wd2", "promote", "--confirm=db2", "--no-input", "--reason", "lab", "--accept-data-loss", "unknown")
	if err == nil {
		b.t.Fatalf("promoted on the word of a power switch that lies:\n%s", out)
	}
	if !strings.Contains(out+err.Error(), "reads off while db1 answers") {
		b.t.Errorf("the lie is not named:\n%s\n%v", out, err)
	}
	if in, err := b.inRecovery("db2"); err != nil || !in {
		b.t.Fatalf("db2 in recovery: %v, %v", in, err)
	}
	b.abortOpen()
	b.lie("db1", false)
	b.must(b.docker(b.ctx, "unpause", db1))
	// A primary that died before anybody had looked at its replication again could
	// not prove that nothing is lost.
	testenv.Wait(b.t, 60*time.Second, "db1 to be healthy, and its standby synchronous", func() (bool, string) {
		p := b.plan("wd2", "promote")
		return p.Refusal != nil && p.Refusal.Gate == "primary" && p.Loss.AtMostBytes != nil, fmt.Sprintf("refused %+v, loss %+v", p.Refusal, p.Loss)
	})
}

// abortOpen aborts what a refused promotion left open, if anything.
func (b *bench) abortOpen() {
	b.t.Helper()
	var doc struct {
		Operations []struct{ ID, State string } `json:"operations"`
	}
	out := b.must(b.Watchdog(b.ctx, "wd2", "ops", "list", "--json"))
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		b.t.Fatalf("%v: %s", err, out)
	}
	for _, o := range doc.Operations {
		if o.State == "stopped" {
			b.must(b.Watchdog(b.ctx, "wd2", "ops", "abort", o.ID))
		}
	}
}

func (b *bench) hostDies() {
	b.powerLoss("db1")
	b.awaitPage(view.NoPrimary)
	var p runbooks.Plan
	testenv.Wait(b.t, 60*time.Second, "a plan that may be confirmed", func() (bool, string) {
		p = b.plan("wd2", "promote")
		return p.Refusal == nil && p.Fence.Grade == fence.GradePower, fmt.Sprintf("grade %s, refused %+v", p.Fence.Grade, p.Refusal)
	})
	b.promote(p)
	if got := b.must(b.inspect("db1", "{{.HostConfig.RestartPolicy.Name}}")); got != "no" && got != "" {
		b.t.Errorf("restart policy of the fenced database: %q", got)
	}
}

// promote confirms a plan at wd2 and looks at what came of it.
func (b *bench) promote(p runbooks.Plan) {
	b.t.Helper()
	for _, step := range []string{runbooks.StepStopApp, runbooks.StepStartApp} {
		if !slices.ContainsFunc(p.Steps, func(l runbooks.StepLine) bool { return l.Name == step }) {
			b.t.Errorf("the plan has no step %s", step)
		}
	}
	out := b.must(b.Watchdog(b.ctx, "wd2", "promote", "--confirm=db2", "--plan="+p.ID, "--no-input", "--reason", "lab"))
	b.t.Logf("promote:\n%s", out)
	if in, err := b.inRecovery("db2"); err != nil || in {
		b.t.Fatalf("db2 in recovery after the promotion: %v, %v", in, err)
	}
	if err := b.AwaitApp(b.ctx, "db2"); err != nil {
		b.t.Fatal(err)
	}
	if got := b.must(b.inspect("app2", "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}")); got != "running unless-stopped" {
		b.t.Errorf("application on host 2: %s", got)
	}
	b.nothingLost("db2")
}

// powerBack: everything of host 1 starts at once, in no order. Its service hears
// of the order that stands against it and obeys it late, which may end the server
// that the gate had let start read-only; the next start is read-only too.
func (b *bench) powerBack() {
	db1 := b.must(b.Container(b.ctx, "db1"))
	for _, s := range []string{"db1", "helper1", "wd1"} {
		b.must(b.docker(b.ctx, "start", b.must(b.Container(b.ctx, s))))
	}
	testenv.Wait(b.t, 60*time.Second, "host 1 to obey the order", func() (bool, string) {
		if in, err := b.inRecovery("db1"); err == nil && !in {
			b.t.Fatal("db1 came back writable")
		}
		st, err := b.Status(b.ctx, "wd1")
		for _, n := range st.Nodes {
			if n.Node == "db1" && n.Fence == "marker" {
				return true, ""
			}
		}
		return false, fmt.Sprint(st.Nodes, err)
	})
	// The marker is set before the server is stopped: wait for the end of both.
	testenv.Wait(b.t, 60*time.Second, "the late seal to be proven", func() (bool, string) {
		out, err := b.run(b.ctx, nil, "sh", "-c", "docker logs "+b.must(b.Container(b.ctx, "wd1"))+" 2>&1 | grep -c 'node is sealed'")
		return err == nil && strings.TrimSpace(out) != "0", out
	})
	b.must(b.docker(b.ctx, "start", db1))
	b.awaitReadOnly("db1", "after its power came back")
	b.nothingLost("db2")
}

func (b *bench) sealed() {
	b.must(b.Compose(b.ctx, "stop", "db1"))
	b.awaitPage(view.NoPrimary)
	p := b.plan("wd2", "promote")
	if p.Fence.Grade != fence.GradeSealed || p.Refusal != nil {
		b.t.Fatalf("plan with the peer's service alive: grade %s, refused %+v", p.Fence.Grade, p.Refusal)
	}
	b.promote(p)
	if got := b.must(b.inspect("db1", "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}")); got != "exited no" {
		b.t.Errorf("the sealed database's container: %s; want it exited, with no restart policy", got)
	}
	if got := b.must(b.inspect("app1", "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}")); got != "exited no" {
		b.t.Errorf("application on host 1: %s", got)
	}
	b.must(b.docker(b.ctx, "start", b.must(b.Container(b.ctx, "db1"))))
	b.awaitReadOnly("db1", "after docker start")
}

// hangs stops every process of the database from the host. A session that the
// client holds is open all the while, and must not commit any more.
func (b *bench) hangs() {
	b.nothingLost("db1")
	b.stopProcesses("db1")
	b.awaitPage(view.NoPrimary)
	p := b.plan("wd2", "promote")
	if p.Fence.Grade != fence.GradeSealed || p.Refusal != nil {
		b.t.Fatalf("plan with a hung primary: grade %s, refused %+v", p.Fence.Grade, p.Refusal)
	}
	if got := b.must(b.inspect("db1", "{{.State.Status}}")); got != "running" {
		b.t.Fatalf("the container of the hung database is %s; the story needs it running", got)
	}
	b.promote(p)
	if got := b.must(b.inspect("db1", "{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}")); got != "exited no" {
		b.t.Errorf("the sealed database's container: %s; want it exited, with no restart policy", got)
	}
	b.must(b.docker(b.ctx, "start", b.must(b.Container(b.ctx, "db1"))))
	b.awaitReadOnly("db1", "after docker start")
	b.nothingLost("db2")
}

// habits are the commands that are typed without thinking on the wrong server.
func (b *bench) habits() {
	for _, args := range [][]string{{"up", "-d"}, {"restart", "db1"}, {"stop", "db1"}, {"start", "db1"}, {"up", "-d", "--force-recreate", "--no-deps", "db1"}} {
		b.must(b.Compose(b.ctx, args...))
		if args[0] == "stop" {
			continue
		}
		b.awaitReadOnly("db1", "after docker-compose "+strings.Join(args, " "))
		if status, database, err := b.Health(b.ctx); err == nil && status == http.StatusOK && database != "db2" {
			b.t.Errorf("after docker-compose %v the application answers from %s", args, database)
		}
	}
	b.nothingLost("db2")
}
