package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Change is one setting that differs between two configurations.
type Change struct {
	Path     string `json:"path"`
	Old, New string
	// Restart is true when the running service cannot take the change over.
	Restart bool `json:"restart"`
}

// String gives the change as one line of a log or a report.
func (c Change) String() string {
	s := fmt.Sprintf("%s: %s -> %s", c.Path, or(c.Old, "(not set)"), or(c.New, "(not set)"))
	if c.Restart {
		s += " (needs a restart)"
	}
	return s
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// live are the groups of settings that a reload applies: watchdog's Reload takes
// over hold, thresholds, loss and plan, the command that runs the service log.level, and the
// gate reads its own group afresh at each start. Everything else is wired into
// sockets, connections and loops when the service starts.
var live = []string{"hold", "thresholds", "loss", "plan", "gate", "log.level"}

// Diff lists what differs, sorted by path. Secrets compare by the names of
// their files: a new value in the same file is read when it is next needed.
func Diff(old, next *Config) []Change {
	a, b := flatten(old), flatten(next)
	var out []Change
	for _, path := range slices.Sorted(maps.Keys(merged(a, b))) {
		if a[path] == b[path] {
			continue
		}
		out = append(out, Change{Path: path, Old: a[path], New: b[path], Restart: !isLive(path)})
	}
	return out
}

// NeedsRestart gives the changes that a reload cannot apply.
func NeedsRestart(changes []Change) []Change {
	var out []Change
	for _, c := range changes {
		if c.Restart {
			out = append(out, c)
		}
	}
	return out
}

func isLive(path string) bool {
	for _, l := range live {
		if path == l || strings.HasPrefix(path, l+".") {
			return true
		}
	}
	return false
}

func merged(a, b map[string]string) map[string]bool {
	out := make(map[string]bool, len(a)+len(b))
	for k := range a {
		out[k] = true
	}
	for k := range b {
		out[k] = true
	}
	return out
}

// flatten gives every setting by its dotted path.
func flatten(c *Config) map[string]string {
	out := map[string]string{}
	flattenInto(out, "", reflect.ValueOf(*c))
	return out
}

func flattenInto(out map[string]string, path string, v reflect.Value) {
	switch {
	case isGroup(v):
		names, values := keysOf(v)
		for i, n := range names {
			flattenInto(out, join(path, n), values[i])
		}
	case v.Kind() == reflect.Slice && v.Len() > 0 && isGroup(v.Index(0)):
		for i := range v.Len() {
			flattenInto(out, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	default:
		if t := word(v); t != `""` && t != "[]" {
			out[path] = t
		}
	}
}
