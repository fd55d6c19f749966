package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func newWhy(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "why [CONDITION|INCIDENT|NODE]", Short: "show what every open condition rests on, and what would refute it", Args: atMost("CONDITION|INCIDENT|NODE"), ValidArgs: view.Codes(),
		Long: "why shows the evidence behind every open condition: who saw what, how old it is, and\n" +
			"which observation would prove it wrong or end it; then what is seen of every server,\n" +
			"from every vantage point. Exit 0 whenever the service could answer.",
		Example: "  watchdog why\n  watchdog why NoPrimary\n  watchdog why 4F2",
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := ask(cmd.Context(), a, control.Status, "", control.None{})
			if err != nil {
				return err
			}
			d, err := explain(s, strings.Join(args, ""))
			if err != nil {
				return err
			}
			if a.json {
				return a.printDoc(d)
			}
			a.out("%s", renderWhy(s, d, a.style()))
			return nil
		},
	}
}

// whyDoc is the document behind `watchdog why`: version 1.
type whyDoc struct {
	V          int           `json:"v"`
	Cluster    string        `json:"cluster"`
	AskedOn    string        `json:"asked_on"`
	At         time.Time     `json:"at"`
	State      string        `json:"state"`
	About      string        `json:"about,omitempty"` // what was asked for
	Conditions []whyOpen     `json:"conditions"`
	Closed     *whyClosed    `json:"not_open,omitempty"` // a condition that was asked for and is not open
	Faults     []string      `json:"faults,omitempty"`
	Heard      []whyHeard    `json:"heard"`
	Seen       []whySighting `json:"seen"`
}

// whyOpen is an open condition with what is known of it in general.
type whyOpen struct {
	view.OpenCondition
	Means  string `json:"means,omitempty"`
	Refute string `json:"refute,omitempty"` // empty: this program does not know the code
}

type whyClosed struct {
	Code   string `json:"code"`
	Means  string `json:"means"`
	Refute string `json:"refute"`
}

// whyHeard is when the service of a node was heard last, in nanoseconds;
// negative is never.
type whyHeard struct {
	Node    string        `json:"node"`
	Self    bool          `json:"self,omitempty"`
	Heard   time.Duration `json:"heard"`
	Planned bool          `json:"planned_stop,omitempty"`
}

// whySighting is one server from one vantage point.
type whySighting struct {
	Observer string `json:"observer"`
	view.ServerReport
}

// explain picks what was asked for: everything, a code, an incident or a node.
func explain(s view.Status, about string) (whyDoc, error) {
	d := whyDoc{V: 1, Cluster: s.Cluster, AskedOn: s.AskedOn, At: s.At, State: s.State, About: about, Faults: s.Faults,
		Conditions: []whyOpen{}, Heard: []whyHeard{}, Seen: []whySighting{}}
	node := slices.IndexFunc(s.Nodes, func(n view.NodeStatus) bool { return n.Node == about })
	for _, c := range s.Open {
		if about == "" || concerns(c, about) {
			x, _ := view.Explain(c.Code, c.Subject)
			d.Conditions = append(d.Conditions, whyOpen{OpenCondition: c, Means: x.Means, Refute: x.Refute})
		}
	}
	for _, n := range s.Nodes {
		if node < 0 || n.Node == about {
			d.Heard = append(d.Heard, whyHeard{Node: n.Node, Self: n.Self, Heard: n.Heard, Planned: n.Planned})
			d.Seen = append(d.Seen, sightings(n)...)
		}
	}
	if about == "" || node >= 0 || len(d.Conditions) > 0 {
		return d, nil
	}
	for _, code := range view.Codes() {
		if strings.EqualFold(code, about) {
			x, _ := view.Explain(code, "")
			d.Closed = &whyClosed{Code: code, Means: x.Means, Refute: x.Refute}
			return d, nil
		}
	}
	return d, unknownName(s, about)
}

// concerns reports whether a condition answers to a name: its code, its
// incident, or a node that it is about ("db1-db2" is about both).
func concerns(c view.OpenCondition, name string) bool {
	return strings.EqualFold(c.Code, name) || c.Incident != "" && strings.EqualFold(c.Incident, name) || view.About(c, name)
}

func unknownName(s view.Status, name string) error {
	known := view.Codes()
	for _, n := range s.Nodes {
		known = append(known, n.Node)
	}
	for _, c := range s.Open {
		known = append(known, c.Code)
		if c.Incident != "" {
			known = append(known, c.Incident)
		}
	}
	return &usageError{reason: fmt.Sprintf("no condition, open incident or node %q", clean(name)),
		hint: didYouMean(name, known, "watchdog why, which shows everything that is open")}
}

func sightings(n view.NodeStatus) []whySighting {
	var out []whySighting
	for i, seen := range n.Seen {
		if i < len(n.Observers) {
			seen.Node = n.Node
			out = append(out, whySighting{Observer: n.Observers[i], ServerReport: seen})
		}
	}
	return out
}
