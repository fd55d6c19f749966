package view

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
)

// Caps of texts in bytes. What comes from a server's or a peer's mouth is cut,
// not rejected: a long error message must not hide the verdict beside it.
const (
	maxText = 512
	maxWord = 128
)

// cut strips control and format characters, so that no text from outside can
// drive a terminal, and shortens to max bytes at a character boundary.
func cut(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError || unicode.Is(unicode.Cf, r):
			return -1
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029':
			return ' '
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	s = s[:limit]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s
}

func words(all ...*string) {
	for _, s := range all {
		*s = cut(*s, maxWord)
	}
}

func texts(all ...*string) {
	for _, s := range all {
		*s = cut(*s, maxText)
	}
}

// clean makes every text of a report safe to print and to store. Names are not
// cleaned: check rejects a bad one.
func clean(r *Report) {
	words(&r.Program, &r.ConfigHash)
	texts(&r.StateFault)
	for i := range r.Servers {
		s := &r.Servers[i]
		words(&s.Cause)
		texts(&s.Detail)
		cleanStatus(s.Status)
	}
	if r.App != nil {
		texts(&r.App.URL, &r.App.Detail)
	}
	for i := range r.Edges {
		texts(&r.Edges[i].Detail)
	}
	for i := range r.Operations {
		o := &r.Operations[i]
		words(&o.ID, &o.Kind, &o.State, &o.Step, &o.By)
		texts(&o.Text)
	}
	for i := range r.Notified {
		texts(&r.Notified[i])
	}
	cleanHost(&r.Host)
	if r.Durable != nil {
		cleanDurable(r.Durable)
	}
	cleanReadiness(r)
}

func cleanStatus(s *replication.Status) {
	if s == nil {
		return
	}
	s.At = time.Time{} // a clock of another machine; StatusAge travels instead
	texts(&s.SynchronousStandbyNames, &s.DataDirectory)
	words(&s.SynchronousCommit)
	for i := range s.Standbys {
		b := &s.Standbys[i]
		words(&b.ApplicationName, &b.ClientAddr, &b.State, &b.SyncState, &b.SlotName, &b.SlotType)
	}
	for i := range s.Slots {
		words(&s.Slots[i].Name, &s.Slots[i].Type, &s.Slots[i].WALStatus, &s.Slots[i].Invalid)
	}
	if s.Archiver != nil {
		words(&s.Archiver.FailedWAL)
	}
	cleanHealth(s.Health)
	if s.Receiver != nil {
		words(&s.Receiver.Status, &s.Receiver.SenderHost, &s.Receiver.SlotName)
	}
	for i := range s.Heartbeats {
		words(&s.Heartbeats[i].Node)
	}
	if s.Epoch != nil {
		words(&s.Epoch.ID, &s.Epoch.Node)
	}
	if s.Settings != nil {
		settings := make(map[string]string, len(s.Settings))
		for k, v := range s.Settings {
			settings[cut(k, maxWord)] = cut(v, maxText)
		}
		s.Settings = settings
	}
}

func cleanHealth(h *replication.Health) {
	if h == nil {
		return
	}
	texts(&h.ChecksumDatabases, &h.Collations)
	for i := range h.PendingRestart {
		words(&h.PendingRestart[i])
	}
	for i := range h.Expiring {
		words(&h.Expiring[i].Role)
	}
	for _, s := range []*replication.SessionRow{h.Idle, h.Query} {
		if s != nil {
			words(&s.User, &s.ApplicationName, &s.Database)
		}
	}
}

func cleanHost(h *HostReport) {
	for i := range h.Volumes {
		for j := range h.Volumes[i].Uses {
			words(&h.Volumes[i].Uses[j])
		}
	}
	if h.WALArchive != nil {
		words(&h.WALArchive.First)
		texts(&h.WALArchive.Fault)
	}
	for i := range h.Faults {
		texts(&h.Faults[i])
	}
}

func cleanDurable(d *fence.Durable) {
	words(&d.Node, &d.Epoch.ID, &d.Epoch.Primary)
	texts(&d.DataDirectory)
	if d.Boot != nil {
		words(&d.Boot.KernelBootID)
	}
	if m := d.Marker; m != nil {
		words(&m.Operation, &m.Kind, &m.Epoch.ID, &m.Epoch.Primary, &m.By)
		texts(&m.DataDirectory, &m.Reason)
	}
	for i := range d.Orders {
		o := &d.Orders[i]
		words(&o.Operation, &o.Node, &o.Issuer, &o.Epoch.ID, &o.Epoch.Primary, &o.By)
	}
	for i := range d.Intents {
		n := &d.Intents[i]
		words(&n.Operation, &n.Kind, &n.Owner, &n.Target, &n.Epoch.ID, &n.Epoch.Primary, &n.By)
	}
	if l := d.Lock; l != nil {
		words(&l.Operation, &l.Kind, &l.Owner, &l.By)
	}
	for i := range d.Closed {
		words(&d.Closed[i].Operation)
	}
}
