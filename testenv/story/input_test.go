package story

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/gossip"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// TestStory_BadInput_IsRefusedInWords gives the real program and the real
// service what they must not take.
func TestStory_BadInput_IsRefusedInWords(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	t.Run("configuration: exit 3 with place, caret and hint", s.on((*site).badConfiguration))
	t.Run("command line: exit 2", s.on((*site).badCommandLine))
	t.Run("absurd report of a peer: rejected and counted", s.on((*site).absurdReport))
	t.Run("wrong keys: not let in, both sides say so once", s.on((*site).wrongKeys))
	t.Run("damaged journal: nothing acts", s.on((*site).damagedJournal))
	t.Run("damaged spool: the service watches on and says so by mail", s.on((*site).damagedSpool))
	t.Run("socket path that is no socket: left alone", s.on((*site).noSocket))
}

// other gives a node that reads another configuration file.
func (s *site) other(node, name, text string) *demo.SiteNode {
	s.t.Helper()
	n := *s.Node(node)
	n.Config = filepath.Join(n.Home, name)
	if text != "" {
		s.write(n.Config, text)
	}
	return &n
}

func (s *site) badConfiguration() {
	good := s.read(s.Node("db1").Config)
	lines := strings.Count(good, "\n")
	open := filepath.Join(s.Node("db1").Home, "open.key")
	s.write(open, s.read(filepath.Join(s.Node("db1").Home, "gossip.key")))
	if err := os.Chmod(open, 0o644); err != nil {
		s.t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"unknown.yaml": {good + "plam: {valid_for: 3m}\n", []string{fmt.Sprintf(":%d:1:", lines+1), "plam", "^", "hint: "}},
		"type.yaml":    {good + "plan: {valid_for: [3]}\n", []string{fmt.Sprintf(":%d:", lines+1), "plan.valid_for", "^", "hint: "}},
		"missing.yaml": {"", []string{"missing.yaml", "hint: "}},
		"secret.yaml": {strings.Replace(good, "gossip_key_file: gossip.key", "gossip_key_file: open.key", 1),
			[]string{"keys.gossip_key_file", "open.key", "^", "hint: ", "chmod"}},
	} {
		n := s.other("db1", name, c.text)
		for _, command := range [][]string{{"run"}, {"config", "check"}} {
			out, errs, exit := s.Run(limited(s.t), n, command...)
			if exit != 3 {
				s.t.Errorf("%v with %s: exit %d: %s%s", command, name, exit, out, errs)
			}
			for _, w := range c.want {
				if !strings.Contains(errs, w) {
					s.t.Errorf("%v with %s does not say %q:\n%s", command, name, w, errs)
				}
			}
		}
		out, _, exit := s.Run(limited(s.t), n, "config", "check", "--json")
		wantsErrorJSON(s.t, out, exit, 3)
	}
}

