package pgdata

import (
	"errors"
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// End is where valid WAL ends in a data directory, and what lies before it.
type End struct {
	From       replication.LSN      // where reading began
	LSN        replication.LSN      // first byte after the last valid record
	Timeline   replication.Timeline // of the segment that holds the end
	LastRecord replication.LSN      // where the last valid record starts; 0 without one
	Records    int                  // from From to LSN
	Commits    int                  // commit records among them, of prepared transactions too
	Aborts     int
	LastCommit time.Time // server's clock; zero without a commit
	// ShutdownCheckpoint says that the last record is a shutdown checkpoint:
	// the server stopped in order and wrote nothing after it.
	ShutdownCheckpoint bool
	// EndOfRecovery lists the end-of-recovery records, one per promotion. Two
	// promotions of the same state can agree in timeline and position, but
	// hardly in this time.
	EndOfRecovery []Promotion
	Reason        string // why reading stopped, for the evidence line
}

// Promotion is one end-of-recovery record.
type Promotion struct {
	LSN replication.LSN
	At  time.Time // server's clock
}

// EndOfWAL reads the WAL in the directory's pg_wal on the history of timeline
// tli, from a record boundary to the first thing that is no valid record, as
// crash recovery would. It only means something while no process holds the
// directory (see Holders); read it twice where that is not certain.
//
// from 0 begins at the control file's redo position, tli 0 takes the timeline
// that crash recovery would, segSize 0 the control file's. An end that lies before from is given as it is: the disk then holds
// less than the caller has. Errors: those of ReadControl, ErrNotBoundary,
// ErrWALMissing, or one of reading.
func EndOfWAL(dir string, tli replication.Timeline, from replication.LSN, segSize int) (End, error) {
	c, err := ReadControl(dir)
	if err != nil {
		return End{}, err
	}
	if segSize != 0 && segSize != c.WALSegmentSize {
		return End{}, fmt.Errorf("read end of WAL: segment size is %d, not %d", c.WALSegmentSize, segSize)
	}
	if tli == 0 { // as InitWalRecovery, src/backend/access/transam/xlogrecovery.c
		tli = max(c.Timeline, c.MinRecoveryTimeline)
	}
	branch, err := readBranch(dir, tli)
	if err != nil {
		return End{}, err
	}
	w := walFiles{dir: dir, control: c, branch: branch}
	if from == 0 {
		from = c.Redo
	}
	end, err := w.walk(from)
	if err != nil {
		return End{}, err
	}
	if end.Records == 0 && from != c.Redo {
		return w.confirm(end)
	}
	return end, w.complete(end)
}

// walFiles is one data directory seen as the WAL of one branch.
type walFiles struct {
	dir     string
	control Control
	branch  branch
}

func (w walFiles) walk(from replication.LSN) (End, error) {
	p := pages{
		open:      w.open,
		segSize:   uint64(w.control.WALSegmentSize),
		blockSize: uint64(w.control.WALBlockSize),
		sysID:     w.control.SystemID,
		known:     w.branch.has,
	}
	defer p.close()
	return walk(&p, from)
}

// complete refuses an end that lies before what recovery needs: then the
// segments are lost, and "so much was written" would be a false statement.
func (w walFiles) complete(e End) error {
	if need := max(w.control.Checkpoint, w.control.MinRecovery); w.branch.has(w.control.Timeline) && e.LSN < need {
		return fmt.Errorf("%w: it ends at %s (%s), and recovery needs it up to %s", ErrWALMissing, e.LSN, e.Reason, need)
	}
	return nil
}

// confirm is for a start after which nothing valid was found. That is the end
// of WAL, or a position inside a record; reading from the checkpoint tells.
func (w walFiles) confirm(empty End) (End, error) {
	whole, err := w.walk(w.control.Redo)
	if err != nil {
		return End{}, err
	}
	if err := w.complete(whole); err != nil {
		return End{}, err
	}
	if whole.LSN > empty.From {
		return End{}, fmt.Errorf("%w: nothing valid begins at %s (%s), but WAL goes on to %s",
			ErrNotBoundary, empty.From, empty.Reason, whole.LSN)
	}
	empty.LSN, empty.LastRecord, empty.Timeline = whole.LSN, whole.LastRecord, whole.Timeline
	empty.ShutdownCheckpoint = whole.ShutdownCheckpoint
	return empty, nil
}

// walk reads records until something is no valid record.
func walk(p *pages, from replication.LSN) (End, error) {
	e := End{From: from, LSN: from}
	for {
		r, err := p.read(e.LSN, e.LastRecord)
		if o, ok := errors.AsType[*overwritten](err); ok {
			r, err = p.resume(o, e.LastRecord)
		}
		if isEnd(err) {
			return e.stop(p, err.Error()), nil
		}
		if err != nil {
			return End{}, fmt.Errorf("read end of WAL: %w", err)
		}
		e.add(r)
	}
}

// resume reads the record that stands in place of the one given up.
func (p *pages) resume(o *overwritten, prev replication.LSN) (record, error) {
	r, err := p.read(o.next, prev)
	if err == nil && !r.replaces(o.start) {
		return record{}, endf("record at %s does not replace the one at %s", r.start, o.start)
	}
	return r, err
}

func (e End) stop(p *pages, why string) End {
	e.Reason = why
	if p.haveSeg {
		e.Timeline = p.seg.timeline
	}
	return e
}

func (e *End) add(r record) {
	e.Records++
	e.LSN, e.LastRecord = r.end, r.start
	e.ShutdownCheckpoint = r.is(rmgrXLOG, xlogShutdownCheckpoint)
	if r.is(rmgrXLOG, xlogEndOfRecovery) {
		e.EndOfRecovery = append(e.EndOfRecovery, Promotion{LSN: r.start, At: r.time()})
	}
	if r.rmgr != rmgrXact {
		return
	}
	switch r.info & xactKind {
	case xactCommit, xactCommitPrepared:
		e.Commits++
		e.LastCommit = r.time()
	case xactAbort, xactAbortPrepared:
		e.Aborts++
	}
}
