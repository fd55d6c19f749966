package alerts

import "time"

// Rise is what becomes of a condition whose figure has passed a second, graver
// threshold: its severity once it has stayed there for Hold. Whoever judges sees
// one moment only; how long it has lasted is kept here.
type Rise struct {
	Severity Severity
	Hold     time.Duration
}

// take makes c what was last observed of the incident, with the severity that it
// has risen to by now.
func (i *Incident) take(c Condition, now time.Time) {
	i.Condition = c
	if c.Rise == nil {
		i.RiseFrom = time.Time{}
		return
	}
	if i.RiseFrom.IsZero() {
		i.RiseFrom = now
	}
	if now.Sub(i.RiseFrom) >= c.Rise.Hold {
		i.Condition.Severity = max(c.Severity, c.Rise.Severity)
	}
}
