package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/fence/device"
)

// box is one container of the fake engine.
type box struct {
	service, project string
	running          bool
	policy           policy
}

// fakeEngine answers as Docker Engine 20.10 does. A killed container whose
// policy still says so runs again at once: who kills first loses.
type fakeEngine struct {
	mu    sync.Mutex
	boxes map[string]*box
}

func startEngine(t *testing.T) (*fakeEngine, string) {
	t.Helper()
	e := &fakeEngine{boxes: map[string]*box{
		"a1": {"db1", "lab", true, policy{Name: "always"}},
		"a2": {"wd1", "lab", true, policy{Name: "unless-stopped"}},
		"a3": {"helper1", "lab", true, policy{Name: "on-failure", MaximumRetryCount: 3}},
		"a4": {"app1", "lab", false, policy{Name: "unless-stopped"}},
		"a5": {"db1", "lab", true, policy{Name: "no"}}, // of compose run
		"b1": {"db2", "lab", true, policy{Name: "always"}},
		"c1": {"db1", "other", true, policy{Name: "always"}},
	}}
	socket := filepath.Join(t.TempDir(), "e.sock")
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: e}}
	s.Start()
	t.Cleanup(s.Close)
	return e, socket
}

func (e *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if r.URL.Path == "/containers/json" {
		var filters map[string][]string
		_ = json.Unmarshal([]byte(r.FormValue("filters")), &filters)
		list := []map[string]any{}
		for id, b := range e.boxes {
			if filters["label"][0] == "com.docker.compose.project="+b.project && (b.running || r.FormValue("all") == "1") {
				list = append(list, map[string]any{"Id": id, "Labels": map[string]string{"com.docker.compose.service": b.service}})
			}
		}
		_ = json.NewEncoder(w).Encode(list)
		return
	}
	b := e.boxes[parts[1]]
	switch {
	case b == nil:
		w.WriteHeader(http.StatusNotFound)
	case parts[2] == "json":
		_ = json.NewEncoder(w).Encode(map[string]any{"Name": "/" + parts[1], "State": map[string]bool{"Running": b.running}, "HostConfig": map[string]any{"RestartPolicy": b.policy}})
	case parts[2] == "update":
		var asked struct{ RestartPolicy policy }
		_ = json.NewDecoder(r.Body).Decode(&asked)
		b.policy = asked.RestartPolicy
	case parts[2] == "kill" && !b.running:
		w.WriteHeader(http.StatusConflict)
	case parts[2] == "kill":
		b.running = b.policy.automatic()
	case parts[2] == "start":
		b.running = true
	}
}

func (e *fakeEngine) box(id string) box {
	e.mu.Lock()
	defer e.mu.Unlock()
	return *e.boxes[id]
}

// power is a running switch.
type power struct {
	engine       *fakeEngine
	addr, secret string
}

func startPower(t *testing.T) power {
	t.Helper()
	e, socket := startEngine(t)
	secret := filepath.Join(t.TempDir(), "password")
	writeFile(t, secret, "s3cret\n")
	addr, _ := start(t, `listens on (\S+)`, "power", "--listen", "127.0.0.1:0", "--engine", socket, "--project", "lab",
		"--user", "fence", "--password-file", secret, "--state", filepath.Join(t.TempDir(), "state"),
		"--host", "db1=db1,wd1,helper1,app1", "--host", "db2=db2")
	return power{e, addr, secret}
}

