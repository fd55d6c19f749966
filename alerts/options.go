package alerts

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

// Options is what an engine is built from. Fields marked required are refused
// by name when they are missing; the others have the default named beside them.
type Options struct {
	Node     string // required: this node's name, as in PeerView.Self
	Cluster  string // the pair's name, shown to people
	Identity string // the system identifier, or a name both nodes share while none is known
	DB       *bbolt.DB
	Log      *zap.Logger
	Routes   []Route
	// Catalogue has the words; required. See English.
	Catalogue Catalogue
	Now       func() time.Time // time.Now
	Location  *time.Location   // time.Local: the zone that people read
	// Details gives the table that goes into a message of this condition. It is
	// called while the engine is locked and must not call it.
	Details func(Condition) []string
	// OnChannelFault is told when a channel begins to fail (err set) and when it
	// works again (nil). It must not block.
	OnChannelFault func(channel string, err error)

	HoldDownFactor int           // 2: hold-down in multiples of the hold
	HoldDownMin    time.Duration // 10 s: the least hold-down
	InhibitSlack   time.Duration // 5 s: a root about to fire within this explains already
	InhibitLinger  time.Duration // 12 s: what a root explained waits at least this long after it
	TakeOver       time.Duration // 10 s: wait per rank for a mark of the nodes before this one
	SendTimeout    time.Duration // 30 s: limit of one attempt
	FaultAfter     time.Duration // 10 min: a message older than this makes its channel faulty
	Retry          RetryPolicy
	SpoolLimit     int // 2000 messages; what is dropped above it is counted and logged
}

// maxIncidents bounds memory against a caller that invents subjects.
const maxIncidents = 1000

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	if o.Details == nil {
		o.Details = func(Condition) []string { return nil }
	}
	if o.OnChannelFault == nil {
		o.OnChannelFault = func(string, error) {}
	}
	orDuration(&o.HoldDownMin, 10*time.Second)
	orDuration(&o.InhibitSlack, 5*time.Second)
	orDuration(&o.InhibitLinger, 12*time.Second)
	orDuration(&o.TakeOver, 10*time.Second)
	orDuration(&o.SendTimeout, 30*time.Second)
	orDuration(&o.FaultAfter, 10*time.Minute)
	if o.HoldDownFactor == 0 {
		o.HoldDownFactor = 2
	}
	if o.SpoolLimit == 0 {
		o.SpoolLimit = 2000
	}
	o.Retry = o.Retry.withDefaults()
	return o
}

func orDuration(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

func (o Options) validate() error {
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, fmt.Errorf("build alert engine: %s is missing", what))
		}
	}
	need(o.Node != "", "the node name")
	need(o.DB != nil, "the store")
	need(o.Log != nil, "the logger")
	need(o.Catalogue.complete(), "the message catalogue")
	for name, d := range map[string]time.Duration{
		"hold-down": o.HoldDownMin, "inhibition slack": o.InhibitSlack, "inhibition linger": o.InhibitLinger, "take-over wait": o.TakeOver,
		"send timeout": o.SendTimeout, "fault limit": o.FaultAfter,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("build alert engine: %s is negative: %v", name, d))
		}
	}
	if o.HoldDownFactor < 0 || o.SpoolLimit < 0 {
		errs = append(errs, errors.New("build alert engine: the hold-down factor and the spool limit cannot be negative"))
	}
	return errors.Join(append(errs, o.validateRoutes(), o.Retry.validate())...)
}

func (o Options) validateRoutes() error {
	names := map[string]bool{}
	for i, r := range o.Routes {
		switch {
		case r.Sink == nil:
			return fmt.Errorf("build alert engine: route %d has no sink", i+1)
		case len(r.To) == 0:
			return fmt.Errorf("build alert engine: route %d (%s) has no recipient", i+1, r.Sink.Name())
		case names[r.Sink.Name()]:
			return fmt.Errorf("build alert engine: channel %q stands in two routes", r.Sink.Name())
		}
		names[r.Sink.Name()] = true
	}
	return nil
}
