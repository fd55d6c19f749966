package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func newCheck(a *app) *cobra.Command {
	c := &cobra.Command{
		Use: "check [CONDITION|NODE]", Short: "answer a monitoring system: Nagios line, perfdata and exit codes",
		Long: "check prints one line and perfdata as a Nagios plugin does, the reasons below it.\n" +
			"Exit 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN: these four and no other. A condition\n" +
			"within its hold is a warning; missing data, or no service, is UNKNOWN.",
		Example:           "  watchdog check\n  watchdog check NoPrimary\n  watchdog check db2 --json",
		Args:              func(cmd *cobra.Command, args []string) error { return a.plugin(atMost("CONDITION|NODE")(cmd, args)) },
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.plugin(a.usableTimeout()) },
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := ask(cmd.Context(), a, control.Status, "", control.None{})
			if err != nil {
				return a.plugin(err)
			}
			return a.check(s, strings.Join(args, ""))
		},
	}
	// The usage error of every other command is exit 2, which here would page.
	c.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return a.plugin(flagError(cmd, err)) })
	return c
}

// plugin tells of a failure as a plugin must: on standard output, UNKNOWN.
func (a *app) plugin(err error) error {
	var told exitCode
	if err == nil || errors.As(err, &told) {
		return err
	}
	r := asRefusal(err)
	lines := []checkReason{{State: view.MonitorUnknown.String(), Text: r.Reason}}
	if r.Hint != "" {
		lines = append(lines, checkReason{State: view.MonitorUnknown.String(), Text: "hint: " + r.Hint})
	}
	return a.printCheck(checkDoc{V: 1, Cluster: "watchdog", Reasons: lines, Perf: []perf{}}, view.MonitorUnknown)
}

// checkDoc is the document behind `watchdog check`: version 1.
type checkDoc struct {
	V       int           `json:"v"`
	Cluster string        `json:"cluster"`
	State   string        `json:"state"` // OK, WARNING, CRITICAL, UNKNOWN
	Exit    int           `json:"exit"`
	About   string        `json:"about,omitempty"`
	Summary string        `json:"summary"`
	Reasons []checkReason `json:"reasons"`
	Perf    []perf        `json:"perfdata"`
}

type checkReason struct {
	State string `json:"state"`
	Text  string `json:"text"`
}

// perf is one value of the perfdata; nil is not known.
type perf struct {
	Label string   `json:"label"`
	Value *float64 `json:"value"`
	Unit  string   `json:"unit"`
}

func (a *app) check(s view.Status, name string) error {
	state, lines, err := view.Monitor(s, name, a.now())
	if err != nil {
		return a.plugin(unknownName(s, name))
	}
	d := checkDoc{V: 1, Cluster: s.Cluster, About: name, Summary: s.Summary, Reasons: []checkReason{}, Perf: perfdata(s)}
	if name != "" {
		d.Summary = name + " is well"
	}
	for _, l := range lines {
		d.Reasons = append(d.Reasons, checkReason{State: l.State.String(), Text: l.Text})
	}
	return a.printCheck(d, state)
}

func (a *app) printCheck(d checkDoc, state view.MonitorState) error {
	d.State, d.Exit = state.String(), state.Exit()
	if len(d.Reasons) > 0 && state != view.MonitorOK {
		d.Summary = d.Reasons[0].Text
		if more := len(d.Reasons) - 1; more > 0 {
			d.Summary += fmt.Sprintf("; %d more", more)
		}
	}
	if a.json {
		if err := a.printDoc(d); err != nil {
			return err
		}
		return exitCode(d.Exit)
	}
	line := fmt.Sprintf("%s %s - %s", strings.ToUpper(pluginText(d.Cluster)), d.State, pluginText(d.Summary))
	if values := perfText(d.Perf); values != "" {
		line += " | " + values
	}
	a.out("%s\n", line)
	for _, r := range d.Reasons {
		a.out("%s: %s\n", r.State, pluginText(r.Text))
	}
	return exitCode(d.Exit)
}

// pluginText is text that does not end where perfdata would begin.
func pluginText(s string) string { return strings.ReplaceAll(clean(s), "|", "/") }

// perfText gives values as the plugin guidelines want them; U is not known.
// Labels are ours, and node names are letters, digits and dashes: no quotes.
func perfText(values []perf) string {
	var out []string
	for _, p := range values {
		v := "U"
		if p.Value != nil {
			v = fmt.Sprintf("%.4g", *p.Value)
			if p.Unit != "s" {
				v = fmt.Sprintf("%.0f", *p.Value)
			}
			v += p.Unit
		}
		out = append(out, pluginText(p.Label)+"="+v+";;;0")
	}
	return strings.Join(out, " ")
}

// perfdata gives the figures that are worth a graph. The labels name no node
// where there is one standby, so that a graph lives on after the roles change.
func perfdata(s view.Status) []perf {
	receive, replay, behind := lagPerf("receive_lag_bytes", "B"), lagPerf("replay_lag_bytes", "B"), lagPerf("time_lag", "s")
	oldest, known := time.Duration(0), len(s.Nodes) > 0
	for _, n := range s.Nodes {
		if n.Witness {
			continue
		}
		if n.Role != replication.RolePrimary {
			receive.add(n.ReceiveLagBytes)
			replay.add(n.ReplayLagBytes)
			behind.time(n.Lag)
		}
		age := n.SampleAge()
		known = known && age >= 0
		oldest = max(oldest, age)
	}
	firing := 0
	for _, c := range s.Open {
		if c.Severity != "info" {
			firing++
		}
	}
	sample := perf{Label: "oldest_sample", Unit: "s"}
	if known {
		sample.Value = number(oldest.Seconds())
	}
	values := []perf{receive.perf(), replay.perf(), behind.perf(), {Label: "conditions", Value: number(float64(firing))}, sample}
	for _, n := range s.Nodes {
		if n.DataFreeBytes != nil {
			values = append(values, perf{Label: "disk_free_" + n.Node, Value: number(float64(*n.DataFreeBytes)), Unit: "B"})
		}
	}
	return values
}

func number(v float64) *float64 { return &v }

// lag is the greatest lag of all standbys; one that is not known hides all.
type lag struct {
	label, unit string
	value       float64
	unknown     bool
	some        bool
}

func lagPerf(label, unit string) *lag { return &lag{label: label, unit: unit} }

func (l *lag) add(bytes *uint64) {
	l.some = true
	if bytes == nil {
		l.unknown = true
		return
	}
	l.value = max(l.value, float64(*bytes))
}

// time adds a lag in seconds.
func (l *lag) time(of *view.Lag) {
	l.some = true
	if of == nil || of.Time == nil {
		l.unknown = true
		return
	}
	l.value = max(l.value, of.Time.Seconds())
}

func (l *lag) perf() perf {
	p := perf{Label: l.label, Unit: l.unit}
	if l.some && !l.unknown {
		p.Value = number(l.value)
	}
	return p
}
