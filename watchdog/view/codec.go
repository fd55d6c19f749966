package view

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// MaxReportBytes caps an encoded report: a pair's report is about 4 KiB, and a
// peer must not be able to fill our memory.
const MaxReportBytes = 256 << 10

// ReportError says why a report was rejected. Reports of peers are material
// from outside: the caller counts rejections and keeps the older report.
type ReportError struct {
	Field  string // path inside the report; empty for the whole
	Reason string
}

// Error implements error.
func (e *ReportError) Error() string {
	if e.Field == "" {
		return "decode report: " + e.Reason
	}
	return fmt.Sprintf("decode report: %s: %s", e.Field, e.Reason)
}

// Encode gives the bytes that travel. It cleans texts and applies the same
// checks as Decode, so that a node never sends what its peers would reject. The
// argument is not changed.
func Encode(r Report) ([]byte, error) {
	r.Format = ReportFormat
	r = clone(r)
	clean(&r)
	if err := check(r); err != nil {
		return nil, fmt.Errorf("encode report of %q: %w", r.Node, err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode report of %q: %w", r.Node, err)
	}
	if len(b) > MaxReportBytes {
		return nil, fmt.Errorf("encode report of %q: %w", r.Node, &ReportError{"", fmt.Sprintf("%d bytes, want at most %d", len(b), MaxReportBytes)})
	}
	return b, nil
}

// Decode reads what Encode gave. Unknown fields are ignored, another format is
// refused, texts are stripped of control characters and cut, and absurd values
// are rejected. Every error is a *ReportError.
func Decode(b []byte) (Report, error) {
	if len(b) > MaxReportBytes {
		return Report{}, &ReportError{"", fmt.Sprintf("%d bytes, want at most %d", len(b), MaxReportBytes)}
	}
	var version struct {
		Format int `json:"v"`
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return Report{}, &ReportError{"", cut(err.Error(), maxText)}
	}
	if version.Format != ReportFormat {
		return Report{}, &ReportError{"v", fmt.Sprintf("format %d, want %d", version.Format, ReportFormat)}
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return Report{}, &ReportError{"", cut(err.Error(), maxText)}
	}
	clean(&r)
	if err := check(r); err != nil {
		return Report{}, err
	}
	return r, nil
}

// clone copies as deep as clean writes.
func clone(r Report) Report {
	r.Servers = slices.Clone(r.Servers)
	for i, s := range r.Servers {
		if s.Status == nil {
			continue
		}
		status := *s.Status
		status.Standbys, status.Slots = slices.Clone(status.Standbys), slices.Clone(status.Slots)
		status.Heartbeats = slices.Clone(status.Heartbeats)
		if status.Receiver != nil {
			receiver := *status.Receiver
			status.Receiver = &receiver
		}
		status.Health = cloneHealth(status.Health)
		if status.Archiver != nil {
			archiver := *status.Archiver
			status.Archiver = &archiver
		}
		if status.Epoch != nil {
			epoch := *status.Epoch
			status.Epoch = &epoch
		}
		r.Servers[i].Status = &status
	}
	if r.App != nil {
		app := *r.App
		r.App = &app
	}
	if r.Durable != nil {
		r.Durable = cloneDurable(r.Durable)
	}
	r.Host = cloneHost(r.Host)
	if r.Login != nil {
		login := *r.Login
		r.Login = &login
	}
	r.Readiness = cloneReadiness(r.Readiness)
	r.Edges, r.Operations, r.Notified = slices.Clone(r.Edges), slices.Clone(r.Operations), slices.Clone(r.Notified)
	return r
}

func cloneDurable(from *fence.Durable) *fence.Durable {
	d := *from
	d.Orders, d.Intents, d.Closed = slices.Clone(d.Orders), slices.Clone(d.Intents), slices.Clone(d.Closed)
	if d.Marker != nil {
		m := *d.Marker
		d.Marker = &m
	}
	if d.Lock != nil {
		l := *d.Lock
		d.Lock = &l
	}
	if d.Boot != nil {
		b := *d.Boot
		d.Boot = &b
	}
	return &d
}

func cloneHealth(from *replication.Health) *replication.Health {
	if from == nil {
		return nil
	}
	h := *from
	h.PendingRestart, h.Expiring = slices.Clone(h.PendingRestart), slices.Clone(h.Expiring)
	for _, row := range []**replication.SessionRow{&h.Idle, &h.Query} {
		if *row != nil {
			session := **row
			*row = &session
		}
	}
	return &h
}

func cloneHost(h HostReport) HostReport {
	if h.WALArchive != nil {
		w := *h.WALArchive
		h.WALArchive = &w
	}
	h.Volumes, h.Faults = slices.Clone(h.Volumes), slices.Clone(h.Faults)
	for i := range h.Volumes {
		h.Volumes[i].Uses = slices.Clone(h.Volumes[i].Uses)
	}
	return h
}
