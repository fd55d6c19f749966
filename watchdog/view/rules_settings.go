package view

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// hotStandby are the settings in which a standby must not be below its primary:
// it stops replaying, or does not start, with "insufficient parameter settings"
// (PostgreSQL manual, 27.4.3 Administrator's Overview).
var hotStandby = []string{"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"}

// settings compares what should be equal on all servers: versions of each with
// the first, settings of the primary with those of each standby.
func (j *judgement) settings() {
	if len(j.told) < 2 {
		return
	}
	all := slices.Clone(j.told)
	if i := slices.IndexFunc(all, func(s Sighting) bool { return !s.Status.InRecovery }); i > 0 {
		all[0], all[i] = all[i], all[0]
	}
	for _, other := range all[1:] {
		if !all[0].Status.InRecovery && j.Held(other.Node) == "" {
			j.drift(all[0], other)
		}
		j.versions(all[0], other)
	}
}

// overridden reports whether the boot gate may have set this: a server that it
// starts isolated has settings of its own until its next start, released or not.
func overridden(name, value string) bool {
	return name == "recovery_target_timeline" && value == "current"
}

// units are those that pg_settings counts in, of the settings that have one.
var units = map[string]string{
	"max_slot_wal_keep_size": "MB", "wal_keep_size": "MB", "wal_segment_size": "B", "block_size": "B",
	"max_standby_streaming_delay": "ms", "wal_receiver_timeout": "ms", "wal_sender_timeout": "ms", "wal_retrieve_retry_interval": "ms",
}

// settingWords prints a value; -1 is unlimited or off and has no unit.
func settingWords(name, value string) string {
	switch {
	case value == "":
		return "empty"
	case value == "-1":
		return value
	default:
		return value + units[name]
	}
}

func (j *judgement) drift(a, b Sighting) {
	var differ, low, here, there []string
	for _, name := range slices.Sorted(maps.Keys(a.Status.Settings)) {
		x := a.Status.Settings[name]
		y, known := setting(b, name)
		if !known || x == y || name == "server_version_num" || overridden(name, x) || overridden(name, y) {
			continue
		}
		one, other := settingWords(name, x), settingWords(name, y)
		differ = append(differ, fmt.Sprintf("%s is %s on %s and %s on %s", name, one, a.Node, other, b.Node))
		here, there = append(here, name+" = "+one), append(there, name+" = "+other)
		if b.Status.InRecovery && !a.Status.InRecovery && slices.Contains(hotStandby, name) && below(y, x) {
			low = append(low, name)
		}
	}
	if len(differ) == 0 {
		return
	}
	f := finding{code: ConfigDrift, subject: pairOf(a.Node, b.Node),
		evidence: []string{a.read("%s", strings.Join(here, ", ")), b.read("%s", strings.Join(there, ", "))},
		text:     fmt.Sprintf("Settings that should be equal differ: %s.", strings.Join(differ, "; "))}
	if len(low) > 0 {
		f.severity = page()
		f.text = fmt.Sprintf("The standby %s is below its primary in %s: it stops replaying, or does not start again. %s", b.Node, list(low), f.text)
	}
	j.raise(f)
}

func below(a, b string) bool {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	return errX == nil && errY == nil && x < y
}

func (j *judgement) versions(a, b Sighting) {
	x, y := a.Status.ServerVersion, b.Status.ServerVersion
	if x == 0 || y == 0 || x == y {
		return
	}
	f := finding{code: VersionMismatch, subject: pairOf(a.Node, b.Node),
		text:     fmt.Sprintf("PostgreSQL is %s on %s and %s on %s.", versionWords(x), a.Node, versionWords(y), b.Node),
		evidence: []string{a.read("version %s", versionWords(x)), b.read("version %s", versionWords(y))}}
	if x/10000 == y/10000 {
		f.severity, f.hold = warning(), ptr(j.limits.HoldMinorVersion)
	}
	j.raise(f)
}

// versionWords prints server_version_num: 150007 is 15.7.
func versionWords(n int) string { return fmt.Sprintf("%d.%d", n/10000, n%10000) }
