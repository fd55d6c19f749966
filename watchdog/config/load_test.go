package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const minimal = `version: 1
cluster: gestionale
node: db1
nodes:
  db1: {address: 10.0.0.11}
  db2: {address: 10.0.0.12}
postgres:
  data_dir: /var/lib/postgresql/15/main
`

// folder makes a folder with both key files and gives the configuration's path.
func folder(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"node.key", "gossip.key"} {
		write(t, filepath.Join(dir, name), "secret-of-"+name+"\n", 0o600)
	}
	path := filepath.Join(dir, "watchdog.yaml")
	write(t, path, text, 0o644)
	return path
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask was
		t.Fatal(err)
	}
}

func mustLoad(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Load(folder(t, text))
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	return c
}

func TestLoad_MinimalFile_FillsDefaults(t *testing.T) {
	c := mustLoad(t, minimal)
	if c.Postgres.Unit != "postgresql@15-main.service" {
		t.Errorf("unit = %q, want the one that follows from Debian's data directory", c.Postgres.Unit)
	}
	if c.Helper.Path() != DefaultHelperSocket {
		t.Errorf("helper = %q", c.Helper.Path())
	}
	if c.Probes.Position != 500*time.Millisecond || c.Loss.Allowed != 0 || c.Gate.PeerWait != time.Minute {
		t.Errorf("defaults differ from DESIGN: %+v %v %v", c.Probes, c.Loss, c.Gate)
	}
	want := []Peer{{Name: "db2", Control: "10.0.0.12:7947", Gossip: "10.0.0.12:7946"}}
	if diff := cmp.Diff(want, c.Peers()); diff != "" {
		t.Error(diff)
	}
	if len(c.Warnings) != 2 {
		t.Errorf("warnings = %q, want one per missing key", c.Warnings)
	}
	if got, err := c.Keys.GossipKeyFile.Read(); err != nil || got != "secret-of-gossip.key" {
		t.Errorf("Read = %q, %v", got, err)
	}
}

func TestLoad_OneFileForBothNodes_OnlyNodeDiffers(t *testing.T) {
	c := mustLoad(t, strings.Replace(minimal, "node: db1", "node: db2", 1))
	if got := c.Target("db2").Host; got != "/var/run/postgresql" {
		t.Errorf("local target = %q, want the socket directory", got)
	}
	if got := c.Target("db1"); got.Host != "10.0.0.11" || got.Port != 5432 || got.User != "watchdog_mon" {
		t.Errorf("remote target = %+v", got)
	}
	if got := c.ActTarget(); got.User != "watchdog_act" || got.Host != "/var/run/postgresql" {
		t.Errorf("act target = %+v", got)
	}
	if got := c.ReplicationTarget("db2"); got.Host != "10.0.0.12" || got.Database != "" {
		t.Errorf("replication target = %+v, want the network and no database", got)
	}
	if got := c.SlotFor("db-1"); got != "watchdog_db_1" {
		t.Errorf("slot = %q", got)
	}
}

func TestLoad_Witness_NeedsNoPostgres(t *testing.T) {
	text := `cluster: gestionale
node: wit
nodes:
  db1: {address: 10.0.0.11}
  db2: {address: 10.0.0.12}
  wit: {address: 10.0.0.13, witness: true}
`
	c := mustLoad(t, text)
	if got := c.Servers(); !cmp.Equal(got, []string{"db1", "db2"}) {
		t.Errorf("servers = %v", got)
	}
	if got := c.ActTarget(); got.Host != "" {
		t.Errorf("a witness acts on %q", got.Host)
	}
}

func TestLoad_CredentialsDirectory_ComesFirstAndMayShowGroupBits(t *testing.T) {
	path := folder(t, minimal)
	creds := t.TempDir()
	write(t, filepath.Join(creds, "gossip.key"), "from systemd", 0o440)
	c, err := LoadWith(path, Options{CredentialsDir: creds})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Keys.GossipKeyFile.Path; got != filepath.Join(creds, "gossip.key") {
		t.Errorf("path = %q", got)
	}
	if got := c.Keys.NodeKeyFile.Path; filepath.Dir(got) != filepath.Dir(path) {
		t.Errorf("path = %q, want it beside the configuration", got)
	}
}

