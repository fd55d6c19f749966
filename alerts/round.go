package alerts

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// round lines up the conditions with the incidents they belong to. New ones get
// an incident without state, which advance may begin.
func (e *Engine) round(conditions []Condition, now time.Time) *round {
	r := &round{
		incidents: e.incidents, present: map[string]bool{}, now: now,
		rules: rules{e.opt.HoldDownFactor, e.opt.HoldDownMin, e.opt.InhibitSlack, e.opt.InhibitLinger},
		roots: map[string]*Incident{}, visited: map[string]bool{}, peers: openAtPeers(e.peer.Notified),
	}
	lost := 0
	grave := map[string]Condition{}
	for _, c := range conditions {
		id := identity(c.Code, c.Subject)
		in := e.incidents[id]
		if in == nil {
			if len(e.incidents) >= maxIncidents {
				lost++
				continue
			}
			in = &Incident{}
			e.incidents[id] = in
		}
		if !r.present[id] || c.Severity > grave[id].Severity {
			grave[id] = c
		}
		in.seen, r.present[id] = true, true
	}
	e.take(grave, now)
	e.noteOverflow(lost)
	r.order = sortedKeys(e.incidents)
	for _, id := range r.order {
		r.root(id)
	}
	return r
}

// take brings every incident up to what was observed. A break ends the time that
// its figure has been past the graver threshold.
func (e *Engine) take(observed map[string]Condition, now time.Time) {
	for id, in := range e.incidents {
		from := in.RiseFrom
		if c, present := observed[id]; present {
			in.take(c, now)
		} else {
			in.RiseFrom = time.Time{}
		}
		if !in.RiseFrom.Equal(from) {
			e.dirty.incidents[id] = in // outlives a restart, as the hold does
		}
	}
}

func (e *Engine) noteOverflow(lost int) {
	if over := lost > 0; over != e.overflow {
		e.overflow = over
		if over {
			e.log.Error("too many different conditions: some are not tracked", zap.Int("lost", lost))
		}
	}
}

// advanceAll moves every incident one round on and queues what must be told.
func (e *Engine) advanceAll(r *round, marks peerMarks) []Transition {
	var out []Transition
	before := map[string]Incident{}
	for _, id := range r.order {
		before[id] = *e.incidents[id]
	}
	// All states first, messages after: a message lists what its incident
	// explains, as it stands after this round.
	for _, id := range r.order {
		*e.incidents[id] = advance(before[id], r.present[id], r.cause(id), r.rules, r.now)
	}
	for _, id := range r.order {
		in, was := e.incidents[id], before[id]
		if in.State != was.State {
			if in.State == StateFiring && was.State != StateResolving {
				e.openIncident(in, marks)
			}
			e.dirty.incidents[id] = in
			out = append(out, Transition{Incident: in.clone(), From: was.State, To: in.State, At: r.now})
		}
		if in.State == StateFiring && was.State.Open() && e.endMayBeTold(in, r.now) {
			e.reopen(in, marks)
			e.dirty.incidents[id], was.State = in, StateResolved
		}
		e.tell(id, in, was.State, r)
		if in.State == StateNone {
			e.dropUntold(id, in)
		}
	}
	return out
}

func (e *Engine) openIncident(in *Incident, marks peerMarks) {
	key := NewKey(e.keyFrom, in.Condition.Code, in.Condition.Subject)
	if in.Key != key { // another identity since: its counter and marks are another's
		in.Key, in.Instance, in.Told = key, 0, nil
	}
	in.Instance = joinInstance(in.Instance, max(marks.newest(key), in.heard), in.newestTold())
	in.heard = 0
	for _, m := range marks[key.short()] {
		e.adoptMark(in, m)
	}
}

// dropUntold forgets an incident that ended within its hold, unless an earlier
// opening left a counter to keep.
func (e *Engine) dropUntold(id string, in *Incident) {
	if in.Instance > 0 {
		in.State = StateResolved
		return
	}
	delete(e.incidents, id)
	e.dirty.incidents[id] = nil
}

