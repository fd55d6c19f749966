package view

import (
	"fmt"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// epochs raises SupersededPrimary: somebody made another node primary, and this
// one does not know or does not obey.
func (j *judgement) epochs() {
	newest := j.Epoch()
	for _, a := range j.servers {
		if a.Standing != StandingPrimary || a.ByWAL {
			continue
		}
		own, source, ok := j.epochOf(a)
		if !ok || own >= newest.Number {
			continue
		}
		j.raise(finding{
			code: SupersededPrimary, subject: a.Node,
			text: fmt.Sprintf("%s still runs as primary under epoch %d, but epoch %d has made %s the primary.",
				a.Node, own, newest.Number, newest.Primary),
			evidence: append([]string{fmt.Sprintf("%s: epoch %d; newest known epoch %d", source, own, newest.Number)}, j.evidence(a.Node)...),
		})
	}
}

// epochOf gives the newest epoch that the node or its database knows. The
// durable one comes before the row: it is made before a promotion, the row after.
func (j *judgement) epochOf(a Appraisal) (uint64, string, bool) {
	var number uint64
	source, ok := "", false
	if d := j.Durable(a.Node); d != nil {
		number, source, ok = d.Epoch.Number, "durable state of "+a.Node, true
	}
	if s, found := newestStatus(j.Sightings(a.Node)); found && s.Status.Epoch != nil && s.Status.Epoch.Number >= number {
		number, source, ok = s.Status.Epoch.Number, "epoch table on "+a.Node, true
	}
	return number, source, ok
}

// roles raises UnexpectedRoleChange for a server whose role is not what the
// newest epoch gives it, while nobody operates on the cluster.
func (j *judgement) roles() {
	epoch := j.Epoch()
	if epoch.Zero() || epoch.Primary == "" || j.Operating() {
		return
	}
	for _, a := range j.servers {
		role, ok := a.role()
		if !ok || role == a.Expected || j.known(a, role) {
			continue
		}
		c := finding{
			code: UnexpectedRoleChange, subject: a.Node, evidence: j.evidence(a.Node),
			text: fmt.Sprintf("%s runs as %s, but epoch %d makes %s the primary, and no operation is open: nobody confirmed this.",
				a.Node, role, epoch.Number, epoch.Primary),
		}
		if role == replication.RoleStandby {
			c.hint = "watchdog release " + a.Node
		}
		j.raise(c)
	}
}

// role is what the server proved to be by its own answer.
func (a Appraisal) role() (replication.Role, bool) {
	switch {
	case a.Standing == StandingPrimary && !a.ByWAL:
		return replication.RolePrimary, true
	case a.Standing == StandingStandby:
		return replication.RoleStandby, true
	default:
		return replication.RoleUnknown, false
	}
}

// known reports whether the deviation has its own explanation: a fenced node is
// meant to be in recovery, and a primary of an older epoch is SupersededPrimary.
func (j *judgement) known(a Appraisal, role replication.Role) bool {
	if role == replication.RoleStandby {
		return j.Held(a.Node) != ""
	}
	own, _, ok := j.epochOf(a)
	return ok && own < j.Epoch().Number
}

// operations raises OperationStopped: for what its owner says stopped, and for
// an intent whose owner no longer works on it.
func (j *judgement) operations() {
	told := map[string]bool{}
	for _, o := range j.Operations() {
		told[o.ID] = true
		if o.State != "stopped" {
			continue
		}
		j.raise(finding{
			code: OperationStopped, subject: o.ID,
			text:     fmt.Sprintf("Operation %s (%s) stopped at step %q and waits for somebody: %s", o.ID, o.Kind, o.Step, sentence(o.Text)),
			evidence: []string{fmt.Sprintf("%s: stopped %s ago, started by %s", o.ID, Span(o.Age), orUnknown(o.By))},
			hint:     "watchdog ops show " + o.ID,
		})
	}
	j.orphans(told)
}

// orphans looks for intents that nobody runs. A node that holds one never
// starts as primary, so it must not be forgotten.
func (j *judgement) orphans(told map[string]bool) {
	for _, n := range j.observers() {
		d := j.Durable(n)
		if d == nil {
			continue
		}
		for _, in := range d.Intents {
			if told[in.Operation] {
				continue
			}
			told[in.Operation] = true
			j.raise(finding{
				code: OperationStopped, subject: in.Operation, hold: ptr(j.limits.HoldOrphanIntent),
				text: fmt.Sprintf("%s holds the intent of operation %s (%s), but its owner %s does not say that it runs it; while the intent stands, %s does not start as primary.",
					n, in.Operation, in.Kind, in.Owner, n),
				evidence: []string{fmt.Sprintf("opened by %s at %s (printed at %s, clock of %s)", orUnknown(in.By),
					in.OpenedAt.UTC().Format("2006-01-02 15:04:05Z"), j.now.UTC().Format("15:04:05Z"), j.Self),
					fmt.Sprintf("%s was heard %s ago", in.Owner, j.heardWords(in.Owner))},
				hint: "watchdog ops show " + in.Operation,
			})
		}
	}
}

// states raises StateUnreadable.
func (j *judgement) states() {
	for _, n := range j.observers() {
		h, ok := j.Reports[n]
		if !ok || h.Report.StateFault == "" {
			continue
		}
		j.raise(finding{
			code: StateUnreadable, subject: n,
			text:     fmt.Sprintf("%s cannot read its durable state and refuses to act: %s", n, sentence(h.Report.StateFault)),
			evidence: []string{fmt.Sprintf("%s said so %s ago", n, Span(h.Heard))},
		})
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// sentence ends a text from elsewhere with a full stop.
func sentence(s string) string {
	if s == "" {
		return "no reason was given."
	}
	if last := s[len(s)-1]; last == '.' || last == '!' || last == '?' {
		return s
	}
	return s + "."
}
