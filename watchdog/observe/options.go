package observe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Periods, deadlines and counts of DESIGN section 3.
const (
	DefaultAppPeriod    = 5 * time.Second
	DefaultAppDeadline  = 2 * time.Second
	DefaultCommitPeriod = 2 * time.Second
	DefaultEdgePeriod   = 2 * time.Second
	DefaultEdgeDeadline = time.Second
	DefaultHostPeriod   = 10 * time.Second
	DefaultVolumePeriod = time.Minute // heavier than the others: it lists a directory and writes a file
	// A directory of a year may hold a hundred thousand files, on a slow share.
	DefaultArchivePeriod = 10 * time.Minute
	DefaultMisses        = 3
)

// Hooks are where a watcher hands out what it sees. They may be called from any
// goroutine until the watcher's Run has returned.
type Hooks struct {
	OnSample  func(replication.Sample)
	OnStatus  func(replication.Status)
	OnHistory func(replication.History)
}

// Watcher watches one PostgreSQL server until its context ends.
type Watcher interface {
	Run(ctx context.Context) error
}

// Server is one PostgreSQL server to watch.
type Server struct {
	Node string
	// Watch makes the watcher; see PostgreSQL for the real one.
	Watch func(Hooks) (Watcher, error)
}

// PostgreSQL gives the real watcher of a server. The hooks in o are replaced.
func PostgreSQL(t replication.Target, o replication.WatchOptions) func(Hooks) (Watcher, error) {
	return func(h Hooks) (Watcher, error) {
		o.OnSample, o.OnStatus, o.OnHistory = h.OnSample, h.OnStatus, h.OnHistory
		return replication.NewWatcher(t, o)
	}
}

// Edge is one measurement of the direct path to another node.
type Edge struct {
	RTT  time.Duration
	Skew time.Duration // the other clock minus ours, by round-trip midpoint
}

// Options set up an Observer. Node and Boot are required; what is nil is not
// probed. Zero periods and deadlines take the defaults.
type Options struct {
	Node    string
	Boot    string // random id of this run of the service
	Program string // version
	Witness bool
	Servers []Server

	// App asks the application; see NewAppProbe. AppURL is only reported.
	App         func(ctx context.Context) AppAnswer
	AppURL      string
	AppPeriod   time.Duration
	AppDeadline time.Duration

	// Edges are the other nodes; Edge measures one.
	Edges        []string
	Edge         func(ctx context.Context, node string) (Edge, error)
	EdgePeriod   time.Duration
	EdgeDeadline time.Duration

	// Commit tries commits on the own server; nil never does. MayCommit says
	// before each try whether this node holds the current epoch with no marker,
	// intent or contradiction; nil never may.
	Commit       Committer
	MayCommit    func() bool
	CommitPeriod time.Duration

	// Processes counts the living server processes that hold the own data directory.
	Processes func() (int, error)
	// DataDir is the own data directory, for the free space of its file system.
	DataDir    string
	HostPeriod time.Duration
	// StateDir is where the service keeps its state: its file system is measured
	// beside those of DataDir, and written to, every VolumePeriod. Empty leaves
	// all volumes out.
	StateDir     string
	VolumePeriod time.Duration
	// ArchiveDir holds archived segments as plain files, whose holes are looked
	// for every ArchivePeriod; empty: nowhere that this node can look at.
	ArchiveDir    string
	ArchivePeriod time.Duration

	// Misses is how many application or commit probes in a row must fail
	// before the failure is told.
	Misses int
	Now    func() time.Time // must carry the monotonic reading; nil: time.Now
	Log    *zap.Logger      // nil: silent
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&o.AppPeriod, DefaultAppPeriod}, {&o.AppDeadline, DefaultAppDeadline},
		{&o.CommitPeriod, DefaultCommitPeriod},
		{&o.EdgePeriod, DefaultEdgePeriod}, {&o.EdgeDeadline, DefaultEdgeDeadline}, {&o.HostPeriod, DefaultHostPeriod},
		{&o.VolumePeriod, DefaultVolumePeriod}, {&o.ArchivePeriod, DefaultArchivePeriod},
	} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if o.Misses == 0 {
		o.Misses = DefaultMisses
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

func (o Options) check() error {
	var errs []error
	if o.Node == "" || o.Boot == "" {
		errs = append(errs, errors.New("node and boot id are required"))
	}
	if o.Misses < 0 {
		errs = append(errs, fmt.Errorf("misses is %d, want 1 or more", o.Misses))
	}
	for name, d := range map[string]time.Duration{
		"application period": o.AppPeriod, "application deadline": o.AppDeadline, "commit period": o.CommitPeriod, "edge period": o.EdgePeriod, "edge deadline": o.EdgeDeadline, "host period": o.HostPeriod, "volume period": o.VolumePeriod, "archive period": o.ArchivePeriod,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s is %s, want more than 0", name, d))
		}
	}
	seen := map[string]bool{}
	for _, s := range o.Servers {
		if s.Node == "" || s.Watch == nil || seen[s.Node] {
			errs = append(errs, fmt.Errorf("server %q needs a name of its own and a watcher", s.Node))
		}
		seen[s.Node] = true
	}
	if len(o.Edges) > 0 && o.Edge == nil {
		errs = append(errs, errors.New("edges are named but cannot be measured"))
	}
	return errors.Join(errs...)
}