// tell queues the messages that the state calls for. It may be called again in
// the same state: what was told or is queued already is not queued twice, so a
// severity that rises reaches those who were not concerned before.
func (e *Engine) tell(id string, in *Incident, was State, r *round) {
	switch {
	case in.State == StateFiring && (!was.Open() || in.raised()):
		in.ToldSeverity = in.Condition.Severity
		e.dirty.incidents[id] = in
		e.queue(id, in, EventFiring, r)
	case in.State == StateResolved && was == StateResolving:
		e.queue(id, in, EventResolved, r)
	}
}

func (e *Engine) queue(id string, in *Incident, event Event, r *round) {
	if in.Condition.Severity == SeverityInfo {
		return
	}
	m := e.compose.compose(in, event, r.explained(id), r.now)
	for _, name := range sortedKeys(e.channels) {
		route := e.channels[name].route
		if !route.wants(in.Condition.Severity) {
			continue
		}
		for _, to := range route.To {
			e.queueOne(&entry{
				Incident: id, Channel: name, To: to, Target: targetOf(name, to.Address), Local: route.Local,
				Stage: stageOf(in.Instance, event), Message: m, Queued: r.now,
			})
		}
	}
}

func (e *Engine) queueOne(en *entry) {
	id := en.id()
	if e.spool[id] != nil || e.told(en) {
		return
	}
	if en.Stage.event() == EventResolved && !e.heardFiring(en) {
		return // who was not told of the beginning needs no end
	}
	e.spool[id] = en
	e.dirty.spool[id] = en
	for len(e.spool) > e.opt.SpoolLimit {
		e.drop(victim(e.spool), "the spool is full")
	}
}

func (e *Engine) heardFiring(en *entry) bool {
	in := e.incidents[en.Incident]
	return in != nil && in.Told[en.Target].event() == EventFiring || e.earlier(en)
}

// earlier says whether the recipient still waits for an earlier event of the
// same incident.
func (e *Engine) earlier(en *entry) bool {
	for _, o := range e.spool {
		if o.Message.Key == en.Message.Key && o.Target == en.Target && o.Stage < en.Stage {
			return true
		}
	}
	return false
}

// drop gives a message up, never without a word.
func (e *Engine) drop(en *entry, why string) {
	e.remove(en.id())
	if in := e.incidents[en.Incident]; in != nil && en.Stage.event() == EventResolved && in.Key == en.Message.Key {
		// Left at firing, the mark would silence the next opening at the peer.
		in.tell(en.Target, en.Stage)
		e.dirty.incidents[en.Incident] = in
	}
	if ch := e.channels[en.Channel]; ch != nil {
		ch.count.Dropped++
	}
	e.log.Error("message dropped: "+why,
		zap.String("incident", en.Message.Incident), zap.String("code", en.Message.Code),
		zap.Stringer("event", en.Message.Event), zap.Stringer("severity", en.Message.Severity),
		zap.String("channel", en.Channel), zap.Stringer("recipient", en.To),
		zap.Int("attempts", en.Attempts), zap.String("err", en.LastError))
}

// keepResolved is how many incidents that are over are remembered for their
// counter and marks.
const keepResolved = 300

func (e *Engine) forgetOld() {
	var over []string
	for id, in := range e.incidents {
		if in.State == StateResolved {
			over = append(over, id)
		}
	}
	if len(over) <= keepResolved {
		return
	}
	slices.SortFunc(over, func(a, b string) int {
		return cmp.Or(e.incidents[a].FiredAt.Compare(e.incidents[b].FiredAt), cmp.Compare(a, b))
	})
	for _, id := range over[:len(over)-keepResolved] {
		delete(e.incidents, id)
		e.dirty.incidents[id] = nil
	}
}

func (e *Engine) logTransition(t Transition) {
	fields := []zap.Field{
		zap.String("code", t.Incident.Condition.Code), zap.String("subject", t.Incident.Condition.Subject),
		zap.Stringer("severity", t.Incident.Condition.Severity), zap.Stringer("from", t.From), zap.Stringer("to", t.To),
	}
	if t.Incident.Key != "" {
		fields = append(fields, zap.String("incident", t.Incident.ID()), zap.Uint32("opening", t.Incident.Instance))
	}
	if t.Incident.Root != "" {
		fields = append(fields, zap.String("listed_in", t.Incident.Root))
	}
	e.log.Info("incident "+t.To.String(), fields...)
}
