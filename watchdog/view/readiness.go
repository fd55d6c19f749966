package view

import (
	"fmt"
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// ReadinessReport is the newest preflight of one operation that the reporting
// node would run. An operation that is not listed, and one with no checks, is
// not known.
type ReadinessReport struct {
	Operation string        `json:"operation"` // promote, switchover
	Target    string        `json:"target"`    // who would become primary
	Checks    int           `json:"checks"`    // how many were made; 0: nothing is known
	Failing   []ReadyCheck  `json:"failing,omitempty"`
	Age       time.Duration `json:"age"` // since they were made
}

// ReadyCheck is one check that fails.
type ReadyCheck struct {
	Name   string `json:"name"` // stable
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"` // the command or setting that mends it
}

// LoginReport is one try of the connection that a standby on the reporting node
// would open to another server.
type LoginReport struct {
	Node   string        `json:"node"` // whose server was asked
	OK     bool          `json:"ok"`
	Detail string        `json:"detail,omitempty"`
	Age    time.Duration `json:"age"`
}

// The states of a ReadyStatus.
const (
	ReadyUnknown = "unknown" // not checked, or too long ago
	ReadyYes     = "ready"
	ReadyNo      = "not_ready"
)

// ReadyStatus is whether one operation would work.
type ReadyStatus struct {
	Operation string        `json:"operation"`
	Target    string        `json:"target"`
	State     string        `json:"state"` // ready, not_ready, unknown
	Age       time.Duration `json:"age"`   // since it was checked; negative: never
	Checks    int           `json:"checks"`
	Failing   []ReadyCheck  `json:"failing,omitempty"`
}

// maxReady bounds the operations and the failing checks of one report.
const maxReady = 64

// Readiness lists what could be done about the primary: promoting and switching
// to each standby, and switching back. Only the target's own service, which
// would run the operation, can tell; what it does not tell is unknown.
func (v View) Readiness(l Limits) []ReadyStatus {
	var out []ReadyStatus
	for _, node := range v.Servers() {
		operations := []string{"promote", "switchover"}
		switch v.ExpectedRole(node) {
		case replication.RolePrimary:
			operations = operations[1:]
		case replication.RoleUnknown:
			continue
		}
		for _, operation := range operations {
			out = append(out, v.readiness(l, operation, node))
		}
	}
	return out
}

func (v View) readiness(l Limits, operation, target string) ReadyStatus {
	st := ReadyStatus{Operation: operation, Target: target, State: ReadyUnknown, Age: Never}
	h, heard := v.Reports[target]
	if !heard {
		return st
	}
	i := slices.IndexFunc(h.Report.Readiness, func(r ReadinessReport) bool { return r.Operation == operation && r.Target == target })
	if i < 0 {
		return st
	}
	r := h.Report.Readiness[i]
	st.Age, st.Checks, st.Failing = older(r.Age, h.Heard), r.Checks, r.Failing
	switch {
	case st.Checks <= 0 || st.Age < 0 || st.Age > l.ReadyStale:
	case len(st.Failing) > 0:
		st.State = ReadyNo
	default:
		st.State = ReadyYes
	}
	return st
}

// shownReadiness is Readiness as people are told of it: what was checked before
// something changed is not known any more. The condition is more patient, for
// the next check comes within a minute.
func (v View) shownReadiness(l Limits) []ReadyStatus {
	all := v.Readiness(l)
	for i, r := range all {
		if v.changedSince(r.Target, r.Age) {
			all[i].State = ReadyUnknown
		}
	}
	return all
}

// changedSince reports whether the observer's verdict on any server is younger
// than a check of that age: then the check was about another situation.
func (v View) changedSince(observer string, age time.Duration) bool {
	for _, node := range v.Servers() {
		for _, s := range v.Sightings(node) {
			if s.Observer == observer && s.Since >= 0 && s.Since < age {
				return true
			}
		}
	}
	return false
}

func cloneReadiness(all []ReadinessReport) []ReadinessReport {
	all = slices.Clone(all)
	for i := range all {
		all[i].Failing = slices.Clone(all[i].Failing)
	}
	return all
}

func cleanReadiness(r *Report) {
	for i := range r.Readiness {
		words(&r.Readiness[i].Operation)
		for j := range r.Readiness[i].Failing {
			f := &r.Readiness[i].Failing[j]
			words(&f.Name)
			texts(&f.Reason, &f.Hint)
		}
	}
	if r.Login != nil {
		texts(&r.Login.Detail)
	}
}

func (c *checker) readiness(r Report) {
	c.count("readiness", len(r.Readiness), maxReady)
	for i, ready := range r.Readiness {
		at := fmt.Sprintf("readiness[%d]", i)
		c.name(at+".target", ready.Target)
		c.age(at+".age", ready.Age)
		c.count(at+".failing", len(ready.Failing), maxReady)
		c.that(at+".checks", ready.Checks >= len(ready.Failing) && ready.Checks <= maxReady, "no number of checks")
	}
	if r.Login != nil {
		c.name("login.node", r.Login.Node)
		c.age("login.age", r.Login.Age)
	}
}
