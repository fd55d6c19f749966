package replication

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// stepBack is how long the watcher leaves the walsender slots alone when none
// was left: a standby needs them more than we do.
const stepBack = 5 * time.Second

// reach makes a connection and reports what came of it; without one it waits
// before the next try, so that the loop never spins.
func (w *Watcher) reach(ctx context.Context) {
	if w.pending == nil {
		w.pending = startAttempt(w.target, w.patient.widen(w.o.Deadline))
	}
	a := w.pending
	if !a.await(ctx, w.patient.widen(w.o.Deadline)) {
		if ctx.Err() != nil {
			return
		}
		w.miss(a.began, VerdictHung, CauseTimeout, "connected, no answer to the startup message")
		w.rest(ctx, w.o.Period, a.done)
		return
	}
	w.pending = nil
	if a.err != nil {
		w.refused(ctx, a)
		return
	}
	w.link = a.link
	if err := w.probe(ctx); err != nil {
		w.drop()
		if ctx.Err() == nil {
			w.missed(ctx, a.began, err, PhaseQuery)
		}
	}
}

// refused judges an attempt that ended without a session.
func (w *Watcher) refused(ctx context.Context, a *attempt) {
	var pg *pgconn.PgError
	if errors.As(a.err, &pg) && pg.Code == "53300" {
		w.stepAside(ctx, a)
		return
	}
	w.missed(ctx, a.began, a.err, a.phase)
}

// missed reports a miss that a fresh connection has confirmed, and backs off.
func (w *Watcher) missed(ctx context.Context, began time.Time, err error, phase Phase) {
	v, cause := Classify(err, phase)
	v = w.refine(v, cause)
	w.miss(began, v, cause, detail(err))
	w.rest(ctx, w.backOff(v), nil)
}

func (w *Watcher) miss(began time.Time, v Verdict, cause, words string) {
	w.misses++
	now := time.Now()
	w.report(Sample{At: now, Took: now.Sub(began), Verdict: v, Cause: cause, Detail: words})
}

// backOff gives the pause before the next dial. A refusal costs the server
// nothing, so it is asked each period and a recovery is seen at once; silence
// and refused logins are asked more rarely, spread by a fifth to either side.
func (w *Watcher) backOff(v Verdict) time.Duration {
	var d time.Duration
	switch v {
	case VerdictDown, VerdictStarting, VerdictShuttingDown:
		return w.o.Period
	case VerdictUnreachable:
		d = time.Second // a SYN that nobody answers loads nobody
	default:
		d = 2 * time.Second
	}
	if w.misses > 2 {
		d = d * 5 / 2
	}
	d = max(d, w.o.Period)
	return d*4/5 + time.Duration(float64(d)*0.4*w.o.Jitter())
}

// rest waits for d, for the end of ctx, or for wake.
func (w *Watcher) rest(ctx context.Context, d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	began := time.Now()
	select {
	case <-ctx.Done():
	case <-t.C:
		w.patient.woke(began.Add(d), time.Now())
	case <-wake:
	}
}

// stepAside asks over an ordinary session, which it closes at once, because no
// walsender slot is left. That both kinds are used up is the saturation of the
// server.
func (w *Watcher) stepAside(ctx context.Context, a *attempt) {
	defer w.rest(ctx, max(stepBack, w.o.Period), nil)
	dctx, cancel := context.WithTimeout(ctx, 2*w.o.Deadline)
	defer cancel()
	began := time.Now()
	l, phase, err := connect(dctx, w.target, modeOrdinary, newWire(w.o.Deadline))
	if err != nil {
		if ctx.Err() == nil {
			v, cause := Classify(err, phase)
			w.miss(began, w.refine(v, cause), cause, detail(err))
		}
		return
	}
	w.link = l
	defer w.drop()
	id, err := l.identify(dctx)
	if err != nil {
		if ctx.Err() == nil {
			v, cause := Classify(err, PhaseQuery)
			w.miss(began, v, cause, detail(err))
		}
		return
	}
	w.answered(began, id, "no walsender slot left, asked over an ordinary session: "+detail(a.err))
	if err := w.survey(ctx); err != nil {
		w.o.Log.Debug("status over an ordinary session not readable", zap.Error(err))
	}
}
