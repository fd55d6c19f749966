package alerts

import "time"

// rules are the times of the life of an incident.
type rules struct {
	holdDownFactor int
	holdDownMin    time.Duration
	inhibitSlack   time.Duration
	inhibitLinger  time.Duration
}

// cause is what explains a condition in this round; the zero value is nothing.
type cause struct {
	code string
	open bool // told to people, by this service or by a live peer
}

// holdDown is how long a condition must be gone before its incident is over, so
// that a condition that comes and goes is one incident.
func (r rules) holdDown(c Condition) time.Duration {
	return max(time.Duration(r.holdDownFactor)*c.Hold, r.holdDownMin)
}

// advance gives the next state of one incident. present says whether its
// condition was observed this round, by names what explains it. It is pure, and
// it may pass two states at once: a condition without hold goes from none to
// firing.
func advance(in Incident, present bool, by cause, r rules, now time.Time) Incident {
	if present {
		return advancePresent(in, by, r, now)
	}
	return advanceAbsent(in, r, now)
}

func advancePresent(in Incident, by cause, r rules, now time.Time) Incident {
	switch in.State {
	case StateNone, StateResolved:
		in.State, in.FirstSeen, in.HoldFrom = StatePending, now, now
		in.FiredAt, in.GoneSince, in.ResolvedAt = time.Time{}, time.Time{}, time.Time{}
		in.Root, in.RootFired, in.CauseGone, in.heard, in.lapse = "", false, time.Time{}, 0, lapse{}
	case StateResolving:
		in.lapse = lapse{from: in.GoneSince, to: now}
		in.State, in.GoneSince = StateFiring, time.Time{}
	}
	if !in.State.waiting() {
		return in
	}
	in.GoneSince = time.Time{}
	if by.code != "" {
		in.State, in.Root = StateInhibited, by.code
		in.RootFired = in.RootFired || by.open
		return in
	}
	if in.State == StateInhibited {
		in = released(in, now)
	}
	if now.Sub(in.HoldFrom) >= in.Condition.Hold && (in.CauseGone.IsZero() || now.Sub(in.CauseGone) >= r.inhibitLinger) {
		in.State, in.FiredAt = StateFiring, now
	}
	return in
}

// released lets an incident speak for itself, because what explained it has
// gone. Its condition is likely to go as well, only its probe has not looked
// since: hence the linger. A cause that nobody was told of grants it once, else
// one that comes and goes within its hold would keep its effect silent for ever.
func released(in Incident, now time.Time) Incident {
	if in.RootFired { // its own hold begins when the explanation ends
		in.HoldFrom = now
	}
	if in.RootFired || in.CauseGone.IsZero() {
		in.CauseGone = now
	}
	in.State, in.Root, in.RootFired = StatePending, "", false
	return in
}

func advanceAbsent(in Incident, r rules, now time.Time) Incident {
	switch in.State {
	case StatePending, StateInhibited:
		// After a restart the first rounds know little: what the store remembers
		// is not dropped before the condition had time to be seen again.
		if !in.seen && in.GoneSince.IsZero() {
			in.GoneSince = now
		}
		if in.seen || now.Sub(in.GoneSince) >= r.holdDown(in.Condition) {
			in.State, in.GoneSince = StateNone, time.Time{}
		}
	case StateFiring:
		in.State, in.GoneSince = StateResolving, now
	case StateResolving:
		if now.Sub(in.GoneSince) >= r.holdDown(in.Condition) {
			in.State, in.ResolvedAt = StateResolved, now
		}
	}
	return in
}

// rebased ties stored times to the clock of this run: each keeps its age, and
// from then on a clock that is set, as NTP does after a boot, changes none.
func rebased(in Incident, now time.Time) Incident {
	for _, t := range []*time.Time{&in.FirstSeen, &in.HoldFrom, &in.FiredAt, &in.CauseGone, &in.GoneSince, &in.ResolvedAt, &in.RiseFrom} {
		*t = rebase(*t, now)
	}
	return in
}

// rebase gives the same wall time with the monotonic reading that a time loses
// on disk. What lies ahead becomes now: a clock that was set back while the
// service was down must not stretch a hold.
func rebase(t, now time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return now.Add(-since(t, now))
}
