package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// with gives the minimal file with one part replaced.
func with(old, replacement string) string { return strings.Replace(minimal, old, replacement, 1) }

// badInputs are the slips that an operator makes; each has its whole message
// in testdata, golden, so that a change of wording is seen.
var badInputs = map[string]string{
	"unknown_key":             with("data_dir:", "datadir:"),
	"unknown_key_top":         minimal + "quorum: {votes: 3}\n",
	"wrong_type_text":         with("gestionale", "42"),
	"wrong_type_number":       minimal + "probes: {misses: many}\n",
	"wrong_type_bool":         minimal + "alerts:\n  log: yes\n",
	"wrong_type_group":        minimal + "listen: 7946\n",
	"wrong_type_list":         minimal + "probes:\n  position: [1s]\n",
	"duration_without_unit":   minimal + "gate:\n  peer_wait: 60\n",
	"duration_unreadable":     minimal + "hold_down: soon\n",
	"size_without_unit":       minimal + "loss: {allowed: 16}\n",
	"size_unknown_unit":       minimal + "loss: {allowed: 16 blocks}\n",
	"duplicate_key":           minimal + "cluster: other\n",
	"duplicate_node":          with("  db2: {address: 10.0.0.12}", "  db1: {address: 10.0.0.12}"),
	"duplicate_address":       with("10.0.0.12", "10.0.0.11"),
	"duplicate_node_key":      with("db1: {address: 10.0.0.11}\n  db2: {address: 10.0.0.12}", "db1: {address: 10.0.0.11, key: \"wdpub-ed25519:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}\n  db2: {address: 10.0.0.12, key: \"wdpub-ed25519:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}"),
	"self_not_in_nodes":       with("node: db1", "node: db11"),
	"node_missing":            with("node: db1\n", ""),
	"one_server":              with("  db2: {address: 10.0.0.12}\n", "  db2: {address: 10.0.0.12, witness: true}\n"),
	"relation_deadline":       minimal + "probes:\n  sql: 1s\n  sql_deadline: 3s\n",
	"relation_gossip":         minimal + "gossip: {probe: 200ms}\n",
	"relation_take_over":      minimal + "gossip: {report: 8s}\n",
	"relation_lag":            minimal + "thresholds:\n  lag: {bytes_warning: 1GiB, time_page: 20s}\n",
	"relation_thresholds":     minimal + "thresholds:\n  disk: {free_warning: 4}\n  connections: {page: 60}\n  clock_skew_page: 1s\n",
	"threshold_range":         minimal + "thresholds:\n  slots: {page: 130}\n  password_ends: 40s\n",
	"position_floor":          minimal + "probes:\n  position: 50ms\n",
	"listen_port":             minimal + "listen:\n  control: 0.0.0.0:7000\n",
	"state_in_data":           minimal + "state_dir: /var/lib/postgresql/15/main/watchdog\n",
	"unknown_hold":            minimal + "hold: {no_primry: 2s}\n",
	"inline_password":         minimal + "alerts:\n  email:\n    password: hunter2\n",
	"inline_fence_password":   with("db2: {address: 10.0.0.12}", "db2: {address: 10.0.0.12, fence: [{type: agent, agent: fence_ipmilan, options: {passwd: hunter2}}]}"),
	"health_url_password":     minimal + "app: {health_url: \"http://u:hunter2@127.0.0.1/\"}\n",
	"mail_tls_none":           minimal + "alerts: {email: {to: a@example.org, from: b@example.org, smtp: \"mail.example.org:25\", tls: none}}\n",
	"mail_address":            minimal + "alerts: {email: {to: \"a@example.org, nobody\", from: b@example.org, smtp: \"127.0.0.1:25\"}}\n",
	"mail_from":               minimal + "alerts: {email: {to: a@example.org, from: \"watch dog@example\", smtp: \"127.0.0.1:25\"}}\n",
	"mail_port":               minimal + "alerts: {email: {to: a@example.org, from: b@example.org, smtp: \"mail.example.org:submission\"}}\n",
	"mail_ca_missing":         minimal + "alerts:\n  email: {to: a@example.org, from: b@example.org, smtp: \"mail.example.org:587\", ca_file: /nonexistent/ca.pem}\n",
	"mail_ca_other":           minimal + "alerts:\n  email: {to: a@example.org, from: b@example.org, smtp: \"mail.example.org:587\", ca_file: /dev/null}\n",
	"ssl_root_missing":        with("postgres:\n", "postgres:\n  sslmode: verify-full\n  sslrootcert: /nonexistent/root.crt\n"),
	"node_key_malformed":      with("db1: {address: 10.0.0.11}", "db1: {address: 10.0.0.11, key: \"wdpub-ed25519:AAAA\"}"),
	"start_past_the_gate":     with("postgres:\n", "postgres:\n  driver: pg_ctl\n  start_command: [pg_ctl, start, -D, /srv/pg]\n"),
	"driver_unknown":          with("postgres:\n", "postgres:\n  driver: systemctl\n"),
	"unit_missing":            with("/var/lib/postgresql/15/main", "/srv/pg"),
	"tab_indent":              "cluster: a\nlisten:\n\tweb: off\n",
	"not_closed":              minimal + "hold: {no_primary: 2s\n",
	"anchor":                  with("db1: {address: 10.0.0.11}", "db1: &a {address: 10.0.0.11}"),
	"second_document":         minimal + "---\nnode: db2\n",
	"version_unknown":         with("version: 1", "version: 2"),
	"control_character":       with("10.0.0.12", "\"10.0.0\\e[2J\""),
	"several_at_once":         minimal + "hold: {no_primary: 5}\nloss: {allowed: lots}\ngate: {peerwait: 2s}\n",
	"empty":                   "\n",
	"caret_after_wide_letter": minimal + "app: {body_contains: \"però\", stauts: 200}\n",
}

