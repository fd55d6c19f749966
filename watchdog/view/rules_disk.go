package view

import (
	"fmt"
	"slices"
	"strings"
)

// disks raises DiskSpace for each file system that is short of room, by its own
// node's word.
func (j *judgement) disks() {
	for _, n := range j.Nodes {
		h, ok := j.heardLately(n.Name)
		if !ok {
			continue
		}
		for _, v := range h.Report.Host.Volumes {
			if len(v.Uses) > 0 && v.Age+h.Heard <= j.limits.VolumeFresh {
				j.disk(n.Name, v)
			}
		}
	}
}

func (j *judgement) disk(node string, v VolumeReport) {
	free, inodes := percent(v.FreeBytes, v.TotalBytes), 100
	if v.TotalInodes > 0 {
		inodes = percent(v.FreeInodes, v.TotalInodes)
	}
	soon := v.FullIn > 0 && v.FullIn <= j.limits.DiskFullWithin
	least := min(free, inodes)
	if v.TotalBytes <= 0 || least >= j.limits.DiskFreeWarning && !soon {
		return
	}
	f := finding{code: DiskSpace, subject: node + "/" + v.Uses[0], evidence: append([]string{volumeLine(node, v)}, j.growers(node, v)...)}
	if least < j.limits.DiskFreePage || soon {
		f.severity = page()
	}
	what := fmt.Sprintf("%d %% free (%s of %s)", free, Bytes(v.FreeBytes), Bytes(v.TotalBytes))
	if inodes < free && inodes < j.limits.DiskFreeWarning {
		what = fmt.Sprintf("%d %% of its inodes free (%d of %d)", inodes, v.FreeInodes, v.TotalInodes)
	}
	f.text = fmt.Sprintf("The file system of %s on %s has %s%s.", usesWords(v.Uses), node, what, fullWords(v))
	j.raise(f)
}

// fullWords say how long the space lasts, where that is known.
func fullWords(v VolumeReport) string {
	if v.FullIn <= 0 || v.BytesPerHour == nil {
		return ""
	}
	return fmt.Sprintf(" and is full in %s at the present rate of %s an hour", days(v.FullIn), Bytes(*v.BytesPerHour))
}

// usesWords name what lies on a file system.
func usesWords(uses []string) string {
	words := map[string]string{VolumeData: "the data directory", VolumeWAL: "pg_wal", VolumeState: "the watchdog's state"}
	var names []string
	for _, u := range uses {
		if words[u] != "" {
			names = append(names, words[u])
		}
	}
	if len(names) == 0 {
		return "a directory"
	}
	return list(names)
}

func volumeLine(node string, v VolumeReport) string {
	line := fmt.Sprintf("%s: file system of %s has %s of %s free", node, strings.Join(v.Uses, "+"), Bytes(v.FreeBytes), Bytes(v.TotalBytes))
	if v.TotalInodes > 0 {
		line += fmt.Sprintf(", %d of %d inodes", v.FreeInodes, v.TotalInodes)
	}
	switch {
	case v.BytesPerHour == nil:
		line += ", rate not known yet"
	default:
		line += fmt.Sprintf(", %s an hour", Bytes(*v.BytesPerHour))
	}
	if v.FullIn > 0 {
		line += ", full in " + days(v.FullIn)
	}
	return line + fmt.Sprintf(", measured %s ago", Span(v.Age))
}

// growers names what keeps WAL on the disk: slots and what waits for the archiver.
func (j *judgement) growers(node string, v VolumeReport) []string {
	if !slices.Contains(v.Uses, VolumeWAL) {
		return nil
	}
	var lines []string
	if s, ok := newestStatus(j.Sightings(node)); ok {
		for _, slot := range s.Status.Slots {
			if slot.RetainedBytes >= noiseBytes {
				lines = append(lines, s.read("slot %s keeps %s of WAL", slot.Name, retained(slot)))
			}
		}
	}
	if a := j.Reports[node].Report.Host.Archive; a != nil && a.Ready > 0 {
		lines = append(lines, fmt.Sprintf("%s: %d segments wait for the archiver", node, a.Ready))
	}
	return lines
}

// archivers raises ArchiverFailing: attempts that fail, segments that pile up,
// or one that is not taken although nothing fails.
func (j *judgement) archivers() {
	for _, s := range j.told {
		a := s.Status.Archiver
		if a == nil {
			continue // archive_mode is off
		}
		waiting, measured := j.archiveOf(s.Node)
		late := measured && waiting.Oldest >= j.limits.ArchiverPage
		piled := measured && waiting.Ready > j.limits.ArchiverReady
		if !a.LastFailedNow && !piled && !late {
			continue
		}
		f := finding{code: ArchiverFailing, subject: s.Node, evidence: archiveEvidence(s, waiting, measured)}
		if late || s.ArchiverFailing >= j.limits.ArchiverPage {
			f.severity = page()
		}
		f.text = fmt.Sprintf("The archiver of %s %s: WAL stays on its disk, and backups from before now cannot be brought up to date.", s.Node, archiverWords(s, waiting, measured))
		j.raise(f)
	}
}

func archiverWords(s Sighting, waiting ArchiveReport, measured bool) string {
	words := fmt.Sprintf("has not taken a segment for %s although nothing fails", Span(waiting.Oldest))
	if s.Status.Archiver.LastFailedNow {
		words = "fails"
		if s.Status.Archiver.FailedWAL != "" {
			words += " at " + s.Status.Archiver.FailedWAL
		}
	}
	if measured && waiting.Ready > 0 {
		words += fmt.Sprintf(", and %d segments wait", waiting.Ready)
	}
	return words
}

func (j *judgement) archiveOf(node string) (ArchiveReport, bool) {
	h, ok := j.heardLately(node)
	if !ok || h.Report.Host.Archive == nil || h.Report.Host.Archive.Age+h.Heard > j.limits.VolumeFresh {
		return ArchiveReport{}, false
	}
	return *h.Report.Host.Archive, true
}

func archiveEvidence(s Sighting, waiting ArchiveReport, measured bool) []string {
	a := s.Status.Archiver
	lines := []string{s.read("archiver took %d segments and failed %d times, last failure at %s %s before, last success %s before",
		a.Archived, a.Failed, orUnknown(a.FailedWAL), Span(a.FailedAge), Span(a.LastAge))}
	if s.ArchiverFailing > 0 {
		lines = append(lines, fmt.Sprintf("%s has seen it fail for %s", s.Observer, Span(s.ArchiverFailing)))
	}
	if measured {
		lines = append(lines, fmt.Sprintf("%s: %d .ready files, the oldest %s old, counted %s ago", s.Node, waiting.Ready, Span(waiting.Oldest), Span(waiting.Age)))
	} else {
		lines = append(lines, fmt.Sprintf("how many segments wait on %s is not known", s.Node))
	}
	return lines
}