// ask makes one call and gives the status and PowerState.
func (p power) ask(t *testing.T, method, path, body, password string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("fence", password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var said struct{ PowerState string }
	_ = json.NewDecoder(res.Body).Decode(&said)
	return res.StatusCode, said.PowerState
}

const db1System = redfishSystems + "/db1"

func (p power) reset(t *testing.T, kind string) {
	t.Helper()
	if code, _ := p.ask(t, "POST", db1System+"/Actions/ComputerSystem.Reset", `{"ResetType":"`+kind+`"}`, "s3cret"); code != http.StatusNoContent {
		t.Fatalf("%s: %d", kind, code)
	}
}

func TestPower_OffAndOn_EveryContainerOfTheHostAndNoOther(t *testing.T) {
	p := startPower(t)
	state := func() string {
		_, s := p.ask(t, "GET", db1System, "", "s3cret")
		return s
	}
	if s := state(); s != "On" {
		t.Fatalf("at first it is %q", s)
	}
	p.reset(t, "ForceOff")
	for _, id := range []string{"a1", "a2", "a3", "a4", "a5"} {
		if b := p.engine.box(id); b.running || b.policy.automatic() {
			t.Errorf("off: %s of %s is %+v", id, b.service, b)
		}
	}
	for _, id := range []string{"b1", "c1"} {
		if b := p.engine.box(id); !b.running || b.policy.Name != "always" {
			t.Errorf("another host's container was touched: %+v", b)
		}
	}
	if s := state(); s != "Off" {
		t.Errorf("with nothing running it is %q", s)
	}
	p.engine.mu.Lock()
	p.engine.boxes["a3"].running = true // somebody started one by hand
	p.engine.mu.Unlock()
	if s := state(); s != "On" {
		t.Errorf("with one container running it is %q", s)
	}
	p.reset(t, "ForceOff")
	p.reset(t, "On")
	for id, want := range map[string]box{
		"a1": {"db1", "lab", true, policy{Name: "always"}},
		"a2": {"wd1", "lab", true, policy{Name: "unless-stopped"}},
		"a3": {"helper1", "lab", false, policy{Name: "on-failure", MaximumRetryCount: 3}},
		"a4": {"app1", "lab", false, policy{Name: "unless-stopped"}},
		"a5": {"db1", "lab", false, policy{Name: "no"}},
	} {
		if b := p.engine.box(id); b != want {
			t.Errorf("on again: %s is %+v, want %+v", id, b, want)
		}
	}
	if s := state(); s != "On" {
		t.Errorf("on again it is %q", s)
	}
}

func TestPower_WhoMayAsk(t *testing.T) {
	p := startPower(t)
	for _, tt := range []struct {
		method, path, body, password string
		want                         int
	}{
		{"GET", redfishRoot, "", "", 200},
		{"GET", redfishRoot + "/", "", "", 200},
		{"GET", redfishSystems, "", "s3cret", 200},
		{"GET", db1System, "", "guess", 401},
		{"GET", redfishSystems + "/db9", "", "s3cret", 404},
		{"POST", db1System + "/Actions/ComputerSystem.Reset", `{"ResetType":"ForceOff"}`, "guess", 401},
		{"POST", db1System + "/Actions/ComputerSystem.Reset", `{"ResetType":"Nmi"}`, "s3cret", 400},
		{"POST", db1System + "/Actions/ComputerSystem.Reset", `{`, "s3cret", 400},
		{"POST", "/lab/lie", `{"host":"db1","lie":true}`, "guess", 401},
		{"POST", "/lab/lie", `{"host":"db9","lie":true}`, "s3cret", 404},
	} {
		if code, _ := p.ask(t, tt.method, tt.path, tt.body, tt.password); code != tt.want {
			t.Errorf("%s %s with %q: %d, want %d", tt.method, tt.path, tt.password, code, tt.want)
		}
	}
	if b := p.engine.box("a1"); !b.running {
		t.Error("it was switched off by none who may")
	}
}

func TestSupply_StartsAgain_StillKnowsThePolicies(t *testing.T) {
	e, socket := startEngine(t)
	state := filepath.Join(t.TempDir(), "state")
	hosts := map[string][]string{"db1": {"db1", "wd1"}}
	for i, act := range []func(*supply, context.Context, string) error{(*supply).cut, (*supply).restore} {
		s, err := newSupply(newEngine(socket), "lab", hosts, state)
		if err != nil {
			t.Fatal(err)
		}
		if err := act(s, t.Context(), "db1"); err != nil {
			t.Fatal(err)
		}
		if b := e.box("a1"); b.running != (i == 1) {
			t.Errorf("after act %d: %+v", i, b)
		}
	}
	if b := e.box("a2"); b.policy.Name != "unless-stopped" || !b.running {
		t.Errorf("on again: %+v", b)
	}
}

// TestPower_RealFenceRedfish drives Debian's program as the product does.
func TestPower_RealFenceRedfish(t *testing.T) {
	if _, err := os.Stat("/usr/sbin/fence_redfish"); err != nil {
		t.Skipf("skipped without Debian's fence-agents: %v", err)
	}
	p := startPower(t)
	_, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	agent, err := device.NewAgent(device.AgentOptions{
		Node: "db1", Program: "fence_redfish", Observer: "db2", Now: time.Now, Poll: 100 * time.Millisecond,
		Options: map[string]string{"ip": "127.0.0.1", "ipport": port, "username": "fence", "systems_uri": db1System, "ssl_insecure": "1"},
		Secrets: map[string]string{"password": p.secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if s, evidence, err := agent.Status(ctx, "db1"); s != fence.PowerOn || err != nil {
		t.Fatalf("status: %s, %v, %s", s, err, evidence.Text)
	}
	lie := func(body string) {
		if code, _ := p.ask(t, "POST", "/lab/lie", body, "s3cret"); code != http.StatusNoContent {
			t.Fatalf("lie: %d", code)
		}
	}
	lie(`{"host":"db1","lie":true}`)
	out := agent.Off(ctx, fence.Order{Node: "db1"})
	if b := p.engine.box("a1"); out.Result != fence.ResultDone || !b.running {
		t.Errorf("lying: %s, %s, container %+v; want it believed and nothing done", out.Result, out.Problem, b)
	}
	lie(`{"host":"db1","lie":false}`)
	if s, _, err := agent.Status(ctx, "db1"); s != fence.PowerOn || err != nil {
		t.Errorf("honest again: %s, %v", s, err)
	}
	out = agent.Off(ctx, fence.Order{Node: "db1"})
	if b := p.engine.box("a1"); out.Result != fence.ResultDone || out.Grade != fence.GradePower || b.running {
		t.Errorf("off: %s/%s, %s, container %+v", out.Result, out.Grade, out.Problem, b)
	}
	if s, _, err := agent.Status(ctx, "db1"); s != fence.PowerOff || err != nil {
		t.Errorf("after off: %s, %v", s, err)
	}
	if testing.Verbose() {
		for _, e := range out.Evidence {
			t.Log(e.Text)
		}
	}
}