// wantsErrorJSON wants a failure told as one JSON document on standard output.
func wantsErrorJSON(t *testing.T, out string, exit, want int) {
	t.Helper()
	var doc struct {
		V     int `json:"v"`
		Error struct {
			Exit   int    `json:"exit"`
			Reason string `json:"reason"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || exit != want || doc.V != 1 || doc.Error.Exit != want || doc.Error.Reason == "" {
		t.Errorf("want an error with exit %d as JSON, got exit %d (%v): %s", want, exit, err, out)
	}
}

func (s *site) badCommandLine() {
	if a := s.wants(2, "db1", "promot"); !strings.Contains(a.err, `did you mean "promote"`) {
		s.t.Errorf("unknown command: %s", a)
	}
	if a := s.wants(2, "db1", "status", "--jsn"); !strings.Contains(a.err, "--json") {
		s.t.Errorf("unknown flag: %s", a)
	}
	a := s.wants(2, "db1", "release", "--json")
	wantsErrorJSON(s.t, a.out, a.exit, 2)
	a = s.wants(2, "db1", "release", "db9", "--json")
	if !strings.Contains(a.out, "db9") {
		s.t.Errorf("unknown node: %s", a)
	}
}

// absurdReport speaks with the right gossip key in the name of a stopped node.
func (s *site) absurdReport() {
	if err := s.StopService(s.Node("db2")); err != nil {
		s.t.Fatal(err)
	}
	one, two := s.Node("db1"), s.Node("db2")
	keys, err := control.LoadGossipKeys(filepath.Join(two.Home, "gossip.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	at := func(n *demo.SiteNode) string { return fmt.Sprintf("127.0.0.1:%d", n.Gossip) }
	g, err := gossip.New(gossip.Options{Node: "db2", Label: "demo", Key: keys[0], Bind: at(two),
		Peers: map[string]string{"db1": at(one)}, Log: zap.NewNop()})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	for i, report := range []string{
		`{"v":1,"node":"db2","boot":"b","seq":9,"servers":[{"node":"db2","verdict":"healthy","role":"primary","timeline":4000000000,"answered":1}]}`,
		`{"v":1,"node":"db1","boot":"b","seq":9,"servers":[]}`, // in the name of the listener
		`{"v":1,"node":"db2","boot":"b","seq":9,"durable":{"node":"db2","epoch":{"number":18446744073709551615,"id":"x","primary":"db2"}}}`,
		`{"v":7}`,
		"\x00\x01 no report at all",
	} {
		if err := g.Publish([]byte(report)); err != nil {
			s.t.Fatal(err)
		}
		testenv.Wait(s.t, 20*time.Second, fmt.Sprintf("report %d is rejected and counted", i), func() (bool, string) {
			n := s.metric("db1", "reports_rejected_total")
			return n == fmt.Sprint(i+1), n
		})
	}
	cancel()
	if err := <-done; err != nil {
		s.t.Error(err)
	}
	st, err := s.status("db1")
	if err != nil || st.Epoch.Number != 1 {
		s.t.Errorf("epoch %+v, %v", st.Epoch, err)
	}
	s.boot("db2")
	s.awaitState("db1", "HEALTHY")
}

// metric reads one value of a node's metrics page.
func (s *site) metric(node, name string) string {
	s.t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", s.Node(node).Web))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(body)) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), " "); found && !strings.HasPrefix(line, "#") && strings.HasSuffix(key, name) {
			return value
		}
	}
	return name + " is not there"
}

// wrongKeys gives db2 new keys that nobody has been told of.
func (s *site) wrongKeys() {
	two := s.Node("db2")
	if err := s.KillService(two); err != nil { // it says no farewell
		s.t.Fatal(err)
	}
	good := map[string]string{}
	for _, name := range []string{"gossip.key", "node.key"} {
		path := filepath.Join(two.Home, name)
		good[path] = s.read(path)
		if err := os.Remove(path); err != nil {
			s.t.Fatal(err)
		}
		s.wants(0, "db2", "key", strings.TrimSuffix(name, ".key"), path)
	}
	from := map[string]int{"db1": len(s.Node("db1").Log(1 << 22)), "db2": len(two.Log(1 << 22))}
	said := func(node string) string { return s.Node(node).Log(1 << 22)[from[node]:] }
	s.boot("db2")
	words := map[string][]string{
		"db1": {"gossip key is not ours", "its key is not pinned here"},
		"db2": {"gossip key is not ours", "handshake with node refused"},
	}
	s.awaitCondition("db1", "PeerUnreachable") // several tries later
	for node, list := range words {
		for _, w := range list {
			testenv.Wait(s.t, 20*time.Second, node+" says: "+w, func() (bool, string) { return strings.Contains(said(node), w), said(node) })
			if n := strings.Count(said(node), w); n != 1 {
				s.t.Errorf("%s says %q %d times:\n%s", node, w, n, said(node))
			}
		}
	}
	if a := s.wants(4, "db1", "release", "db2"); !strings.Contains(a.err, "db2") {
		s.t.Errorf("a command that db2 would have to carry out: %s", a)
	}
	if err := s.StopService(two); err != nil {
		s.t.Fatal(err)
	}
	for path, text := range good {
		s.write(path, text)
	}
	s.boot("db2")
	s.awaitState("db1", "HEALTHY")
}

func (s *site) damagedJournal() {
	files, err := filepath.Glob(filepath.Join(s.Node("db1").StateDir, "operations", "*.jsonl"))
	if err != nil || len(files) != 1 {
		s.t.Fatalf("journals of db1: %v, %v", files, err)
	}
	if err := s.StopService(s.Node("db1")); err != nil {
		s.t.Fatal(err)
	}
	good := s.read(files[0])
	half := good[:len(good)-20]
	s.write(files[0], half)
	s.boot("db1")
	name := filepath.Base(files[0])
	a := s.wants(5, "db1", "fence", "db2", "--confirm=db2", "--no-input")
	if !strings.Contains(a.out+a.err, name) {
		s.t.Errorf("the refusal does not name the journal: %s", a)
	}
	for _, node := range []string{"db1", "db2"} {
		if c := s.awaitCondition(node, "StateUnreadable"); !strings.Contains(c.Text, name) {
			s.t.Errorf("%s does not name the journal: %s", node, c.Text)
		}
	}
	if err := s.StopService(s.Node("db1")); err != nil {
		s.t.Fatal(err)
	}
	if s.read(files[0]) != half {
		s.t.Error("the damaged journal was overwritten")
	}
	s.write(files[0], good)
	s.boot("db1")
	s.awaitState("db1", "HEALTHY")
}

func (s *site) damagedSpool() {
	one := s.Node("db1")
	if err := s.StopService(one); err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(one.StateDir, state.DBFile)
	good := s.read(path)
	bad := good[:8192] + strings.Repeat("x", len(good)-8192)
	s.write(path, bad)
	s.boot("db1")
	if c := s.awaitCondition("db1", "NotificationFailing"); !strings.Contains(strings.Join(c.Evidence, " "), path) {
		s.t.Errorf("the file is not named: %+v", c)
	}
	testenv.Wait(s.t, 20*time.Second, "both recipients are told", func() (bool, string) {
		now := s.begun("NotificationFailing", 0)
		return len(now) >= 2, subjects(s.mails(0))
	})
	if err := s.StopService(one); err != nil {
		s.t.Fatal(err)
	}
	if s.read(path) != bad {
		s.t.Error("the damaged file was overwritten")
	}
	s.write(path, good)
	s.boot("db1")
	s.awaitState("db1", "HEALTHY")
}

func (s *site) noSocket() {
	one := s.Node("db1")
	if err := s.StopService(one); err != nil {
		s.t.Fatal(err)
	}
	a := s.wants(4, "db1", "status")
	if !strings.Contains(a.err, "hint: ") {
		s.t.Errorf("a service that is down: %s", a)
	}
	a = s.wants(4, "db1", "status", "--json")
	wantsErrorJSON(s.t, a.out, a.exit, 4)
	s.write(one.Socket, "somebody's file")
	a = s.wants(1, "db1", "run")
	if !strings.Contains(a.err, "is not a socket; it is left alone") || !strings.Contains(a.err, one.Socket) {
		s.t.Errorf("run with a file in the socket's place: %s", a)
	}
	if s.read(one.Socket) != "somebody's file" {
		s.t.Error("the file was changed")
	}
	if err := os.Remove(one.Socket); err != nil {
		s.t.Fatal(err)
	}
	s.boot("db1")
}
