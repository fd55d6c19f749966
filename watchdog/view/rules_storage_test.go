package view_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

const gib = 1 << 30

// slotted gives db1 the slot of its standby, changed as the case says.
func slotted(s *scene, change func(*replication.SlotRow)) *scene {
	return s.all("db1", func(r *view.ServerReport) {
		slot := replication.SlotRow{Name: "watchdog_db2", Type: "physical", Active: true, WALStatus: "reserved", RestartLSN: 0x4A3C000000, RetainedBytes: 16 * mib}
		change(&slot)
		r.Status.Slots = []replication.SlotRow{slot}
	})
}

// with sets one of the compared settings of a server.
func (s *scene) with(node, name, value string) *scene {
	return s.all(node, func(r *view.ServerReport) {
		if r.Status.Settings == nil {
			r.Status.Settings = map[string]string{}
		}
		r.Status.Settings[name] = value
	})
}

// disk gives a node one file system for everything.
func (s *scene) disk(node string, change func(*view.VolumeReport)) *scene {
	return s.report(node, func(r *view.Report) {
		v := view.VolumeReport{Uses: []string{view.VolumeData, view.VolumeWAL, view.VolumeState}, FreeBytes: 50 * gib, TotalBytes: 100 * gib,
			FreeInodes: 9000, TotalInodes: 10000, Age: 20 * sec}
		change(&v)
		r.Host.Volumes = []view.VolumeReport{v}
	})
}

func same[T any](*T) {}

// spoken gives the conditions as "Code/subject severity: text".
func spoken(all []alerts.Condition) []string {
	var lines []string
	for _, c := range all {
		lines = append(lines, c.Code+"/"+c.Subject+" "+c.Severity.String()+": "+c.Text)
	}
	return lines
}

// tells checks that exactly these conditions are raised, each with its severity
// and words of its text.
func (s *scene) tells(want ...[2]string) []alerts.Condition {
	s.t.Helper()
	got := s.judge()
	lines := spoken(got)
	if len(lines) != len(want) {
		s.t.Fatalf("told %q, want %d of %q", lines, len(want), want)
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], w[0]+":") || !strings.Contains(lines[i], w[1]) {
			s.t.Errorf("told %q, want %q with %q", lines[i], w[0], w[1])
		}
	}
	return got
}

func TestSlots_Rules(t *testing.T) {
	slot := "db1/watchdog_db2"
	for name, c := range map[string]struct {
		scene func(*testing.T) *scene
		want  [][2]string
	}{
		"active and reserved": {func(t *testing.T) *scene { return slotted(pair(t), same) }, nil},
		"inactive, unlimited, disk measured": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.Active, s.RetainedBytes = false, 3*gib }).
				with("db1", "max_slot_wal_keep_size", "-1").disk("db1", same)
		}, [][2]string{{"SlotInactive/" + slot + " page", "keeps 3.0 GiB of WAL for its standby and may fill the disk, of which 50 GiB are free (max_slot_wal_keep_size is unlimited; '28GB' would leave half of that)"}}},
		"inactive, limited": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { left := int64(400 * mib); s.Active, s.SafeBytes = false, &left }).
				with("db1", "max_slot_wal_keep_size", "1024")
		}, [][2]string{{"SlotInactive/" + slot + " page", "400 MiB more may be written before it is given up"}}},
		"inactive without anything kept": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.Active, s.RestartLSN = false, 0 })
		}, nil},
		"inactive since a confirmed fence": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.Active = false }).
				report("db2", func(r *view.Report) { r.Durable.Marker = &fence.Marker{Operation: "K7"} })
		}, [][2]string{{"SlotInactive/" + slot + " warning", "Nobody reads"}}},
		"logical and inactive": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.Active, s.Type = false, "logical" })
		}, [][2]string{{"SlotInactive/" + slot + " warning", "logical slot"}}},
		"half of the limit": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.RetainedBytes = 512 * mib }).with("db1", "max_slot_wal_keep_size", "1024")
		}, [][2]string{{"SlotRetentionHigh/" + slot + " warning", "50 % of what max_slot_wal_keep_size allows"}}},
		"three quarters of the limit": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.RetainedBytes = 768 * mib }).with("db1", "max_slot_wal_keep_size", "1024")
		}, [][2]string{{"SlotRetentionHigh/" + slot + " page", "75 %"}}},
		"a third of the free space": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.RetainedBytes = 16 * gib }).disk("db1", same)
		}, [][2]string{{"SlotRetentionHigh/" + slot + " warning", "keeps 16 GiB of WAL"}}},
		"free space measured long ago": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.RetainedBytes = 16 * gib }).
				disk("db1", func(v *view.VolumeReport) { v.Age = 4*time.Minute + 59*sec })
		}, [][2]string{{"SlotRetentionHigh/" + slot + " warning", "keeps 16 GiB of WAL"}}},
		"extended": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.WALStatus = "extended" })
		}, [][2]string{{"SlotRetentionHigh/" + slot + " warning", "more than max_wal_size"}}},
		"unreserved": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.WALStatus, s.Active = "unreserved", false })
		}, [][2]string{{"SlotLost/" + slot + " page", "no longer keeps its WAL"}}},
		"lost": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.WALStatus, s.Active, s.RestartLSN = "lost", false, 0 })
		}, [][2]string{{"SlotLost/" + slot + " page", "(lost)"}}},
		"given up by PostgreSQL 17": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.Invalid = "idle_timeout" })
		}, [][2]string{{"SlotLost/" + slot + " page", "(idle_timeout)"}}},
		"left from a former role": {func(t *testing.T) *scene {
			return pair(t).all("db2", func(r *view.ServerReport) {
				r.Status.Slots = []replication.SlotRow{{Name: "watchdog_db1", Type: "physical", RestartLSN: 5, RetainedBytes: 900 * mib}}
			})
		}, [][2]string{{"SlotInactive/db2/watchdog_db1 warning", "left from a former role. If nothing will come back for it, pg_drop_replication_slot('watchdog_db1')"}}},
		"of a node that waits for its rejoin": {func(t *testing.T) *scene {
			return pair(t).all("db2", func(r *view.ServerReport) {
				r.Status.Slots = []replication.SlotRow{{Name: "watchdog_db1", Type: "physical", RestartLSN: 5}}
			}).report("db2", func(r *view.Report) { r.Durable.Marker = &fence.Marker{Operation: "K7"} })
		}, nil},
		"a name that would be a command": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.Name, s.Active = `x'); DROP`, false })
		}, nil},
		"listed twice by a peer": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.Active = false }).all("db1", func(r *view.ServerReport) {
				r.Status.Slots = append(r.Status.Slots, r.Status.Slots[0])
			})
		}, [][2]string{{"SlotInactive/" + slot + " page", "Nobody reads"}}},
		"read too long ago": {func(t *testing.T) *scene {
			return slotted(pair(t), func(s *replication.SlotRow) { s.Active = false }).all("db1", func(r *view.ServerReport) { r.StatusAge = 40 * sec })
		}, [][2]string{{"NoSample/db1 warning", "SQL status"}}},
	} {
		t.Run(name, func(t *testing.T) { c.scene(t).tells(c.want...) })
	}
}

