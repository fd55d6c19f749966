package fence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Chain tries the devices of one node until one proves the fence.
type Chain struct {
	Node     string // who is to be fenced
	Observer string // node that asks, for the evidence
	Links    []Link
	// StillAnswers asks whether the node's database or service answers now. A
	// device that reads "off" while it does is not believed, and without this
	// second look no power or stated grade is given.
	StillAnswers func(ctx context.Context) (bool, Evidence)
	// Linger is how long an answer may outlast the device's "off" before it
	// counts as a contradiction: IPMI agents may report success before the
	// power is gone. Zero means one look.
	Linger time.Duration
	Now    func() time.Time
}

// grace is how long a device may need to wind up after its limit (to end its
// child process and say so) before it is left behind as hanging.
const grace = 2 * time.Second

// lookLimit bounds one look of StillAnswers; lookEvery spaces them.
const (
	lookLimit = 3 * time.Second
	lookEvery = 250 * time.Millisecond
)

// Fence tries the links in order and ends at the first proven result, or at a
// device that lies: one that says off while the node answers may well have
// switched off something else, so nothing more is switched. Every attempt, its
// answer and its duration are in the evidence, also of those that came to
// nothing. Result is unknown as soon as one attempt is, because it may still
// take effect.
func (c Chain) Fence(ctx context.Context, o Order) Outcome {
	out := Outcome{Node: c.Node, Result: ResultNotDone}
	if err := c.admits(o); err != nil {
		out.Problem = err.Error()
		return out
	}
	var problems []string
	for _, l := range c.ordered() {
		if err := ctx.Err(); err != nil {
			problems = append(problems, fmt.Sprintf("stopped before %s: %v", l.Device.Name(), err))
			break
		}
		got, lied := c.attempt(ctx, l, o)
		out.Evidence = append(out.Evidence, got.Evidence...)
		if got.Result == ResultDone {
			got.Evidence = out.Evidence
			return got
		}
		if got.Result == ResultUnknown {
			out.Result = ResultUnknown
		}
		out.Device = got.Device
		problems = append(problems, got.Device+": "+got.Problem)
		if lied {
			break
		}
	}
	out.Problem = fmt.Sprintf("%s is not proven fenced: %s; next: switch it off by hand, look at it, and give --i-have-powered-off %s",
		c.Node, strings.Join(problems, "; "), c.Node)
	return out
}

func (c Chain) admits(o Order) error {
	switch {
	case c.Node == "" || o.Node != c.Node:
		return fmt.Errorf("refuse fence order for %q: this chain fences %q", o.Node, c.Node)
	case o.Operation == "":
		return fmt.Errorf("refuse fence order for %q: it names no operation", o.Node)
	case o.Revoked:
		return fmt.Errorf("refuse fence order of operation %s: it is revoked", o.Operation)
	case len(c.Links) == 0:
		return fmt.Errorf("no fence device is configured for %s; next: set nodes.%s.fence, or switch it off by hand and give --i-have-powered-off %s",
			c.Node, c.Node, c.Node)
	}
	return nil
}

// ordered puts the peer's seal first (only a node that still runs can say where
// its WAL ends) and an operator's word last; between them the configured order.
func (c Chain) ordered() []Link {
	rank := func(l Link) int {
		switch l.Grade {
		case GradeSealed:
			return 0
		case GradeStated:
			return 2
		}
		return 1
	}
	links := slices.Clone(c.Links)
	slices.SortStableFunc(links, func(a, b Link) int { return rank(a) - rank(b) })
	return links
}

// attempt asks one device and believes it only after its own read-back and the
// second look. lied is true when the read-back and the second look disagree.
func (c Chain) attempt(ctx context.Context, l Link, o Order) (out Outcome, lied bool) {
	name, began := l.Device.Name(), c.Now()
	out, err := bounded(ctx, l.Limit, func(ctx context.Context) Outcome { return l.Device.Off(ctx, o) })
	if err != nil {
		out = Outcome{Result: ResultUnknown, Problem: fmt.Sprintf("gave no answer within %s (it may still act): %v", l.Limit, err)}
	}
	out.Node, out.Device = c.Node, name
	c.distrust(&out, l)
	c.note(&out, name, fmt.Sprintf("asked to fence %s, answered %s after %s%s",
		c.Node, out.Result, took(c.Now().Sub(began)), because(out.Problem)))
	if out.Result != ResultDone || out.Grade == GradeStated {
		return c.contradicted(ctx, out)
	}
	if err := c.readBack(ctx, l, &out); err != nil {
		return c.disbelieve(out, err.Error()), false
	}
	return c.contradicted(ctx, out)
}

