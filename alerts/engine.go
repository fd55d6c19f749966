package alerts

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Engine turns conditions into incidents and incidents into delivered messages.
// Its methods may be called by several goroutines. What it has decided lives in
// memory first and is made durable before anything is sent; when the disk
// refuses, it goes on sending and tries to write again each round.
type Engine struct {
	opt     Options
	store   store
	log     *zap.Logger
	compose composer

	mu         sync.Mutex
	keyFrom    string // Options.Identity, or what SetIdentity gave
	incidents  map[string]*Incident
	spool      map[string]*entry
	dirty      changes
	channels   map[string]*channel
	peer       PeerView
	peerClaims map[string]time.Time // since when each has been standing
	lastAlive  map[string]time.Time // by node
	start      time.Time            // of the first round; zero before it
	storeErr   error                // as last logged
	overflow   bool                 // too many conditions, as last logged
}

// NewEngine reads the store and builds an engine that waits for its first
// Observe. It returns an error that wraps ErrStoreCorrupt, and overwrites
// nothing, when the store cannot be read.
func NewEngine(o Options) (*Engine, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	e := &Engine{
		opt: o, store: store{o.DB}, log: o.Log, keyFrom: o.Identity,
		compose:  composer{o.Catalogue, o.Cluster, o.Location, o.Details},
		dirty:    changes{map[string]*Incident{}, map[string]*entry{}},
		channels: map[string]*channel{}, lastAlive: map[string]time.Time{},
	}
	for _, r := range o.Routes {
		e.channels[r.Sink.Name()] = &channel{route: r, wake: make(chan struct{}, 1)}
	}
	var err error
	if e.incidents, e.spool, err = e.store.load(); err != nil {
		return nil, err
	}
	e.adoptSpool()
	return e, nil
}

// adoptSpool prepares messages of an earlier run: they are due at once, and
// those for which nobody is configured any more are dropped in words.
func (e *Engine) adoptSpool() {
	for id, en := range e.spool {
		en.NextTry = time.Time{}
		if ch := e.channels[en.Channel]; ch != nil && slices.Contains(ch.targets(), en.Target) {
			continue
		}
		e.log.Warn("message dropped: its recipient is no longer configured",
			zap.String("incident", en.Message.Incident), zap.String("channel", en.Channel), zap.Stringer("recipient", en.To))
		delete(e.spool, id)
		e.dirty.spool[id] = nil
	}
}

// SetIdentity gives the system identifier once it is known. Incidents that have
// fired keep the key they fired with.
func (e *Engine) SetIdentity(systemID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.keyFrom = systemID
}

// Observe takes the conditions of one round and gives the transitions they
// caused, after they and the messages they queue are durable. The transitions
// hold even with an error, which is about the store alone: the engine keeps them
// in memory and writes them in a later round.
func (e *Engine) Observe(now time.Time, conditions []Condition, peer PeerView) ([]Transition, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.beginRound(now, peer)
	e.hearClaims(peer.Notified, now)
	marks := parseMarks(peer.Notified)
	e.adoptMarks(marks)
	r := e.round(conditions, now)
	transitions := e.advanceAll(r, marks)
	e.dropTold()
	e.forgetOld()
	err := e.flush()
	for _, t := range transitions {
		e.logTransition(t)
	}
	for _, ch := range e.channels {
		ch.poke()
	}
	return transitions, err
}

// Idle says whether nothing is under way: no incident is open, held or held
// down, and no message waits. Rounds may then come more rarely.
func (e *Engine) Idle() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, in := range e.incidents {
		if in.State != StateNone && in.State != StateResolved {
			return false
		}
	}
	return len(e.spool) == 0
}

func (e *Engine) beginRound(now time.Time, peer PeerView) {
	if peer.Self == "" {
		peer.Self = e.opt.Node
	}
	e.peer = peer
	for _, name := range peer.Alive {
		e.lastAlive[name] = now
	}
	if !e.start.IsZero() {
		return
	}
	e.start = now
	for _, in := range e.incidents {
		*in = rebased(*in, now)
	}
	for _, en := range e.spool {
		en.Queued, en.FirstTry = rebase(en.Queued, now), rebase(en.FirstTry, now)
	}
}

