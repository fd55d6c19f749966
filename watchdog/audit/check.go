package audit

import (
	"fmt"
	"slices"
	"time"
)

// Level is the result of one check. Unknown is the zero value and is no success.
type Level uint8

// The results.
const (
	Unknown Level = iota // what the check needs could not be read
	OK
	Warn // works now, or costs something later
	Fail // would hurt at a failover, or hurts now
)

var levels = []string{"unknown", "ok", "warn", "fail"}

// String gives the word that stands in JSON.
func (l Level) String() string {
	if int(l) < len(levels) {
		return levels[l]
	}
	return levels[Unknown]
}

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. A word that is not known,
// as from a newer service, is Unknown.
func (l *Level) UnmarshalText(b []byte) error {
	*l = Level(max(0, slices.Index(levels, string(b)))) //nolint:gosec // an index of four words
	return nil
}

// Check is one finding. Its name is stable: an interface to scripts.
type Check struct {
	Name  string `json:"name"`
	Group string `json:"group"`
	Node  string `json:"node,omitempty"` // whose; empty: of the pair
	Level Level  `json:"result"`
	Text  string `json:"text"`
	// Hint is the command or the setting that mends it.
	Hint string `json:"hint,omitempty"`
}

// Document is the answer to `watchdog doctor`: version 1.
type Document struct {
	V       int       `json:"v"`
	Cluster string    `json:"cluster"`
	AskedOn string    `json:"asked_on"`
	At      time.Time `json:"at"`
	Checks  []Check   `json:"checks"`
}

// The groups, in the order in which they are shown.
const (
	GroupService     = "service"
	GroupBoot        = "boot"
	GroupSettings    = "settings"
	GroupReplication = "replication"
	GroupRejoin      = "rejoin"
	GroupFence       = "fence"
	GroupAlerts      = "alerts"
	GroupHost        = "host"
	GroupCommand     = "command"
)

// Groups lists the groups in the order in which they are shown.
var Groups = []string{GroupService, GroupBoot, GroupSettings, GroupReplication, GroupRejoin, GroupFence, GroupAlerts, GroupHost, GroupCommand}

// Merge adds local checks to those of the service. A local one takes the place
// of the service's where that one could not know: the command may ask the
// kernel what the service's unit must not.
func Merge(service, local []Check) []Check {
	out := slices.Clone(service)
	for _, c := range local {
		i := slices.IndexFunc(out, func(o Check) bool { return o.Name == c.Name && o.Node == c.Node })
		switch {
		case i < 0:
			out = append(out, c)
		case out[i].Level == Unknown:
			out[i] = c
		}
	}
	return out
}

// Count tells how many checks have a result.
func Count(checks []Check, l Level) int {
	n := 0
	for _, c := range checks {
		if c.Level == l {
			n++
		}
	}
	return n
}

// findings collects checks while the rules run.
type findings struct{ all []Check }

// at is where a rule adds its results: name, group and node are the same for all.
type at struct {
	f                 *findings
	group, name, node string
}

func (f *findings) of(group, name, node string) at { return at{f, group, name, node} }

func (a at) add(l Level, hint, format string, args ...any) {
	a.f.all = append(a.f.all, Check{Name: a.name, Group: a.group, Node: a.node, Level: l, Text: fmt.Sprintf(format, args...), Hint: hint})
}

func (a at) ok(format string, args ...any)            { a.add(OK, "", format, args...) }
func (a at) warn(hint, format string, args ...any)    { a.add(Warn, hint, format, args...) }
func (a at) fail(hint, format string, args ...any)    { a.add(Fail, hint, format, args...) }
func (a at) unknown(hint, format string, args ...any) { a.add(Unknown, hint, format, args...) }