func TestLoad_BadInput_SaysWhereWhyAndWhatToDo(t *testing.T) {
	for name, text := range badInputs {
		t.Run(name, func(t *testing.T) {
			path := folder(t, text)
			c, err := Load(path)
			if err == nil {
				t.Fatalf("loaded as %v", c)
			}
			if strings.Contains(err.Error(), "hunter2") && !strings.Contains(err.Error(), "| ") {
				t.Error("the reason repeats a password")
			}
			golden(t, name, strings.ReplaceAll(err.Error(), filepath.Dir(path), "/etc/pg-watchdog"))
		})
	}
}

func TestLoad_BadSecretFile_SaysWhatToDo(t *testing.T) {
	cases := map[string]func(dir string) error{
		"secret_world_readable": func(dir string) error { return os.Chmod(filepath.Join(dir, "node.key"), 0o644) },
		"secret_group_readable": func(dir string) error { return os.Chmod(filepath.Join(dir, "gossip.key"), 0o640) },
		"secret_missing":        func(dir string) error { return os.Remove(filepath.Join(dir, "gossip.key")) },
		"secret_empty":          func(dir string) error { return os.Truncate(filepath.Join(dir, "node.key"), 0) },
		"secret_is_folder": func(dir string) error {
			if err := os.Remove(filepath.Join(dir, "node.key")); err != nil {
				return err
			}
			return os.Mkdir(filepath.Join(dir, "node.key"), 0o700)
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			path := folder(t, minimal+"keys:\n  node_key_file: node.key\n  gossip_key_file: gossip.key\n")
			if err := spoil(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if err == nil {
				t.Fatal("loaded")
			}
			golden(t, name, strings.ReplaceAll(err.Error(), filepath.Dir(path), "/etc/pg-watchdog"))
		})
	}
}

func TestLoad_MissingFile_NamesTheCommandThatMakesOne(t *testing.T) {
	_, err := Load("/nonexistent/watchdog.yaml")
	if err == nil {
		t.Fatal("loaded")
	}
	golden(t, "missing_file", err.Error())
}

// TestLoad_InlinePassword_IsNotRepeatedByTheHint guards against a password in
// a file ending up in the log of a service that refuses the file.
func TestLoad_InlinePassword_IsMaskedInTheExcerpt(t *testing.T) {
	for _, name := range []string{"inline_password", "inline_fence_password", "health_url_password"} {
		_, err := Load(folder(t, badInputs[name]))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	got += "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