// adoptMarks takes over what peers have told, so that it counts after they are
// gone and is gossiped by us as well.
func (e *Engine) adoptMarks(marks peerMarks) {
	if len(marks) == 0 {
		return
	}
	for id, in := range e.incidents {
		key := in.Key
		if in.State.waiting() { // a peer may tell it within our hold
			key = NewKey(e.keyFrom, in.Condition.Code, in.Condition.Subject)
		}
		for _, m := range marks[key.short()] {
			if in.Key != key { // first opening, or another identity since
				in.Key, in.Instance, in.Told = key, 0, nil
			}
			if e.adoptMark(in, m) {
				e.dirty.incidents[id] = in
			}
		}
	}
}

func (e *Engine) adoptMark(in *Incident, m mark) bool {
	changed := false
	if in.State.waiting() {
		in.heard = max(in.heard, m.stage)
	}
	if in.State.Open() && m.stage.instance() > in.Instance {
		in.Instance = m.stage.instance()
		changed = true
	}
	for _, target := range e.sharedTargets() {
		if m.target == "" || m.target == target {
			changed = in.tell(target, m.stage) || changed
		}
	}
	return changed
}

// sharedTargets are the recipients of which one telling by either node is enough.
func (e *Engine) sharedTargets() []string {
	var out []string
	for _, ch := range e.channels {
		if !ch.route.Local {
			out = append(out, ch.targets()...)
		}
	}
	slices.Sort(out)
	return out
}

// dropTold removes messages that a peer has delivered meanwhile.
func (e *Engine) dropTold() {
	for id, en := range e.spool {
		if e.told(en) {
			e.remove(id)
			e.channels[en.Channel].count.Suppressed++
		}
	}
}

func (e *Engine) told(en *entry) bool {
	in := e.incidents[en.Incident]
	return in != nil && in.Key == en.Message.Key && in.Told[en.Target] >= en.Stage
}

func (e *Engine) remove(id string) {
	delete(e.spool, id)
	e.dirty.spool[id] = nil
}

// flush makes everything durable that changed. What could not be written stays
// marked and is written with the next change.
func (e *Engine) flush() error {
	if e.dirty.empty() {
		return nil
	}
	err := e.store.write(e.dirty)
	switch {
	case err == nil:
		e.dirty = changes{map[string]*Incident{}, map[string]*entry{}}
		if e.storeErr != nil {
			e.log.Info("alert store is writable again")
		}
	case e.storeErr == nil:
		e.log.Error("alert store is not writable: messages are kept in memory only", zap.Error(err))
	}
	e.storeErr = err
	return err
}

// Notified gives the marks that this service must gossip: attempts under way,
// the codes that stand open, then what was told of incidents that are open, then of the ones that ended
// last, at most 64.
func (e *Engine) Notified() []string {
	const limit = 64
	e.mu.Lock()
	defer e.mu.Unlock()
	var known []*Incident
	for _, in := range e.incidents {
		if in.Key != "" && len(in.Told) > 0 {
			known = append(known, in)
		}
	}
	slices.SortFunc(known, func(a, b *Incident) int {
		if a.State.Open() != b.State.Open() {
			if a.State.Open() {
				return -1
			}
			return 1
		}
		return b.FiredAt.Compare(a.FiredAt)
	})
	out := append(e.claims(), e.openLines()...)
	for _, in := range known {
		for _, m := range e.marks(in) {
			if len(out) == limit {
				return out
			}
			out = append(out, m.String())
		}
	}
	return out
}

// marks says what was told of one incident in as few marks as it takes: one for
// all recipients, and one for each that is ahead of the others.
func (e *Engine) marks(in *Incident) []mark {
	targets := e.sharedTargets()
	if len(targets) == 0 {
		return nil
	}
	all := in.Told[targets[0]]
	for _, t := range targets {
		all = min(all, in.Told[t])
	}
	var out []mark
	if all > 0 {
		out = append(out, mark{key: in.Key.short(), stage: all})
	}
	for _, t := range targets {
		if in.Told[t] > all {
			out = append(out, mark{key: in.Key.short(), stage: in.Told[t], target: t})
		}
	}
	return out
}

// Incidents gives copies of all incidents that are not over, in a stable order.
func (e *Engine) Incidents() []Incident {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Incident
	for _, id := range sortedKeys(e.incidents) {
		if in := e.incidents[id]; in.State != StateResolved {
			out = append(out, in.clone())
		}
	}
	return out
}

// Find gives the incident of a code and subject, also one that is over.
func (e *Engine) Find(code, subject string) (Incident, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if in := e.incidents[identity(code, subject)]; in != nil {
		return in.clone(), nil
	}
	return Incident{}, fmt.Errorf("find incident %s (%s): %w", code, subject, ErrNoIncident)
}

// ErrNoIncident is returned when nothing was ever observed under a name.
var ErrNoIncident = errors.New("no such incident")
