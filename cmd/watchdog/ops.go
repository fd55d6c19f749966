package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

func newOps(a *app) *cobra.Command {
	return group(&cobra.Command{Use: "ops", Short: "list, show, follow, resume and abort operations"},
		newOpsList(a), newOpsShow(a), newOpsFollow(a), newOpsResume(a), newOpsAbort(a))
}

func newOpsList(a *app) *cobra.Command {
	return &cobra.Command{Use: "list", Short: "list the operations in this node's journal, newest first", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := ask(cmd.Context(), a, control.ListOps, "", control.None{})
			if err != nil {
				return err
			}
			if a.json {
				return a.printDoc(map[string]any{"v": 1, "operations": nonNil(l.Operations)})
			}
			a.out("%s", renderOperations(l.Operations, a.style()))
			return nil
		}}
}

func newOpsShow(a *app) *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: "show the journal of one operation", Args: takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			records, err := a.records(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printDoc(map[string]any{"v": 1, "records": nonNil(records)})
			}
			for _, r := range records {
				a.out("%s", renderJournal(r, a.style()))
			}
			return nil
		}}
}

func newOpsFollow(a *app) *cobra.Command {
	return &cobra.Command{Use: "follow ID", Short: "show an operation's steps until it ends", Args: takes("ID"),
		Long: "follow shows what was done so far and then every step as it happens. Interrupting\nit does not stop the operation (exit 8). Otherwise the exit code is the operation's.",
		RunE: func(cmd *cobra.Command, args []string) error {
			records, err := a.records(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.follow(cmd.Context(), &follower{a: a, id: args[0], past: lastSeq(records) - 1})
		}}
}

func newOpsResume(a *app) *cobra.Command {
	var loss, reason, poweredOff string
	var detach bool
	c := &cobra.Command{Use: "resume ID", Short: "go on with an operation that stopped part-way", Args: takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r := runbooks.Request{Reason: reason, StatedOff: poweredOff}
			if loss != "" {
				if err := acceptLoss(&r, loss); err != nil {
					return err
				}
			}
			return a.goOn(cmd.Context(), control.ResumeOp, args[0], r, detach, "resumed")
		}}
	c.Flags().StringVar(&loss, "accept-data-loss", "", "`SIZE` that may be lost, or unknown")
	c.Flags().StringVar(&poweredOff, "i-have-powered-off", "", "`NODE` that you switched off yourself")
	c.Flags().StringVar(&reason, "reason", "", "`TEXT` for the journal")
	c.Flags().BoolVar(&detach, "detach", false, "do not wait (exit 8)")
	return c
}

func newOpsAbort(a *app) *cobra.Command {
	var reason string
	var detach bool
	c := &cobra.Command{Use: "abort ID", Short: "take back what can be taken back and close an operation", Args: takes("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := a.goOn(cmd.Context(), control.AbortOp, args[0], runbooks.Request{Reason: reason}, detach, "aborted")
			return abortedWell(err)
		}}
	c.Flags().StringVar(&reason, "reason", "", "`TEXT` for the journal")
	c.Flags().BoolVar(&detach, "detach", false, "do not wait (exit 8)")
	return c
}

// errTakenBack is how an operation ends that was closed as not done.
type errTakenBack struct{ exitCode }

// abortedWell turns "closed as not done" into success: that is what an abort
// is for.
func abortedWell(err error) error {
	var back errTakenBack
	if errors.As(err, &back) {
		return nil
	}
	return err
}

// goOn resumes or aborts an operation and follows what that does.
func (a *app) goOn(ctx context.Context, e control.Endpoint[runbooks.Request, control.Started], id string, r runbooks.Request, detach bool, done string) error {
	records, err := a.records(ctx, id)
	if err != nil {
		return err
	}
	s, err := act(context.WithoutCancel(ctx), a, e, id, r)
	if err != nil {
		return err
	}
	if s.Already {
		return a.already(s.Node, s.Text)
	}
	a.talk("%s ", done)
	return a.started(ctx, s, detach, lastSeq(records))
}

func (a *app) records(ctx context.Context, id string) ([]runbooks.Record, error) {
	r, err := ask(ctx, a, control.ShowOp, id, control.None{})
	return r.Records, err
}

func lastSeq(records []runbooks.Record) int {
	if len(records) == 0 {
		return 0
	}
	return records[len(records)-1].Seq
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func renderOperations(ops []control.OperationLine, st style) string {
	if len(ops) == 0 {
		return "no operation is on record\n"
	}
	rows := [][]cell{plainCells("ID", "OPERATION", "NODE", "STATE", "STEP", "STARTED", "TOOK", "BY", "REASON")}
	for _, o := range ops {
		rows = append(rows, []cell{
			{text: clean(o.ID)}, {text: clean(string(o.Kind))}, {text: clean(o.Node)}, {text: clean(o.State), colour: stateColour(o.State)},
			{text: orDash(o.Step)}, {text: o.At.Local().Format("2 Jan 15:04:05")}, {text: ageText(o.Took)}, {text: orDash(o.By)}, {text: orDash(o.Reason)},
		})
	}
	return table(st, "", rows)
}

func stateColour(state string) string {
	switch state {
	case "done":
		return green
	case "stopped":
		return red
	case "running":
		return yellow
	}
	return ""
}

func orDash(s string) string {
	if s == "" {
		return notApplicableText
	}
	return clean(s)
}

// renderJournal is renderRecord with the announcements, and the time in front
// of every line.
func renderJournal(r runbooks.Record, st style) string {
	if r.Type == runbooks.RecordIntent {
		return fmt.Sprintf("%s %2d/%d %-14s begins: %s\n", clock(r.At), r.N, r.Of, clean(r.Step), clean(r.Text))
	}
	text := renderRecord(r, st)
	if r.Type == runbooks.RecordOutcome {
		return clock(r.At) + " " + text
	}
	return text
}
