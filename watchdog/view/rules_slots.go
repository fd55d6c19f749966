package view

import (
	"fmt"
	"strconv"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// noiseBytes is what a healthy slot may keep: its restart LSN trails by some
// segments.
const noiseBytes = 64 << 20

// slots raises what is wrong with replication slots, of every server.
func (j *judgement) slots() {
	for _, s := range j.told {
		for _, slot := range s.Status.Slots {
			if replication.CheckSlotName(slot.Name) != nil {
				continue // no name that PostgreSQL gives; it must not reach a command line
			}
			if slotGone(slot) {
				j.slotLost(s, slot)
				continue
			}
			j.slotInactive(s, slot)
			j.slotRetention(s, slot)
		}
	}
}

func slotGone(slot replication.SlotRow) bool {
	return slot.WALStatus == "unreserved" || slot.WALStatus == "lost" || slot.Invalid != ""
}

func (j *judgement) slotLost(s Sighting, slot replication.SlotRow) {
	text := fmt.Sprintf("Slot %s of %s has lost WAL that its consumer still needs (%s): the consumer needs a new copy, or the WAL from an archive.",
		slot.Name, s.Node, orUnknown(firstOf(slot.Invalid, slot.WALStatus)))
	if slot.WALStatus == "unreserved" {
		text = fmt.Sprintf("Slot %s of %s no longer keeps its WAL: the next checkpoint may remove what its consumer still needs.", slot.Name, s.Node)
	}
	j.raise(finding{code: SlotLost, subject: s.Node + "/" + slot.Name, text: text, evidence: j.slotEvidence(s, slot)})
}

func firstOf(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}

// slotInactive is about a slot that keeps WAL for nobody. On a standby it is one
// that its former role left behind.
func (j *judgement) slotInactive(s Sighting, slot replication.SlotRow) {
	if slot.Active || slot.RestartLSN == 0 || s.Status.InRecovery && (!j.anyPrimary() || j.Held(s.Node) != "") {
		return // whose it is shows when there is a primary again, and after a fence the rejoin drops it
	}
	f := finding{code: SlotInactive, subject: s.Node + "/" + slot.Name, evidence: j.slotEvidence(s, slot)}
	switch {
	case s.Status.InRecovery:
		f.severity = warning()
		f.text = fmt.Sprintf("Slot %s on the standby %s belongs to nobody and keeps %s of WAL: it is left from a former role. If nothing will come back for it, pg_drop_replication_slot('%s') frees it.",
			slot.Name, s.Node, retained(slot), slot.Name)
	case slot.Type == "physical":
		f.text = fmt.Sprintf("Nobody reads slot %s of the primary %s: it keeps %s of WAL for its standby%s.", slot.Name, s.Node, retained(slot), j.bound(s, slot))
		if other := j.partner(s.Node); other != "" && j.Held(other) != "" {
			f.severity = warning() // after a confirmed fence its absence is known
		}
	default:
		f.severity = warning()
		f.text = fmt.Sprintf("Nobody reads the %s slot %s of %s: it keeps %s of WAL%s.", slot.Type, slot.Name, s.Node, retained(slot), j.bound(s, slot))
	}
	j.raise(f)
}

// bound says how far a slot may grow, and what to set where nothing limits it.
func (j *judgement) bound(s Sighting, slot replication.SlotRow) string {
	limit, known := slotLimit(s)
	volume, measured := j.volumeOf(s.Node, VolumeWAL)
	switch {
	case known && limit > 0 && slot.SafeBytes != nil:
		return fmt.Sprintf(", and %s more may be written before it is given up", Bytes(*slot.SafeBytes))
	case known && limit < 0 && measured:
		return fmt.Sprintf(" and may fill the disk, of which %s are free (max_slot_wal_keep_size is unlimited; %s would leave half of that)",
			Bytes(volume.FreeBytes), keepSize(slot, volume))
	case known && limit < 0:
		return " and may fill the disk (max_slot_wal_keep_size is unlimited)"
	default:
		return ""
	}
}

// keepSize is the max_slot_wal_keep_size that leaves half of the free space.
func keepSize(slot replication.SlotRow, v VolumeReport) string {
	megabytes := (int64(min(slot.RetainedBytes, 1<<61)) + v.FreeBytes/2) >> 20 //nolint:gosec // bounded here
	if megabytes >= 10<<10 {
		return fmt.Sprintf("'%dGB'", megabytes>>10)
	}
	return fmt.Sprintf("'%dMB'", max(megabytes, 1))
}

// slotLimit is max_slot_wal_keep_size in bytes, negative without a limit.
// PostgreSQL counts it in MB.
func slotLimit(s Sighting) (int64, bool) {
	text, ok := setting(s, "max_slot_wal_keep_size")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, false
	}
	return n << 20, true
}

func (j *judgement) slotRetention(s Sighting, slot replication.SlotRow) {
	kept := int64(min(slot.RetainedBytes, 1<<62)) //nolint:gosec // bounded here
	f := finding{code: SlotRetentionHigh, subject: s.Node + "/" + slot.Name}
	if limit, known := slotLimit(s); known && limit > 0 {
		if p := percent(kept, limit); p >= j.limits.SlotWarning {
			f.text = fmt.Sprintf("Slot %s of %s keeps %s of WAL, %d %% of what max_slot_wal_keep_size allows: beyond that its consumer needs a new copy.",
				slot.Name, s.Node, retained(slot), p)
			if p >= j.limits.SlotPage {
				f.severity = page()
			}
		}
	}
	if v, ok := j.volumeOf(s.Node, VolumeWAL); ok && f.text == "" && kept >= noiseBytes && percent(kept, v.FreeBytes) >= j.limits.SlotOfFree {
		f.text = fmt.Sprintf("Slot %s of %s keeps %s of WAL%s.", slot.Name, s.Node, retained(slot), j.bound(s, slot))
	}
	if f.text == "" && slot.WALStatus == "extended" {
		f.text = fmt.Sprintf("Slot %s of %s keeps %s of WAL, more than max_wal_size%s.", slot.Name, s.Node, retained(slot), j.bound(s, slot))
	}
	if f.text != "" {
		f.evidence = j.slotEvidence(s, slot)
		j.raise(f)
	}
}

func (j *judgement) slotEvidence(s Sighting, slot replication.SlotRow) []string {
	use := "inactive"
	if slot.Active {
		use = "active"
	}
	lines := []string{s.read("slot %s (%s) is %s, wal_status %s, keeps %s from %s", slot.Name, slot.Type, use, orUnknown(slot.WALStatus), retained(slot), slot.RestartLSN)}
	if limit, known := slotLimit(s); known && limit > 0 {
		lines = append(lines, s.read("max_slot_wal_keep_size is %s", Bytes(limit)))
	}
	if v, ok := j.volumeOf(s.Node, VolumeWAL); ok {
		lines = append(lines, volumeLine(s.Node, v))
	}
	return lines
}
