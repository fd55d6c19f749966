package device

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"context"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

const secret = `hunter two="quoted"`

type rig struct {
	agent *Agent
	state string // the sham's power switch
	log   string // how the sham was called
}

func newRig(t *testing.T, program, behaviour string) rig {
	t.Helper()
	dir := t.TempDir()
	r := rig{state: filepath.Join(dir, "power"), log: filepath.Join(dir, "calls")}
	password := filepath.Join(dir, "password")
	for path, text := range map[string]string{r.state: "on", password: secret + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	agent, err := NewAgent(AgentOptions{
		Node: "db1", Program: program, Observer: "db2", Poll: 10 * time.Millisecond, Now: time.Now,
		Options: map[string]string{"state": r.state, "log": r.log, "behaviour": behaviour},
		Secrets: map[string]string{"password": password},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.agent = agent
	return r
}

var agentOrder = fence.Order{Operation: "op-7", Node: "db1", Issuer: "db2"}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func evidenceText(o fence.Outcome) string {
	var b strings.Builder
	for _, e := range o.Evidence {
		b.WriteString(e.Observer + ": " + e.Text + "\n")
	}
	return b.String()
}

func TestAgent_SecretNeverInArgumentsOrEnvironment(t *testing.T) {
	r := newRig(t, sham(t, "fence_sham"), "ok")
	t.Setenv("PGPASSWORD", "of-the-service")
	out := r.agent.Off(within(t, time.Minute), agentOrder)
	if out.Result != fence.ResultDone || out.Grade != fence.GradePower {
		t.Fatalf("got %+v", out)
	}
	calls, err := os.ReadFile(r.log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(calls)), "\n")
	for _, l := range lines {
		before, _, _ := strings.Cut(l, "password=")
		if !strings.Contains(before, `args=[]`) || strings.Contains(before, "hunter") || strings.Contains(before, "of-the-service") {
			t.Errorf("leaks: %s", l)
		}
		if !strings.Contains(before, `LC_ALL=C`) {
			t.Errorf("language not fixed: %s", l)
		}
	}
	// The negative above proves something only if the secret did go in.
	if !strings.Contains(lines[0], "password="+strconv.Quote(secret)) {
		t.Errorf("the agent did not get its password: %s", lines[0])
	}
}

func TestAgent_ChattyFailure_OutputCappedCleanAndRedacted(t *testing.T) {
	r := newRig(t, sham(t, "fence_sham"), "leak")
	out := r.agent.Off(within(t, time.Minute), agentOrder)
	if out.Result != fence.ResultNotDone {
		t.Fatalf("got %s: %s", out.Result, out.Problem)
	}
	for _, text := range []string{out.Problem, evidenceText(out)} {
		if !strings.Contains(text, "***") {
			t.Errorf("nothing was redacted, so nothing was tested: %.80s", text)
		}
		if strings.Contains(text, "hunt") || strings.Contains(text, "quoted") {
			t.Errorf("part of the secret shows: %q", text)
		}
		if strings.ContainsAny(text, "\x1b\x00\x7f") {
			t.Errorf("control characters are left: %q", text)
		}
	}
	if n := len(out.Problem); n > outputBytes+200 {
		t.Errorf("problem has %d bytes", n)
	}
}

func TestAgent_Hangs_KilledWithItsChildren(t *testing.T) {
	r := newRig(t, sham(t, "fence_sham"), "hang")
	if _, _, err := r.agent.Status(within(t, time.Minute), "db1"); err != nil {
		t.Fatal(err) // warms the metadata up, so that the limit below is spent in action=off
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan fence.Outcome, 1)
	go func() { done <- r.agent.Off(ctx, agentOrder) }()
	var pid int
	testenv.Wait(t, 30*time.Second, "the agent's child", func() (bool, string) {
		raw, err := os.ReadFile(r.state + ".pid")
		if err != nil {
			return false, err.Error()
		}
		pid, err = strconv.Atoi(string(raw))
		return err == nil, string(raw)
	})
	if !alive(pid) {
		t.Fatal("the child was not there to begin with")
	}
	cancel()
	if out := <-done; out.Result != fence.ResultUnknown || out.Grade != fence.GradeNone {
		t.Fatalf("a hang gave %s/%s", out.Result, out.Grade)
	}
	testenv.Wait(t, 10*time.Second, "the end of the agent's child", func() (bool, string) {
		return !alive(pid), "alive"
	})
}

func TestAgent_CannotSwitchOff_RefusedUnasked(t *testing.T) {
	r := newRig(t, sham(t, "fence_cycler"), "ok")
	out := r.agent.Off(within(t, time.Minute), agentOrder)
	if out.Result != fence.ResultNotDone || !strings.Contains(out.Problem, "has no action off") {
		t.Fatalf("got %s: %s", out.Result, out.Problem)
	}
	if raw, err := os.ReadFile(r.state); err != nil || string(raw) != "on" {
		t.Fatalf("power is %q, %v: it was switched", raw, err)
	}
}

func TestAgent_OtherNode_Refused(t *testing.T) {
	r := newRig(t, sham(t, "fence_sham"), "ok")
	if out := r.agent.Off(t.Context(), fence.Order{Operation: "op", Node: "db2"}); out.Result != fence.ResultNotDone {
		t.Fatalf("got %+v", out)
	}
	if _, err := os.Stat(r.log); err == nil {
		t.Fatal("the agent was run for another node")
	}
}

func TestAgent_SecretFileUnfit_NothingRun(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"missing":        os.Remove,
		"world readable": func(p string) error { return os.Chmod(p, 0o644) },
		"empty":          func(p string) error { return os.WriteFile(p, []byte("\n"), 0o600) },
		"two lines":      func(p string) error { return os.WriteFile(p, []byte("a\naction=on\n"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, sham(t, "fence_sham"), "ok")
			if err := spoil(r.agent.o.Secrets["password"]); err != nil {
				t.Fatal(err)
			}
			out := r.agent.Off(within(t, time.Minute), agentOrder)
			if out.Result != fence.ResultNotDone || !strings.Contains(out.Problem, "password") {
				t.Fatalf("got %s: %s", out.Result, out.Problem)
			}
			if raw, err := os.ReadFile(r.state); err != nil || string(raw) != "on" {
				t.Fatalf("power is %q, %v", raw, err)
			}
		})
	}
}

func TestNewAgent_OptionsThatCannotBeAFence_Refused(t *testing.T) {
	good := AgentOptions{Node: "db1", Program: "fence_ipmilan", Options: map[string]string{"ip": "10.0.0.9", "method": "onoff"}, Now: time.Now}
	if _, err := NewAgent(good); err != nil {
		t.Fatalf("good options refused: %v", err)
	}
	for name, spoil := range map[string]func(*AgentOptions){
		"power cycle":          func(o *AgentOptions) { o.Options["method"] = "cycle" },
		"own action":           func(o *AgentOptions) { o.Options["action"] = "reboot" },
		"password in the open": func(o *AgentOptions) { o.Options["password"] = "x" },
		"passwd in the open":   func(o *AgentOptions) { o.Options["passwd"] = "x" },
		"password by script":   func(o *AgentOptions) { o.Options["password_script"] = "/bin/x" },
		"second line":          func(o *AgentOptions) { o.Options["ip"] = "10.0.0.9\naction=on" },
		"name with a line":     func(o *AgentOptions) { o.Options["ip\nx"] = "1" },
		"relative program":     func(o *AgentOptions) { o.Program = "./fence_ipmilan" },
		"climbing program":     func(o *AgentOptions) { o.Program = "/usr/sbin/../bin/sh" },
		"a shell":              func(o *AgentOptions) { o.Program = "sh" },
		"no node":              func(o *AgentOptions) { o.Node = "" },
		"relative secret":      func(o *AgentOptions) { o.Secrets = map[string]string{"password": "pw"} },
		"secret twice": func(o *AgentOptions) {
			o.Options["plug"] = "1"
			o.Secrets = map[string]string{"plug": "/x"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			o.Options = maps.Clone(good.Options)
			spoil(&o)
			if _, err := NewAgent(o); err == nil {
				t.Fatalf("accepted %+v", o)
			}
		})
	}
}

// The real thing: the dummy agent of Debian's fence-agents, whose power switch
// is a file and whose protocol code is that of all the others.
func TestAgent_DebianFenceDummy(t *testing.T) {
	if _, err := exec.LookPath("/usr/sbin/fence_dummy"); err != nil {
		t.Skip("fence-agents is not installed")
	}
	state := filepath.Join(t.TempDir(), "power")
	if err := os.WriteFile(state, []byte("on"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := NewAgent(AgentOptions{Node: "db1", Program: "fence_dummy", Options: map[string]string{"status_file": state},
		Observer: "db2", Poll: 50 * time.Millisecond, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if s, _, err := a.Status(within(t, time.Minute), "db1"); s != fence.PowerOn || err != nil {
		t.Fatalf("before: %s, %v", s, err)
	}
	if out := a.Off(within(t, time.Minute), agentOrder); out.Result != fence.ResultDone || out.Grade != fence.GradePower {
		t.Fatalf("off: %+v", out)
	}
	if s, _, err := a.Status(within(t, time.Minute), "db1"); s != fence.PowerOff || err != nil {
		t.Fatalf("after: %s, %v", s, err)
	}
	if err := os.WriteFile(state, []byte("smoke"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, _, err := a.Status(within(t, time.Minute), "db1"); s != fence.PowerUnknown || err == nil {
		t.Fatalf("nonsense from the device: %s, %v", s, err)
	}
}
