package main

import (
	"bufio"
	"context"
	"fmt"
	"os/user"
	"strings"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// errNotConfirmed is every answer that is not the one asked for.
func errNotConfirmed(hint string) error {
	return refuse(runbooks.ExitUnconfirmed, "confirmation", hint, "not confirmed, nothing was changed")
}

// confirmByHand shows the plan of this moment, has the operator type what it
// is about, and starts that plan.
func (a *app) confirmByHand(ctx context.Context, in intent, r runbooks.Request) error {
	if !a.mayAsk() {
		return refuse(runbooks.ExitUnconfirmed, "confirmation", "read the plan, then: watchdog "+commandOf(in)+" --confirm=NODE --plan=ID --no-input",
			"--confirm alone asks on a terminal, and there is none")
	}
	r.PlanID = "" // what is confirmed by hand is always what is true now
	p, err := ask(ctx, a, control.MakePlan, "", r)
	if err != nil {
		return err
	}
	a.out("%s", renderPlan(p, a.style()))
	switch {
	case p.Already:
		return a.already(p.Target, planReason(p))
	case p.Refusal != nil && p.Refusal.Gate != lossGate:
		return exitCode(p.Refusal.Exit)
	}
	if p, r, err = a.typed(ctx, p, r); err != nil {
		return err
	}
	r.PlanID = p.ID
	return a.start(ctx, in, r)
}

func commandOf(in intent) string {
	if in.node == "" {
		return string(in.kind)
	}
	return string(in.kind) + " " + clean(in.node)
}

// typed asks for everything that this plan wants typed, and gives the plan
// that the answers stand for.
func (a *app) typed(ctx context.Context, p runbooks.Plan, r runbooks.Request) (runbooks.Plan, runbooks.Request, error) {
	lines := newPrompter(a)
	a.ask("%s\n", a.whoAndWhat(ctx, p))
	if err := lines.want(ctx, "Type the node to "+string(p.Kind), p.Target); err != nil {
		return p, r, err
	}
	if r.Kind == runbooks.KindPromote {
		r.Node = p.Target
	}
	fresh := p
	if lossDemanded(p) {
		var err error
		if fresh, err = a.typedLoss(ctx, lines, p, &r); err != nil {
			return p, r, err
		}
	}
	if fresh.Phrase != "" {
		if err := lines.want(ctx, fmt.Sprintf("Type %q", clean(fresh.Phrase)), fresh.Phrase); err != nil {
			return p, r, err
		}
	}
	return fresh, r, nil
}

// typedLoss asks for the loss, and makes the plan again with the answer: the
// service judges it, not this command.
func (a *app) typedLoss(ctx context.Context, lines *prompter, p runbooks.Plan, r *runbooks.Request) (runbooks.Plan, error) {
	answer, err := lines.line(ctx, "Type the loss you accept ("+lossWanted(p.Loss)+"), or Enter to stop: ")
	if err != nil {
		return p, err
	}
	if answer == "" {
		return p, errNotConfirmed("")
	}
	r.AcceptLossBytes, r.AcceptLossUnknown = nil, false
	if err := acceptLoss(r, answer); err != nil {
		return p, errNotConfirmed("type a size such as " + lossWanted(p.Loss))
	}
	fresh, err := ask(ctx, a, control.MakePlan, "", *r)
	switch {
	case err != nil:
		return p, err
	case fresh.Refusal != nil && fresh.Refusal.Gate == lossGate:
		return p, refuse(runbooks.ExitUnconfirmed, lossGate, fresh.Refusal.Hint, "%s", fresh.Refusal.Reason)
	case fresh.Refusal != nil:
		return p, fresh.Refusal
	}
	if worse := runbooks.Worse(p, fresh); worse != "" {
		return p, refuse(runbooks.ExitUnconfirmed, "confirmation", "read the plan again: watchdog "+string(p.Kind), "the state changed while you typed: %s", worse)
	}
	return fresh, nil
}

// lossDemanded reports whether the operator must type what may be lost: more
// than is allowed, or nobody knows.
func lossDemanded(p runbooks.Plan) bool {
	if !hasLoss(p) {
		return false
	}
	n, known := lossFigure(p.Loss)
	return !known || n > p.Loss.AllowedBytes
}

// lossFigure is the figure that is to be accepted; unknown when neither a
// proof nor the unsealed disk gives one.
func lossFigure(l runbooks.Loss) (bytes uint64, known bool) {
	switch {
	case l.AtMostBytes != nil:
		return *l.AtMostBytes, true
	case l.Unsealed != 0:
		return l.Unsealed.Since(l.Standby), true
	}
	return 0, false
}

func lossWanted(l runbooks.Loss) string {
	n, known := lossFigure(l)
	if known {
		return bytesText(n)
	}
	return "at least " + bytesText(l.AtLeastBytes) + ", or unknown"
}

// whoAndWhat tells the operator where they are and what is about to happen.
func (a *app) whoAndWhat(ctx context.Context, p runbooks.Plan) string {
	who := "You"
	if u, err := user.Current(); err == nil {
		who = "You are " + clean(u.Username)
		if from, _, _ := strings.Cut(a.env("SSH_CONNECTION"), " "); from != "" {
			who += " (ssh " + clean(from) + ")"
		}
	}
	if s, err := ask(ctx, a, control.Status, "", control.None{}); err == nil {
		who += " on " + clean(s.AskedOn)
	}
	return who + ". " + whatHappens(p)
}

func whatHappens(p runbooks.Plan) string {
	target, other, cluster := clean(p.Target), clean(p.Fence.Node), clean(p.Cluster)
	switch p.Kind {
	case runbooks.KindPromote:
		s := target + " becomes the primary of " + cluster + "."
		if other != "" {
			s = other + " will be FENCED and " + s
		}
		return s
	case runbooks.KindFence:
		return target + " of " + cluster + " will be FENCED: it cannot write until it is released."
	case runbooks.KindRelease:
		return target + " becomes the primary of " + cluster + " again, on a new timeline."
	}
	return target + " goes on record as the primary of " + cluster + "."
}

// ask writes a question; it is talk that --quiet must not hide.
func (a *app) ask(format string, args ...any) { _, _ = fmt.Fprintf(a.stderr, format, args...) }

// prompter reads typed lines without missing an interrupt.
type prompter struct {
	a     *app
	lines chan string
}

// newPrompter starts the reader of standard input. A blocked read of a
// terminal cannot be taken back, so its goroutine ends with the process or the
// input; it holds nothing else.
func newPrompter(a *app) *prompter {
	p := &prompter{a: a, lines: make(chan string)}
	go func() {
		defer close(p.lines)
		in := bufio.NewScanner(a.stdin)
		for in.Scan() {
			p.lines <- in.Text()
		}
	}()
	return p
}

// line asks one question. The end of input is no answer.
func (p *prompter) line(ctx context.Context, question string) (string, error) {
	p.a.ask("%s", question)
	select {
	case <-ctx.Done():
		p.a.ask("\n")
		return "", context.Canceled
	case s, ok := <-p.lines:
		if !ok {
			p.a.ask("\n")
			return "", errNotConfirmed("")
		}
		return strings.TrimSpace(s), nil
	}
}

// want asks for one exact word or phrase.
func (p *prompter) want(ctx context.Context, question, answer string) error {
	got, err := p.line(ctx, question+", or Enter to stop: ")
	if err != nil {
		return err
	}
	if got != answer {
		return errNotConfirmed("")
	}
	return nil
}
