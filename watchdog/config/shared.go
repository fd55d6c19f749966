package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// local are the settings that may differ between the nodes of one cluster: the
// name, what lies where on this host, and how its server and its application are
// run and reached there (a witness may have no business with the application).
// All others must be the same everywhere.
var local = []string{
	"node", "state_dir", "listen", "keys", "helper", "log", "postgres", "app",
	"alerts.email.password_file", "alerts.email.ca_file",
}

// sharedPostgres are the exceptions within postgres.
var sharedPostgres = []string{
	"postgres.database", "postgres.sslmode", "postgres.slot_prefix",
	"postgres.monitor.user", "postgres.act.user", "postgres.replication.user",
}

// SharedHash identifies the settings that all nodes share: two nodes with
// different hashes judge or act differently. It says nothing of the settings
// themselves and holds no secret.
func (c *Config) SharedHash() string {
	all, h := flatten(c), sha256.New()
	for _, path := range slices.Sorted(maps.Keys(all)) {
		if shared(path) {
			fmt.Fprintf(h, "%s=%s\n", path, all[path])
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}

func shared(path string) bool {
	if slices.Contains(sharedPostgres, path) {
		return true
	}
	return !strings.HasSuffix(path, ".password_file") &&
		!slices.ContainsFunc(local, func(l string) bool { return path == l || strings.HasPrefix(path, l+".") })
}
