package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// askConfirm is the value of --confirm without a name: ask on the terminal. No
// node can be called so.
const askConfirm = "(ask)"

// intent is what the flags of an act say.
type intent struct {
	kind       runbooks.Kind
	node       string // positional; empty for promote
	confirm    string // "", askConfirm or a node
	plan       string
	reason     string
	loss       string
	poweredOff string
	detach     bool
}

func newPromote(a *app) *cobra.Command {
	c := newAct(a, runbooks.KindPromote, &cobra.Command{
		Use: "promote", Short: "make the standby the primary", Args: takes(),
		Long: `promote prints the plan and changes nothing. With --confirm it shows the plan
again, re-measured, and asks to type the name of the node that becomes primary,
and the loss if there may be any; scripts give --confirm=NODE --plan=ID --no-input.
The operation runs in the service: a lost terminal only detaches.`,
		Example: "  watchdog promote\n  watchdog promote --confirm\n  watchdog promote --confirm=db2 --plan=K7Q2 --accept-data-loss=16kB --reason \"runbook 3\" --no-input --json",
	})
	return c
}

func newFence(a *app) *cobra.Command {
	return newAct(a, runbooks.KindFence, &cobra.Command{
		Use: "fence NODE", Short: "make sure that a node cannot write, and prove it", Args: takes("NODE"), ValidArgsFunction: a.completeNodes,
	})
}

func newRelease(a *app) *cobra.Command {
	return newAct(a, runbooks.KindRelease, &cobra.Command{
		Use: "release NODE", Short: "let a held node be primary again, with proof about the other", Args: takes("NODE"), ValidArgsFunction: a.completeNodes,
	})
}

func newAdopt(a *app) *cobra.Command {
	return newAct(a, runbooks.KindAdopt, &cobra.Command{
		Use: "adopt NODE", Short: "record the present primary and make the boot gates active", Args: takes("NODE"), ValidArgsFunction: a.completeNodes,
	})
}

// newAct gives a command the flags that every act shares.
func newAct(a *app, kind runbooks.Kind, c *cobra.Command) *cobra.Command {
	in := intent{kind: kind}
	f := c.Flags()
	f.StringVar(&in.confirm, "confirm", "", "carry it out: ask on the terminal, or with =`NODE` do not ask")
	f.Lookup("confirm").NoOptDefVal = askConfirm
	f.StringVar(&in.plan, "plan", "", "`ID` of the plan that was read and is confirmed")
	f.StringVar(&in.reason, "reason", "", "`TEXT` for the journal")
	if kind == runbooks.KindPromote || kind == runbooks.KindRelease {
		f.StringVar(&in.loss, "accept-data-loss", "", "`SIZE` that may be lost, or unknown")
	}
	if kind != runbooks.KindAdopt {
		f.StringVar(&in.poweredOff, "i-have-powered-off", "", "`NODE` that you switched off yourself; goes on record with your name")
	}
	f.BoolVar(&in.detach, "detach", false, "start it and do not wait (exit 8)")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			in.node = args[0]
		}
		return a.carryOut(cmd.Context(), in)
	}
	return c
}

// request turns the flags into what is asked of the service.
func (in intent) request() (runbooks.Request, error) {
	r := runbooks.Request{Kind: in.kind, Node: in.node, PlanID: in.plan, Reason: in.reason, StatedOff: in.poweredOff}
	if in.kind == runbooks.KindPromote && in.confirm != askConfirm {
		r.Node = in.confirm
	}
	if in.loss == "" {
		return r, nil
	}
	return r, acceptLoss(&r, in.loss)
}

// acceptLoss reads what the operator accepts to lose.
func acceptLoss(r *runbooks.Request, text string) error {
	if strings.EqualFold(strings.TrimSpace(text), "unknown") {
		r.AcceptLossUnknown, r.AcceptLossBytes = true, nil
		return nil
	}
	size, err := config.ParseSize(text)
	if err != nil {
		return &usageError{reason: "--accept-data-loss: " + clean(err.Error()), hint: "a size such as 0B, 16kB, 16MiB, or unknown"}
	}
	n := uint64(size)
	r.AcceptLossBytes = &n
	return nil
}

// carryOut is the life of one act: the plan, the confirmation, the start, the
// stream of its steps.
func (a *app) carryOut(ctx context.Context, in intent) error {
	r, err := in.request()
	if err != nil {
		return err
	}
	switch {
	case in.confirm == "":
		return a.showPlan(ctx, r)
	case in.confirm == askConfirm:
		return a.confirmByHand(ctx, in, r)
	case in.node != "" && in.confirm != in.node:
		return refuse(runbooks.ExitUnconfirmed, "confirmation", "--confirm="+clean(in.node),
			"the confirmation names %q, the command is about %q", clean(in.confirm), clean(in.node))
	}
	return a.confirmByFlag(ctx, in, r)
}

// showPlan is the command without --confirm: it changes nothing.
func (a *app) showPlan(ctx context.Context, r runbooks.Request) error {
	if r.PlanID != "" || r.Node == askConfirm {
		return &usageError{reason: "--plan belongs to --confirm=NODE", hint: "watchdog " + string(r.Kind) + " --help"}
	}
	p, err := ask(ctx, a, control.MakePlan, "", r)
	if err != nil {
		return err
	}
	if err := a.printPlan(p); err != nil {
		return err
	}
	if p.Refusal != nil {
		return exitCode(p.Refusal.Exit)
	}
	return nil
}

type planDoc struct {
	V    int           `json:"v"`
	Plan runbooks.Plan `json:"plan"`
}

func (a *app) printPlan(p runbooks.Plan) error {
	if a.json {
		return a.printDoc(planDoc{V: 1, Plan: p})
	}
	a.out("%s", renderPlan(p, a.style()))
	return nil
}

// confirmByFlag carries out what was confirmed on the command line. Without a
// plan's id the plan of this moment is shown and used.
func (a *app) confirmByFlag(ctx context.Context, in intent, r runbooks.Request) error {
	if r.PlanID != "" {
		return a.start(ctx, in, r)
	}
	p, err := ask(ctx, a, control.MakePlan, "", r)
	if err != nil {
		return err
	}
	if !a.json && !a.quiet {
		a.out("%s", renderPlan(p, a.style()))
	}
	switch {
	case p.Refusal != nil:
		return p.Refusal
	case p.Already:
		return a.already(p.Target, planReason(p))
	}
	r.PlanID = p.ID
	return a.start(ctx, in, r)
}

func planReason(p runbooks.Plan) string {
	for _, g := range p.Gates {
		if g.OK && g.Reason != "" {
			return g.Reason
		}
	}
	return "nothing is to be done"
}

// already ends an act that has nothing to do.
func (a *app) already(node, text string) error {
	if a.json {
		return a.printLine(map[string]any{"v": 1, "already": true, "changed": false, "node": node, "text": text})
	}
	a.say("nothing was done: %s\n", clean(text))
	return nil
}
