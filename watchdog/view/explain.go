package view

import (
	"strings"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

// Explanation is what the house knows of a condition code, whatever its case.
type Explanation struct {
	Means  string // when it is raised
	Refute string // which observation would prove it wrong or end it
}

// outside explains the codes that the service raises beside Judge, since they
// are about itself and not about the View.
var outside = map[Code]Explanation{
	alerts.CodeNotificationFailing: {
		Means:  "messages do not leave this node, or those that it keeps cannot be read",
		Refute: "one message that the channel accepts, or a spool that can be read again",
	},
}

// Explain gives the explanation of a code with its subject filled in; false
// for a code that this program does not know, as from a newer service.
func Explain(code Code, subject string) (Explanation, bool) {
	x, known := outside[code]
	if e, found := Lookup(code); found {
		x, known = Explanation{Means: e.Means, Refute: e.Refute}, true
	}
	if subject == "" {
		subject = "the node"
	}
	x.Refute = strings.ReplaceAll(x.Refute, "NODE", subject)
	return x, known
}

// Codes lists every condition code that can be explained, the gravest first.
func Codes() []Code {
	var all []Code
	for _, e := range catalogue {
		all = append(all, e.Code)
	}
	return append(all, alerts.CodeNotificationFailing)
}
