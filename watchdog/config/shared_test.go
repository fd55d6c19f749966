package config

import (
	"strings"
	"testing"
)

func TestSharedHash_DiffersExactlyWhereNodesMustNot(t *testing.T) {
	base := mustLoad(t, minimal).SharedHash()
	for more, differs := range map[string]bool{
		"":                                    false,
		"state_dir: /srv/watchdog\n":          false,
		"listen: {web: off}\n":                false,
		"log: {level: debug}\n":               false,
		"app: {containers: [shop/web]}\n":     false,
		"helper: {socket: off}\n":             false,
		"hold: {no_primary: 9s}\n":            true,
		"thresholds: {conflicts: 3}\n":        true,
		"probes: {misses: 5}\n":               true,
		"loss: {allowed: 1MiB}\n":             true,
		"app: {health_url: \"http://h/x\"}\n": false, // a witness may not be able to reach it
	} {
		if got := mustLoad(t, minimal+more).SharedHash() != base; got != differs {
			t.Errorf("%q differs: %t, want %t", more, got, differs)
		}
	}
	other := strings.Replace(minimal, "node: db1", "node: db2", 1)
	if got := mustLoad(t, other).SharedHash(); got != base {
		t.Error("the other node's file is taken for a different configuration")
	}
	for old, changed := range map[string]string{
		"/var/lib/postgresql/15/main": "/var/lib/postgresql/15/gest", "address: 10.0.0.12": "address: 10.0.0.13", "cluster: gestionale": "cluster: prova",
	} {
		want := !strings.HasPrefix(old, "/")
		if got := mustLoad(t, strings.Replace(minimal, old, changed, 1)).SharedHash() != base; got != want {
			t.Errorf("%s instead of %s differs: %t, want %t", changed, old, got, want)
		}
	}
}
