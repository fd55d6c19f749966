package observe

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Names in an archive: segments and timeline histories, with the suffix of a
// compressor or without. A .partial or .backup file is neither.
var (
	segmentName = regexp.MustCompile(`^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.(gz|zst|lz4|xz|bz2))?$`)
	historyName = regexp.MustCompile(`^([0-9A-F]{8})\.history(\.(gz|zst|lz4|xz|bz2))?$`)
)

// walArchive is what the newest look into the archive directory gave.
type walArchive struct {
	report *view.WALArchiveReport
	at     time.Time
}

func (a walArchive) reportTo(now time.Time, h *view.HostReport) {
	if a.report != nil {
		r := *a.report
		r.Age = age(now, a.at)
		h.WALArchive = &r
	}
}

// archiveLoop looks for holes, rarely: the directory may be large and far away.
// Until the size of a segment is known nothing can be said.
func (ob *Observer) archiveLoop(ctx context.Context) error {
	var last time.Time
	return every(ctx, min(ob.o.ArchivePeriod, time.Minute), func(context.Context) {
		bytes, known := ob.segmentBytes()
		if now := ob.o.Now(); !known || !last.IsZero() && now.Sub(last) < ob.o.ArchivePeriod {
			return
		}
		last = ob.o.Now()
		r := lookForHoles(ob.o.ArchiveDir, bytes)
		if r.Fault != "" || r.Gaps > 0 || len(r.Histories) > 0 {
			ob.o.Log.Warn("WAL archive", zap.String("directory", ob.o.ArchiveDir), zap.Int("holes", r.Gaps), zap.String("first", r.First), zap.String("fault", r.Fault))
		}
		ob.update(func() bool {
			ob.walArchive = walArchive{&r, last}
			return false
		})
	})
}

// segmentBytes is wal_segment_size as any server of the cluster says it: all
// copies of one system identifier share it.
func (ob *Observer) segmentBytes() (uint64, bool) {
	ob.mu.Lock()
	defer ob.mu.Unlock()
	for _, s := range ob.servers {
		if s.status == nil {
			continue
		}
		n, err := strconv.ParseUint(s.status.Settings["wal_segment_size"], 10, 32)
		if err == nil && n >= 1<<20 && n&(n-1) == 0 {
			return n, true
		}
	}
	return 0, false
}

func lookForHoles(dir string, segmentBytes uint64) view.WALArchiveReport {
	f, err := os.Open(dir)
	if err != nil {
		return view.WALArchiveReport{Fault: err.Error()}
	}
	defer f.Close() //nolint:errcheck // nothing was written
	names, err := f.Readdirnames(-1)
	if err != nil {
		return view.WALArchiveReport{Fault: fmt.Sprintf("list %s: %v", dir, err)}
	}
	return holes(names, segmentBytes)
}

// segment is one archived file: the how-manieth segment of all WAL it is.
type segment struct {
	timeline replication.Timeline
	number   uint64
}

// holes finds what is missing between the first and the last file: of each
// timeline, and where one timeline begins after the end of all before it. What
// was pruned at the old end is no hole.
func holes(names []string, segmentBytes uint64) view.WALArchiveReport {
	all, known := parseArchive(names, segmentBytes)
	r := view.WALArchiveReport{Segments: len(all)}
	missing := func(s segment) {
		if r.Gaps++; r.Gaps == 1 {
			perLog := (uint64(1) << 32) / segmentBytes
			r.First = fmt.Sprintf("%08X%08X%08X", uint32(s.timeline), s.number/perLog, s.number%perLog)
		}
	}
	seen := map[replication.Timeline]bool{}
	var reached uint64 // the highest number of all timelines before this one
	for i, s := range all {
		same := i > 0 && all[i-1].timeline == s.timeline
		switch {
		case same && s.number > all[i-1].number+1:
			missing(segment{s.timeline, all[i-1].number + 1})
		case !same && i > 0 && s.number > reached+1:
			missing(segment{all[i-1].timeline, reached + 1})
		}
		if !seen[s.timeline] && s.timeline > 1 && !known[s.timeline] {
			r.Histories = append(r.Histories, s.timeline)
		}
		seen[s.timeline], reached = true, max(reached, s.number)
	}
	return r
}

// parseArchive gives the segments in order, each once, and the timelines whose
// history file is there.
func parseArchive(names []string, segmentBytes uint64) ([]segment, map[replication.Timeline]bool) {
	segments, histories := map[segment]bool{}, map[replication.Timeline]bool{}
	perLog := (uint64(1) << 32) / segmentBytes
	for _, name := range names {
		if m := segmentName.FindStringSubmatch(name); m != nil {
			if log, low := hex(m[2]), hex(m[3]); low < perLog {
				segments[segment{replication.Timeline(hex(m[1])), log*perLog + low}] = true //nolint:gosec // eight digits
			}
		} else if m := historyName.FindStringSubmatch(name); m != nil {
			histories[replication.Timeline(hex(m[1]))] = true //nolint:gosec // eight digits
		}
	}
	return slices.SortedFunc(maps.Keys(segments), func(a, b segment) int {
		return cmp.Or(cmp.Compare(a.timeline, b.timeline), cmp.Compare(a.number, b.number))
	}), histories
}

// hex reads eight digits that a pattern has let through.
func hex(s string) uint64 {
	n, _ := strconv.ParseUint(s, 16, 32)
	return n
}
