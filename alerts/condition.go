package alerts

import (
	"fmt"
	"time"
)

// Severity says whom a condition concerns. The zero value tells nobody.
type Severity uint8

// The severities.
const (
	SeverityInfo    Severity = iota // status only
	SeverityWarning                 // mail
	SeverityPage                    // wake somebody
)

var severityNames = [...]string{"info", "warning", "page"}

// String gives the name used in output, configuration and metrics.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("severity(%d)", uint8(s))
}

// Condition is something observed to be true, as the engine is told of it on
// every round. Code and Subject identify it; Hold and what inhibits it come from
// the catalogue of the caller.
type Condition struct {
	Code     string // stable name, e.g. "NoPrimary"
	Subject  string // node-neutral: "pair", or the node it is about
	Severity Severity
	Hold     time.Duration // how long it must last before it becomes an incident
	Text     string        // one sentence
	Evidence []string      // who saw what, how old
	Hint     string        // the next command
	Runbook  string        // page name
	// InhibitedBy lists codes (any subject) whose open incident lists this one
	// instead of a message of its own.
	InhibitedBy []string
	// Rise is what it becomes when its present figure lasts; nil: what it is.
	Rise *Rise `json:",omitempty"`
	// NeverSilenced marks a condition that no silence, pause or inhibition may
	// hold back.
	NeverSilenced bool
}