// distrust takes back a claim that does not hold together.
func (c Chain) distrust(out *Outcome, l Link) {
	if out.Result != ResultDone {
		out.Grade = GradeNone
		if out.Problem == "" {
			out.Problem = "gave no reason"
		}
		return
	}
	if out.Grade == GradeNone || out.Grade > l.Grade {
		*out = c.disbelieve(*out,
			fmt.Sprintf("claims grade %s, but at most %s can come from it", out.Grade, l.Grade))
	}
}

// readBack demands the device's own status: off.
func (c Chain) readBack(ctx context.Context, l Link, out *Outcome) error {
	began := c.Now()
	s, err := status(ctx, l, c.Node)
	if err == nil && s.state != PowerOff {
		err = fmt.Errorf("says done, but reads back %s", s.state)
	}
	if s.evidence.Text != "" {
		out.Evidence = append(out.Evidence, s.evidence)
	}
	c.note(out, l.Device.Name(), fmt.Sprintf("read back %s after %s", s.state, took(c.Now().Sub(began))))
	return err
}

// contradicted looks a second time, for the grades that mean "nothing runs
// there any more". A sealed or isolated node may rightly answer someone.
func (c Chain) contradicted(ctx context.Context, out Outcome) (Outcome, bool) {
	if out.Result != ResultDone || (out.Grade != GradePower && out.Grade != GradeStated) {
		return out, false
	}
	if c.StillAnswers == nil {
		return c.disbelieve(out, "its word stands alone: nobody looked whether the node still answers"), false
	}
	answers, ev, err := c.look(ctx)
	if ev.Text != "" {
		out.Evidence = append(out.Evidence, ev)
	}
	if err != nil {
		return c.disbelieve(out, fmt.Sprintf("cannot be checked against the node itself: %v", err)), false
	}
	if answers {
		return c.disbelieve(out, fmt.Sprintf("says %s is off, but it still answers (%s): the device lies or fences something else",
			c.Node, ev.Text)), true
	}
	return out, false
}

// look repeats StillAnswers until it stays silent or Linger is over.
func (c Chain) look(ctx context.Context) (bool, Evidence, error) {
	type seen struct {
		answers bool
		ev      Evidence
	}
	ctx, cancel := context.WithTimeout(ctx, c.Linger+lookLimit+grace)
	defer cancel()
	for left := c.Linger; ; left -= lookEvery {
		s, err := bounded(ctx, lookLimit, func(ctx context.Context) seen {
			a, ev := c.StillAnswers(ctx)
			return seen{a, ev}
		})
		if err != nil || !s.answers || left <= 0 {
			return s.answers, s.ev, err
		}
		select {
		case <-ctx.Done():
			return true, s.ev, nil
		case <-time.After(lookEvery):
		}
	}
}

// disbelieve makes a claim unknown, not "not done": what a device did that says
// more than it can prove, nobody knows.
func (c Chain) disbelieve(out Outcome, problem string) Outcome {
	out.Result, out.Grade, out.EndOfWAL, out.Problem = ResultUnknown, GradeNone, nil, problem
	c.note(&out, out.Device, "not believed: "+problem)
	return out
}

func (c Chain) note(out *Outcome, device, text string) {
	out.Evidence = append(out.Evidence, Evidence{Observer: c.Observer, Text: device + ": " + text, At: c.Now()})
}

type reading struct {
	state    PowerState
	evidence Evidence
}

// status is one bounded reading; an error always comes with an unknown state.
func status(ctx context.Context, l Link, node string) (reading, error) {
	type answer struct {
		reading
		err error
	}
	a, err := bounded(ctx, l.Limit, func(ctx context.Context) answer {
		s, ev, err := l.Device.Status(ctx, node)
		return answer{reading{s, ev}, err}
	})
	if err == nil {
		err = a.err
	}
	if err != nil {
		a.state = PowerUnknown
		return a.reading, fmt.Errorf("read status: %w", err)
	}
	return a.reading, nil
}

var errHangs = errors.New("it hangs")

// bounded runs f with a deadline and does not wait for one that ignores it: an
// fsync on a dead disk or a child in an uninterruptible sleep cannot be ended
// from here, and the next device must have its turn. Such a goroutine is left
// behind; its late answer is dropped.
func bounded[T any](ctx context.Context, limit time.Duration, f func(context.Context) T) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan T, 1)
	go func() { done <- f(ctx) }()
	select {
	case v := <-done:
		return v, nil
	case <-ctx.Done():
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case v := <-done:
		return v, nil
	case <-late.C:
		var zero T
		return zero, errHangs
	}
}

func took(d time.Duration) string { return d.Round(time.Millisecond).String() }

func because(problem string) string {
	if problem == "" {
		return ""
	}
	return ": " + problem
}