func TestSlotInactive_IsExplainedByTheStandbyThatIsDown(t *testing.T) {
	s := slotted(pair(t), func(s *replication.SlotRow) { s.Active = false }).all("db2", noUpstream)
	if c := pick(t, s.judge(), view.SlotInactive); !slices.Contains(c.InhibitedBy, view.ReplicationDown) {
		t.Errorf("inhibited by %v", c.InhibitedBy)
	}
	s = slotted(pair(t), func(s *replication.SlotRow) { s.Active = false })
	if c := pick(t, s.judge(), view.SlotInactive); slices.Contains(c.InhibitedBy, view.ReplicationDown) {
		t.Errorf("inhibited by %v although the standby streams", c.InhibitedBy)
	}
}

func TestDiskSpace_Rules(t *testing.T) {
	rate := int64(2 * gib)
	for name, c := range map[string]struct {
		change func(*view.VolumeReport)
		want   string // empty: nothing
		text   string
	}{
		"half free":          {func(*view.VolumeReport) {}, "", ""},
		"14 percent":         {func(v *view.VolumeReport) { v.FreeBytes = 14 * gib }, "warning", "The file system of the data directory, pg_wal and the watchdog's state on db1 has 14 % free (14 GiB of 100 GiB)."},
		"4 percent":          {func(v *view.VolumeReport) { v.FreeBytes = 4 * gib }, "page", "4 % free"},
		"inodes":             {func(v *view.VolumeReport) { v.FreeInodes = 1400 }, "warning", "14 % of its inodes free (1400 of 10000)"},
		"inodes, nearly 0":   {func(v *view.VolumeReport) { v.FreeInodes = 3 }, "page", "0 % of its inodes free (3 of 10000)"},
		"no inodes to count": {func(v *view.VolumeReport) { v.FreeInodes, v.TotalInodes = 0, 0 }, "", ""},
		"full within a day": {func(v *view.VolumeReport) { v.BytesPerHour, v.FullIn = &rate, 9*time.Hour+12*time.Minute }, "page",
			"has 50 % free (50 GiB of 100 GiB) and is full in 9h12m at the present rate of 2.0 GiB an hour"},
		"full in three days":    {func(v *view.VolumeReport) { v.BytesPerHour, v.FullIn = &rate, 72*time.Hour }, "", ""},
		"rate known, no growth": {func(v *view.VolumeReport) { v.BytesPerHour = new(int64) }, "", ""},
		"empty figures":         {func(v *view.VolumeReport) { v.FreeBytes, v.TotalBytes = 0, 0 }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := pair(t).disk("db1", c.change)
			if c.want == "" {
				s.tells()
				return
			}
			s.tells([2]string{"DiskSpace/db1/data " + c.want, c.text})
		})
	}
}

