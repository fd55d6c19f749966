package pgdata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// span is the part of WAL that one timeline holds: [begin, end), end 0 for no end.
type span struct {
	timeline   replication.Timeline
	begin, end replication.LSN
}

// branch is one timeline with its parents, oldest first.
type branch []span

func (b branch) has(tli replication.Timeline) bool {
	for _, s := range b {
		if s.timeline == tli {
			return true
		}
	}
	return false
}

// readBranch reads the history of a timeline. Without a history file it stands
// alone, as the server takes it.
func readBranch(dir string, tli replication.Timeline) (branch, error) {
	f, err := ReadHistory(dir, tli)
	if err != nil {
		return nil, err
	}
	if f.Timeline == 0 {
		return branch{{timeline: tli}}, nil
	}
	h, err := replication.ParseHistory(f.Text)
	if err == nil {
		h, err = h.Of(tli)
	}
	if err != nil {
		return nil, fmt.Errorf("read history of timeline %d: %w", tli, err)
	}
	var b branch
	var begin replication.LSN
	for _, p := range h.Parents {
		b = append(b, span{timeline: p.Timeline, begin: begin, end: p.SwitchPoint})
		begin = p.SwitchPoint
	}
	return append(b, span{timeline: tli, begin: begin}), nil
}

// open finds the file of a segment: that of the newest timeline which holds any
// of it, since a promotion copies the segment it happens in. What an older
// timeline wrote after it was left is not of this branch.
func (w walFiles) open(number uint64) (segment, error) {
	size := replication.LSN(w.control.WALSegmentSize)
	begin := replication.LSN(number) * size
	for i := len(w.branch) - 1; i >= 0; i-- {
		s := w.branch[i]
		if s.begin >= begin+size || (s.end != 0 && s.end <= begin) {
			continue
		}
		f, err := openSegment(w.dir, segmentName(s.timeline, number, uint64(size)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return segment{}, err
		}
		return segment{ReaderAt: f, close: f.Close, timeline: s.timeline, limit: s.end}, nil
	}
	return segment{}, fs.ErrNotExist
}

// openSegment also takes the name that a promotion gives to the last, unfinished
// segment of the timeline it leaves, so that it can be archived.
func openSegment(dir, name string) (*os.File, error) {
	path := filepath.Join(dir, "pg_wal", name)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Open(path + ".partial")
	}
	return f, err
}

// segmentName: XLogFileName of src/include/access/xlog_internal.h.
func segmentName(tli replication.Timeline, number, size uint64) string {
	perID := uint64(1) << 32 / size
	return fmt.Sprintf("%08X%08X%08X", uint32(tli), number/perID, number%perID)
}
