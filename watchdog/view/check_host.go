package view

import (
	"fmt"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// maxFaults bounds what a node says of itself.
const maxFaults = 16

func (c *checker) host(at string, h HostReport) {
	c.that(at+".data_free_bytes", h.DataFreeBytes >= -1, "negative")
	c.that(at+".data_total_bytes", h.DataTotalBytes >= -1, "negative")
	c.span(at+".loop_gap", h.LoopGap)
	c.count(at+".volumes", len(h.Volumes), maxNodes)
	c.count(at+".faults", len(h.Faults), maxFaults)
	for i, v := range h.Volumes {
		c.volume(fmt.Sprintf("%s.volumes[%d]", at, i), v)
	}
	if w := h.WALArchive; w != nil {
		c.that(at+".wal_archive", w.Segments >= 0 && w.Gaps >= 0, "negative")
		c.count(at+".wal_archive.histories", len(w.Histories), maxHistory)
		c.span(at+".wal_archive.age", w.Age)
	}
	if a := h.Archive; a != nil {
		c.that(at+".archive.ready", a.Ready >= 0, "negative")
		c.gap(at+".archive.oldest", a.Oldest)
		c.span(at+".archive.age", a.Age)
	}
}

func (c *checker) volume(at string, v VolumeReport) {
	c.count(at+".uses", len(v.Uses), maxNodes)
	c.that(at+".uses", len(v.Uses) > 0, "used for nothing")
	for _, n := range []int64{v.FreeBytes, v.TotalBytes, v.FreeInodes, v.TotalInodes} {
		c.that(at, n >= 0, "a negative size")
	}
	c.that(at, v.FreeBytes <= v.TotalBytes && v.FreeInodes <= v.TotalInodes, "more is free than there is")
	c.span(at+".full_in", v.FullIn)
	c.span(at+".age", v.Age)
}

func (c *checker) health(at string, h *replication.Health) {
	if h == nil {
		return
	}
	c.that(at+".multixid_age", h.MultiXIDAge >= -1<<31 && h.MultiXIDAge < 1<<31, "no age of a multixact")
	c.that(at+".reserved_connections", h.ReservedConnections >= 0 && h.ReservedConnections <= 1<<30, "no number of connections")
	c.gap(at+".checksum_age", h.ChecksumAge)
	c.gap(at+".prepared", h.Prepared)
	c.count(at+".pending_restart", len(h.PendingRestart), maxHistory)
	c.count(at+".expiring", len(h.Expiring), maxRows)
	for _, l := range h.Expiring {
		c.gap(at+".expiring", l.Left)
	}
	for _, s := range []*replication.SessionRow{h.Idle, h.Query} {
		if s != nil {
			c.gap(at+".sessions", s.Lasted)
		}
	}
}