func TestDiskSpace_NamesWhatKeepsTheWAL(t *testing.T) {
	s := slotted(pair(t), func(s *replication.SlotRow) { s.RetainedBytes = 900 * mib }).
		disk("db1", func(v *view.VolumeReport) { v.FreeBytes = 10 * gib }).
		report("db1", func(r *view.Report) { r.Host.Archive = &view.ArchiveReport{Ready: 40, Age: sec} })
	lines := strings.Join(pick(t, s.judge(), view.DiskSpace).Evidence, "\n")
	for _, want := range []string{"slot watchdog_db2 keeps 900 MiB", "40 segments wait for the archiver", "rate not known yet"} {
		if !strings.Contains(lines, want) {
			t.Errorf("%q is missing in\n%s", want, lines)
		}
	}
}

func TestDisk_MeasuredLongAgo_IsItselfAFinding(t *testing.T) {
	pair(t).disk("db1", func(v *view.VolumeReport) { v.FreeBytes, v.Age = gib, 6*time.Minute }).
		tells([2]string{"WatchdogDegraded/db1 warning", "has not been measured for 6m00s"})
	// A node that is not heard says nothing of its disk any more.
	pair(t).disk("db1", func(v *view.VolumeReport) { v.FreeBytes = gib }).silent("db1", 30*sec).want("PeerPathPartial/db1")
}

// archived gives db1 an archiver and what waits for it.
func archived(s *scene, a replication.ArchiverRow, failing time.Duration, w *view.ArchiveReport) *scene {
	return s.all("db1", func(r *view.ServerReport) { r.Status.Archiver, r.ArchiverFailing = &a, failing }).
		report("db1", func(r *view.Report) { r.Host.Archive = w })
}

func TestArchiver_Rules(t *testing.T) {
	failed := replication.ArchiverRow{Archived: 9, Failed: 3, LastFailedNow: true, LastAge: time.Hour, FailedAge: sec, FailedWAL: "0000000700000004A0000003C"}
	for name, c := range map[string]struct {
		row     replication.ArchiverRow
		failing time.Duration
		waits   *view.ArchiveReport
		want    string
		text    string
	}{
		"takes everything":       {replication.ArchiverRow{Archived: 9}, 0, &view.ArchiveReport{}, "", ""},
		"has failed before":      {replication.ArchiverRow{Archived: 9, Failed: 3}, 0, nil, "", ""},
		"fails":                  {failed, 10 * sec, &view.ArchiveReport{Ready: 2, Oldest: sec}, "warning", "fails at 0000000700000004A0000003C, and 2 segments wait"},
		"fails, nothing counted": {failed, 10 * sec, nil, "warning", "fails at 0000000700000004A0000003C: WAL stays"},
		"fails for half an hour": {failed, 30 * time.Minute, nil, "page", "fails at"},
		"piles up":               {replication.ArchiverRow{Archived: 9}, 0, &view.ArchiveReport{Ready: 101, Oldest: time.Minute}, "warning", "101 segments wait"},
		"hangs":                  {replication.ArchiverRow{Archived: 9}, 0, &view.ArchiveReport{Ready: 1, Oldest: 31 * time.Minute}, "page", "has not taken a segment for 31m00s although nothing fails"},
		"counted long ago":       {replication.ArchiverRow{Archived: 9}, 0, &view.ArchiveReport{Ready: 500, Age: time.Hour}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := archived(pair(t), c.row, c.failing, c.waits)
			if c.want == "" {
				s.tells()
				return
			}
			s.tells([2]string{"ArchiverFailing/db1 " + c.want, c.text})
		})
	}
	// Left over from a time when archiving was on: nobody waits for them.
	pair(t).report("db1", func(r *view.Report) { r.Host.Archive = &view.ArchiveReport{Ready: 500} }).tells()
}

func TestWalGap_Rules(t *testing.T) {
	look := func(s *scene, node string, w view.WALArchiveReport) *scene {
		return s.report(node, func(r *view.Report) { r.Host.WALArchive = &w })
	}
	whole, hole := view.WALArchiveReport{Segments: 9}, view.WALArchiveReport{Segments: 9, Gaps: 2, First: "000000010000000000000006"}
	look(pair(t), "db1", whole).tells()
	look(look(pair(t), "db1", whole), "db2", hole).tells([2]string{"WalGap/archive page", "missing in 2 places, the first is 000000010000000000000006"})
	look(pair(t), "db1", view.WALArchiveReport{Histories: []replication.Timeline{3}}).tells([2]string{"WalGap/archive page", "the history of timeline 3 is missing"})
	look(look(pair(t), "db1", whole), "db2", view.WALArchiveReport{Fault: "stale file handle"}).
		tells([2]string{"WalGap/archive warning", "db2 cannot look into it (stale file handle)"})
	hole.Age = time.Hour
	look(pair(t), "db1", hole).tells() // from long ago
}