func TestLoad_SkipSecrets_OpensNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watchdog.yaml")
	write(t, path, minimal, 0o644)
	if _, err := LoadWith(path, Options{SkipSecrets: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadWith(path, Options{}); err == nil {
		t.Fatal("missing keys were accepted")
	}
}

func TestRead_SecretOpenedUpAfterLoad_Refuses(t *testing.T) {
	c := mustLoad(t, minimal)
	if err := os.Chmod(c.Keys.GossipKeyFile.Path, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Keys.GossipKeyFile.Read(); err == nil {
		t.Errorf("Read gave %q", got)
	}
}

// TestExamples_LoadAgain holds both examples to the program: they load, and the
// full one names every key and shows defaults as they are.
func TestExamples_LoadAgain(t *testing.T) {
	for _, full := range []bool{false, true} {
		text := Example{Cluster: "negozio", Node: "db2", Address: map[string]string{"db2": "192.0.2.7"}, Full: full}.Text()
		c := mustLoad(t, text)
		if c.Cluster != "negozio" || c.Node != "db2" || c.Nodes["db2"].Address != "192.0.2.7" {
			t.Errorf("full=%v: %v, %q: flags did not arrive", full, c, c.Nodes["db2"].Address)
		}
	}
}

func TestExampleFull_NamesEveryKeyWithItsDefault(t *testing.T) {
	d := newDecoder("example", []byte(exampleFull))
	got := Defaults()
	d.fill(d.parse([]byte(exampleFull)), got)
	if err := d.err(); err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Node, want.Nodes = "db1", map[string]Node{"db1": {}}
	want.complete()
	for path := range flatten(want) {
		if strings.HasPrefix(path, "nodes.") {
			continue
		}
		if _, named := d.at[path]; !named {
			t.Errorf("%s is not in the example", path)
		}
	}
	for _, name := range HoldNames() {
		if _, named := d.at["hold."+name]; !named {
			t.Errorf("hold.%s is not in the example", name)
		}
	}
	got.complete()
	if diff := cmp.Diff(want.Limits(), got.Limits()); diff != "" {
		t.Errorf("holds of the example are not the defaults: %s", diff)
	}
	for _, c := range Diff(want, got) {
		line := d.find(c.Path).line
		shown := line > 0 && strings.Contains(d.lines[line-1], "# example")
		if !shown && !strings.HasPrefix(c.Path, "nodes.") && !strings.HasPrefix(c.Path, "hold.") {
			t.Errorf("%v: differs from the default and is not marked as an example", c)
		}
	}
}

func TestShow_LoadsAgainUnchangedAndHoldsNoSecret(t *testing.T) {
	path := folder(t, exampleFull)
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(path, []byte(c.Show()), Options{})
	if err != nil {
		t.Fatalf("the shown configuration does not load: %v", err)
	}
	if changes := Diff(c, again); len(changes) != 0 {
		t.Errorf("shown and loaded again, it differs: %v", changes)
	}
	js, err := c.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{c.Show(), string(js), c.String()} {
		if strings.Contains(text, "secret-of-") {
			t.Errorf("a secret is shown: %s", text)
		}
	}
}

func TestDiff_TellsWhatNeedsARestart(t *testing.T) {
	a := mustLoad(t, minimal)
	b := mustLoad(t, minimal+"hold: {no_primary: 2s}\nlisten: {web: off}\nlog: {level: debug}\n")
	changes := Diff(a, b)
	var got []string
	for _, c := range changes {
		if c.Path != "keys" {
			got = append(got, c.String())
		}
	}
	want := []string{
		"hold.no_primary: (not set) -> 2s",
		`listen.web: "127.0.0.1:8432" -> "off" (needs a restart)`,
		`log.level: "info" -> "debug"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(NeedsRestart(changes)); n != 1 {
		t.Errorf("%d changes need a restart, want 1", n)
	}
}

// A change that the running service does not take over must say so: what a
// reload applies is exactly hold, thresholds, loss, plan, gate and log.level.
func TestDiff_NothingIsLiveThatAReloadDoesNotApply(t *testing.T) {
	a := mustLoad(t, minimal)
	for text, restart := range map[string]bool{
		"hold: {replication_down: 2s}\n":            false,
		"thresholds: {lag: {time_page: 9m}}\n":      false,
		"thresholds: {conflicts: 3}\n":              false,
		"loss: {allowed: 16kB}\n":                   false,
		"plan: {valid_for: 90s}\n":                  false,
		"gate: {peer_wait: 9s}\n":                   false,
		"log: {level: debug}\n":                     false,
		"hold_down: 9s\n":                           true,
		"alerts: {take_over: 9s}\n":                 true,
		"app: {health_url: http://127.0.0.1:1/h}\n": true,
		"probes: {misses: 9}\n":                     true,
		"log: {format: json}\n":                     true,
	} {
		changes := Diff(a, mustLoad(t, minimal+text))
		if len(changes) == 0 || (len(NeedsRestart(changes)) > 0) != restart {
			t.Errorf("%q: %v, want restart %t", text, changes, restart)
		}
	}
}

func TestLoad_ErrorsAsFindsTheFirstOfSeveral(t *testing.T) {
	_, err := Load(folder(t, minimal+"hold: {no_primary: soon}\nloss: {allowed: 5}\n"))
	var es Errors
	if !errors.As(err, &es) || len(es) != 2 {
		t.Fatalf("err = %v, want two findings", err)
	}
	var e *Error
	if !errors.As(err, &e) || e.Path != "hold.no_primary" {
		t.Fatalf("first finding = %+v", e)
	}
}

func TestLoad_OnlyNodeKey_NothingElseKeepsTheGateFromDeciding(t *testing.T) {
	mail := "alerts:\n  email: {to: a@example.org, from: b@example.org, smtp: \"mail.example.org:587\", username: u, password_file: lost, ca_file: /nonexistent/ca.pem}\n"
	path := folder(t, minimal+mail)
	if err := os.Remove(filepath.Join(filepath.Dir(path), "gossip.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil {
		t.Error("a service starts without its gossip key, mail password and authority")
	}
	c, err := LoadWith(path, Options{OnlyNodeKey: true})
	if err != nil {
		t.Fatalf("the gate cannot decide: %v", err)
	}
	if want := filepath.Join(filepath.Dir(path), "node.key"); c.Keys.NodeKeyFile.Path != want {
		t.Errorf("node key at %q, want %q", c.Keys.NodeKeyFile.Path, want)
	}
	if err := os.Chmod(c.Keys.NodeKeyFile.Path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadWith(path, Options{OnlyNodeKey: true}); err == nil || !strings.Contains(err.Error(), nodeKeyPath) {
		t.Errorf("a key that everybody may read: %v", err)
	}
}
