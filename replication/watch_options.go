package replication

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

// Periods and bounds of a Watcher (DESIGN section 3).
const (
	DefaultPeriod      = 500 * time.Millisecond
	MinPeriod          = 100 * time.Millisecond // below this the probe itself becomes load
	DefaultDeadline    = 500 * time.Millisecond
	DefaultSQLPeriod   = 5 * time.Second
	DefaultSQLDeadline = 2 * time.Second
)

// WatchOptions sets up a Watcher. Zero durations take the defaults; a nil
// callback is not called. Callbacks run on the watcher's goroutine, one at a
// time: a slow one delays the next probe.
type WatchOptions struct {
	Period      time.Duration // between position probes; floor MinPeriod
	Deadline    time.Duration // of one position probe, of TCP and of startup, each
	SQLPeriod   time.Duration // between SQL probes
	SQLDeadline time.Duration
	OnSample    func(Sample)
	OnStatus    func(Status)
	// OnHistory is called with the ancestry of a timeline when it is first seen
	// on a connection.
	OnHistory func(History)
	Log       *zap.Logger // nil: silent
	// Jitter gives numbers in [0,1) to spread dials; nil takes random ones.
	Jitter func() float64
}

func (o WatchOptions) withDefaults() WatchOptions {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&o.Period, DefaultPeriod}, {&o.Deadline, DefaultDeadline},
		{&o.SQLPeriod, DefaultSQLPeriod}, {&o.SQLDeadline, DefaultSQLDeadline},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if o.OnSample == nil {
		o.OnSample = func(Sample) {}
	}
	if o.OnStatus == nil {
		o.OnStatus = func(Status) {}
	}
	if o.OnHistory == nil {
		o.OnHistory = func(History) {}
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	return o
}

func (o WatchOptions) check() error {
	var errs []error
	if o.Period < MinPeriod {
		errs = append(errs, fmt.Errorf("period %v is below the floor %v", o.Period, MinPeriod))
	}
	if o.Deadline <= 0 || o.SQLDeadline <= 0 {
		errs = append(errs, fmt.Errorf("deadlines %v and %v must be above 0", o.Deadline, o.SQLDeadline))
	}
	if o.SQLPeriod < o.Period {
		errs = append(errs, fmt.Errorf("SQL period %v is below the position period %v", o.SQLPeriod, o.Period))
	}
	return errors.Join(errs...)
}
