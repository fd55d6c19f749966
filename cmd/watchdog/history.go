package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

func newHistory(a *app) *cobra.Command {
	var since string
	c := &cobra.Command{Use: "history", Short: "show who did what, oldest first", Args: takes(),
		Example: "  watchdog history --since 7d",
		RunE: func(cmd *cobra.Command, _ []string) error {
			age, err := parseAge(since)
			if err != nil {
				return err
			}
			l, err := ask(cmd.Context(), a, control.ListOps, "", control.None{})
			if err != nil {
				return err
			}
			ops := younger(l.Operations, a.now(), age)
			if a.json {
				return a.printDoc(map[string]any{"v": 1, "operations": nonNil(ops)})
			}
			a.out("%s", renderHistory(ops, a.style()))
			return nil
		}}
	c.Flags().StringVar(&since, "since", "", "only what began this long ago or later: 2h, 7d")
	return c
}

// parseAge reads a duration that may be in days; empty has no limit (0).
func parseAge(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		d, err = time.ParseDuration(days + "h")
		d *= 24
	}
	if err != nil || d <= 0 {
		return 0, &usageError{reason: fmt.Sprintf("--since: %q is no time", clean(s)), hint: "such as 30m, 2h or 7d"}
	}
	return d, nil
}

// younger gives the operations that began within age, oldest first.
func younger(ops []control.OperationLine, now time.Time, age time.Duration) []control.OperationLine {
	var out []control.OperationLine
	for i := len(ops) - 1; i >= 0; i-- {
		if age == 0 || now.Sub(ops[i].At) <= age {
			out = append(out, ops[i])
		}
	}
	return out
}

func renderHistory(ops []control.OperationLine, st style) string {
	if len(ops) == 0 {
		return "nothing is on record\n"
	}
	var rows [][]cell
	for _, o := range ops {
		state := strings.ToUpper(clean(o.State))
		if o.Took > 0 {
			state += " " + ageText(o.Took)
		}
		who := clean(o.By) + reasonText(o.Reason)
		if o.Text != "" && o.Text != o.State {
			who += "; " + clean(o.Text)
		}
		rows = append(rows, []cell{
			{text: o.At.Local().Format("2 Jan 15:04:05")}, {text: clean(o.ID)}, {text: clean(string(o.Kind))}, {text: clean(o.Node)},
			{text: state, colour: stateColour(o.State)}, {text: who},
		})
	}
	return table(st, "", rows)
}
