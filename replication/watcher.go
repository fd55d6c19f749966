package replication

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
)

// Watcher observes one PostgreSQL server over one kept walsender connection:
// it probes the position each period, reads the SQL status now and then, and
// listens in between, so that a killed server is known in milliseconds. A miss
// counts only after one fresh connection has confirmed it.
//
// Of our sockets a hung server holds at most two: the kept connection until it
// is dropped, and one fresh attempt, which is held instead of repeated.
type Watcher struct {
	target Target
	o      WatchOptions

	link    *link
	pending *attempt
	patient patience
	nextSQL time.Time
	seen    Timeline // of the last answer on this connection
	known   Timeline // timeline whose history this connection has given
	misses  int      // fresh attempts without an answer since the last one that had it
	verdict Verdict  // of the last sample, for transitions
	cause   string
	// stopping remembers 57P01 on the open connection: it decides what 57P03 on
	// a fresh one means, which PostgreSQL sends while stopping and starting.
	stopping bool
}

// NewWatcher checks target and options. Nothing is dialed before Run.
func NewWatcher(t Target, o WatchOptions) (*Watcher, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("set up watcher of %s: %w", t.Address(), err)
	}
	if _, err := t.config(modeWalsender); err != nil {
		return nil, fmt.Errorf("set up watcher: %w", err)
	}
	return &Watcher{target: t, o: o}, nil
}

// Run watches until ctx ends, and returns nil then. It has joined every
// goroutine and closed every socket when it returns.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.drop()
	defer w.abandon()
	for ctx.Err() == nil {
		if w.link == nil {
			w.reach(ctx)
			continue
		}
		w.turn(ctx)
	}
	return nil
}

// turn is one period on the kept connection: listen, then probe. Anything but
// a good answer drops the connection and is confirmed by a fresh one at once.
func (w *Watcher) turn(ctx context.Context) {
	began, d := time.Now(), UntilBeat(time.Now(), w.o.Period)
	if err := w.listen(ctx, d); err != nil {
		w.suspect(ctx, err)
		return
	}
	if ctx.Err() != nil {
		return
	}
	w.patient.woke(began.Add(d), time.Now())
	if err := w.probe(ctx); err != nil {
		w.suspect(ctx, err)
		return
	}
	if time.Now().Before(w.nextSQL) {
		return
	}
	if err := w.survey(ctx); err != nil {
		w.suspect(ctx, err)
	}
}

func (w *Watcher) listen(ctx context.Context, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return w.link.idle(ctx)
}

// probe asks the position once and reports the answer.
func (w *Watcher) probe(ctx context.Context) error {
	began := time.Now()
	pctx, cancel := context.WithTimeout(ctx, w.patient.widen(w.o.Deadline))
	defer cancel()
	id, err := w.link.identify(pctx)
	if err != nil {
		return err
	}
	w.answered(began, id, "")
	return nil
}

func (w *Watcher) answered(began time.Time, id identity, detail string) {
	now := time.Now()
	w.misses, w.stopping = 0, false
	w.report(Sample{
		At: now, Took: now.Sub(began), Verdict: VerdictHealthy, Detail: detail,
		SystemID: id.systemID, Role: id.role, Timeline: id.timeline, Position: id.position, Replay: id.replay,
	})
	if id.timeline != w.seen {
		w.seen, w.nextSQL = id.timeline, time.Time{} // a new connection or a new timeline: read everything now
	}
}

// survey reads history and status. Only a broken connection is an error: what
// the server refuses to tell is logged, and the position still counts.
func (w *Watcher) survey(ctx context.Context) error {
	w.nextSQL = time.Now().Add(w.o.SQLPeriod)
	sctx, cancel := context.WithTimeout(ctx, w.patient.widen(w.o.SQLDeadline))
	defer cancel()
	st, err := w.link.status(sctx)
	switch {
	case err == nil:
		st.Timeline = w.seen
		w.o.OnStatus(st)
	case errors.Is(err, errNoSQL):
	case w.link.pg.IsClosed() || sctx.Err() != nil:
		return err
	default:
		w.o.Log.Warn("status not readable", zap.Error(err))
	}
	return w.ancestry(sctx)
}

// ancestry fetches the history of a timeline when it is first seen on this
// connection; a standby may still lack the file, so a refusal is asked again
// with the next status.
func (w *Watcher) ancestry(ctx context.Context) error {
	if w.link.mode == modeOrdinary || w.seen == w.known {
		return nil
	}
	h, err := w.link.history(ctx, w.seen)
	switch {
	case err == nil:
		w.known = w.seen
		w.o.OnHistory(h)
	case w.link.pg.IsClosed():
		return err
	default:
		w.o.Log.Warn("history not readable", zap.Uint32("timeline", uint32(w.seen)), zap.Error(err))
	}
	return nil
}

// suspect handles a miss on the kept connection: it is dropped, and a fresh
// one decides.
func (w *Watcher) suspect(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	v, cause := Classify(err, PhaseQuery)
	w.stopping = v == VerdictShuttingDown
	w.o.Log.Debug("kept connection missed, asking a fresh one", zap.String("cause", cause), zap.Error(err))
	w.drop()
	w.reach(ctx)
}

// refine decides what the code alone leaves open, by what was seen before.
func (w *Watcher) refine(v Verdict, cause string) Verdict {
	switch {
	case cause == "57P03" && w.stopping:
		return VerdictShuttingDown
	case v != VerdictShuttingDown && cause != "57P03":
		w.stopping = false
	}
	return v
}

// report hands a sample out and logs transitions only.
func (w *Watcher) report(s Sample) {
	if s.Verdict != w.verdict || s.Cause != w.cause {
		level := w.o.Log.Warn
		if s.Verdict == VerdictHealthy {
			level = w.o.Log.Info
		}
		level("server verdict changed", zap.String("server", w.target.Address()), zap.Stringer("verdict", s.Verdict),
			zap.String("cause", s.Cause), zap.Stringer("role", s.Role), zap.Uint32("timeline", uint32(s.Timeline)), zap.Stringer("lsn", s.Position))
		w.verdict, w.cause = s.Verdict, s.Cause
	}
	w.o.OnSample(s)
}

func (w *Watcher) drop() {
	if w.link != nil {
		w.link.close()
		w.link, w.known, w.seen = nil, 0, 0
	}
}

func (w *Watcher) abandon() {
	if w.pending != nil {
		w.pending.abandon()
		w.pending = nil
	}
}
