package fence

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// scripted is a device whose behaviour a test writes down.
type scripted struct {
	name   string
	off    func(ctx context.Context, o Order) Outcome
	status func(ctx context.Context) (PowerState, error)
	asked  *[]string
}

func (s *scripted) Name() string { return s.name }

func (s *scripted) Off(ctx context.Context, o Order) Outcome {
	if s.asked != nil {
		*s.asked = append(*s.asked, s.name)
	}
	return s.off(ctx, o)
}

func (s *scripted) Status(ctx context.Context, node string) (PowerState, Evidence, error) {
	st, err := s.status(ctx)
	return st, Evidence{Observer: s.name, Text: node + " reads " + st.String(), At: time.Now()}, err
}

func says(r Result, g Grade) func(context.Context, Order) Outcome {
	return func(_ context.Context, o Order) Outcome {
		out := Outcome{Node: o.Node, Result: r, Grade: g}
		if r != ResultDone {
			out.Problem = "scripted problem"
		}
		return out
	}
}

func reads(p PowerState) func(context.Context) (PowerState, error) {
	return func(context.Context) (PowerState, error) { return p, nil }
}

func link(g Grade, name string, off func(context.Context, Order) Outcome, status func(context.Context) (PowerState, error)) Link {
	return Link{Device: &scripted{name: name, off: off, status: status}, Grade: g, Limit: time.Second}
}

func chain(links ...Link) Chain {
	return Chain{
		Node: "db1", Observer: "db2", Links: links, Now: time.Now,
		StillAnswers: func(context.Context) (bool, Evidence) { return false, Evidence{Text: "5432 is silent"} },
	}
}

var order = Order{Operation: "op-1", Node: "db1", Issuer: "db2"}

func told(out Outcome) string {
	var b strings.Builder
	for _, e := range out.Evidence {
		b.WriteString(e.Text + "\n")
	}
	return b.String()
}

func TestChain_FirstProvenDeviceEndsIt(t *testing.T) {
	var asked []string
	power := link(GradePower, "agent:a", says(ResultDone, GradePower), reads(PowerOff))
	second := link(GradePower, "agent:b", says(ResultDone, GradePower), reads(PowerOff))
	power.Device.(*scripted).asked, second.Device.(*scripted).asked = &asked, &asked
	out := chain(power, second).Fence(t.Context(), order)
	if out.Result != ResultDone || out.Grade != GradePower || out.Device != "agent:a" || out.Problem != "" {
		t.Fatalf("got %+v", out)
	}
	if !slices.Equal(asked, []string{"agent:a"}) {
		t.Fatalf("asked %v, want the first only", asked)
	}
}

func TestChain_PeerIsSealedBeforePowerAndStatementComesLast(t *testing.T) {
	var asked []string
	refuses := says(ResultNotDone, GradeNone)
	c := chain(
		link(GradeStated, "stated", refuses, reads(PowerUnknown)),
		link(GradePower, "agent:a", refuses, reads(PowerOn)),
		link(GradeSealed, "peer", refuses, reads(PowerOn)),
	)
	for _, l := range c.Links {
		l.Device.(*scripted).asked = &asked
	}
	out := c.Fence(t.Context(), order)
	if want := []string{"peer", "agent:a", "stated"}; !slices.Equal(asked, want) {
		t.Fatalf("asked %v, want %v", asked, want)
	}
	if out.Result != ResultNotDone || out.Grade != GradeNone {
		t.Fatalf("got %s/%s, want not_done/none", out.Result, out.Grade)
	}
	for _, name := range asked {
		if !strings.Contains(told(out), name+": asked to fence db1, answered not_done") {
			t.Errorf("no evidence of the attempt of %s in:\n%s", name, told(out))
		}
	}
	if !strings.Contains(out.Problem, "--i-have-powered-off db1") {
		t.Errorf("problem names no next command: %s", out.Problem)
	}
}

func TestChain_DeviceNotToBeBelieved_NoGrade(t *testing.T) {
	answers := func(context.Context) (bool, Evidence) { return true, Evidence{Text: "commit acknowledged on 5432"} }
	broken := func(context.Context) (PowerState, error) {
		return PowerOff, errors.New("no route to management address")
	}
	end := &EndOfWAL{Timeline: 1, LSN: replication.LSN(42)}
	for _, tc := range []struct {
		name  string
		link  Link
		still func(context.Context) (bool, Evidence)
		want  string
	}{
		{"says ok, power still on", link(GradePower, "agent:a", says(ResultDone, GradePower), reads(PowerOn)), nil, "reads back on"},
		{"says ok, status unknown", link(GradePower, "agent:a", says(ResultDone, GradePower), reads(PowerUnknown)), nil, "reads back unknown"},
		{"says ok, status fails", link(GradePower, "agent:a", says(ResultDone, GradePower), broken), nil, "no route"},
		{"says off, database answers", link(GradePower, "agent:a", says(ResultDone, GradePower), reads(PowerOff)), answers, "still answers"},
		{"operator says off, database answers", link(GradeStated, "stated", says(ResultDone, GradeStated), reads(PowerUnknown)), answers, "still answers"},
		{"claims more than it can", link(GradeStated, "stated", says(ResultDone, GradePower), reads(PowerOff)), nil, "claims grade power"},
		{"done without grade", link(GradePower, "agent:a", says(ResultDone, GradeNone), reads(PowerOff)), nil, "claims grade none"},
		{"unknown with a grade", link(GradePower, "agent:a", says(ResultUnknown, GradePower), reads(PowerOff)), nil, "scripted problem"},
		{"sealed, marker not read back", link(GradeSealed, "peer", func(context.Context, Order) Outcome {
			return Outcome{Result: ResultDone, Grade: GradeSealed, EndOfWAL: end}
		}, reads(PowerOn)), nil, "reads back on"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := chain(tc.link)
			if tc.still != nil {
				c.StillAnswers = tc.still
			}
			out := c.Fence(t.Context(), order)
			if out.Result != ResultUnknown || out.Grade != GradeNone || out.EndOfWAL != nil {
				t.Fatalf("got %s, grade %s, end of WAL %v; want unknown and nothing", out.Result, out.Grade, out.EndOfWAL)
			}
			if !strings.Contains(out.Problem, tc.want) {
				t.Fatalf("problem %q does not say %q", out.Problem, tc.want)
			}
		})
	}
}

func TestChain_LyingDevice_NothingElseIsSwitched(t *testing.T) {
	var asked []string
	liar := link(GradePower, "agent:liar", says(ResultDone, GradePower), reads(PowerOff))
	next := link(GradePower, "agent:next", says(ResultDone, GradePower), reads(PowerOff))
	liar.Device.(*scripted).asked, next.Device.(*scripted).asked = &asked, &asked
	c := chain(liar, next)
	c.StillAnswers = func(context.Context) (bool, Evidence) { return true, Evidence{Text: "5432 answers"} }
	if out := c.Fence(t.Context(), order); out.Result == ResultDone {
		t.Fatalf("believed a liar: %+v", out)
	}
	if !slices.Equal(asked, []string{"agent:liar"}) {
		t.Fatalf("asked %v after the lie was seen", asked)
	}
}

func TestChain_NobodyLooksASecondTime_PowerNotBelieved(t *testing.T) {
	c := chain(link(GradePower, "agent:a", says(ResultDone, GradePower), reads(PowerOff)))
	c.StillAnswers = nil
	if out := c.Fence(t.Context(), order); out.Result != ResultUnknown || out.Grade != GradeNone {
		t.Fatalf("got %s/%s", out.Result, out.Grade)
	}
}

func TestChain_SealedNodeMayAnswer(t *testing.T) {
	c := chain(link(GradeSealed, "peer", says(ResultDone, GradeSealed), reads(PowerOff)))
	c.StillAnswers = func(context.Context) (bool, Evidence) { return true, Evidence{Text: "its service answers"} }
	if out := c.Fence(t.Context(), order); out.Result != ResultDone || out.Grade != GradeSealed {
		t.Fatalf("got %+v", out)
	}
}

func TestChain_AnswerDiesWithinLinger_Believed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := time.Now().Add(800 * time.Millisecond)
		c := chain(link(GradePower, "agent:a", says(ResultDone, GradePower), reads(PowerOff)))
		c.StillAnswers = func(context.Context) (bool, Evidence) { return time.Now().Before(gone), Evidence{Text: "look"} }
		if out := c.Fence(t.Context(), order); out.Result == ResultDone {
			t.Fatal("believed while the node answered and no linger was allowed")
		}
		gone = time.Now().Add(800 * time.Millisecond)
		c.Linger = 2 * time.Second
		if out := c.Fence(t.Context(), order); out.Result != ResultDone {
			t.Fatalf("not believed after the answers ended: %s", out.Problem)
		}
	})
}

func TestChain_HangingDevice_BoundedUnknownAndNextHasItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		hang := func(context.Context, Order) Outcome { <-release; return Outcome{Result: ResultDone, Grade: GradePower} }
		hanging := link(GradePower, "agent:hangs", hang, reads(PowerOff))
		began := time.Now()
		out := chain(hanging).Fence(t.Context(), order)
		if out.Result != ResultUnknown || out.Grade != GradeNone {
			t.Fatalf("a hang gave %s/%s", out.Result, out.Grade)
		}
		if d := time.Since(began); d != time.Second+grace {
			t.Fatalf("bounded after %s, want limit and grace", d)
		}
		out = chain(hanging, link(GradePower, "agent:ok", says(ResultDone, GradePower), reads(PowerOff))).Fence(t.Context(), order)
		if out.Result != ResultDone || out.Device != "agent:ok" {
			t.Fatalf("got %+v", out)
		}
		if !strings.Contains(told(out), "agent:hangs: asked to fence db1, answered unknown") {
			t.Fatalf("the hang left no evidence:\n%s", told(out))
		}
	})
}

func TestChain_UnknownAttemptOutweighsNotDone(t *testing.T) {
	c := chain(
		link(GradePower, "agent:a", says(ResultUnknown, GradeNone), reads(PowerOn)),
		link(GradePower, "agent:b", says(ResultNotDone, GradeNone), reads(PowerOn)),
	)
	if out := c.Fence(t.Context(), order); out.Result != ResultUnknown {
		t.Fatalf("got %s: the first attempt may still take effect", out.Result)
	}
}

func TestChain_OrderNotMeantForIt_RefusedBeforeAnyDevice(t *testing.T) {
	var asked []string
	l := link(GradePower, "agent:a", says(ResultDone, GradePower), reads(PowerOff))
	l.Device.(*scripted).asked = &asked
	for name, o := range map[string]Order{
		"other node":   {Operation: "op-1", Node: "db2"},
		"revoked":      {Operation: "op-1", Node: "db1", Revoked: true},
		"no operation": {Node: "db1"},
	} {
		if out := chain(l).Fence(t.Context(), o); out.Result != ResultNotDone || out.Problem == "" {
			t.Errorf("%s: got %+v", name, out)
		}
	}
	if len(asked) > 0 {
		t.Fatalf("a device was asked: %v", asked)
	}
	if out := chain().Fence(t.Context(), order); out.Result != ResultNotDone || !strings.Contains(out.Problem, "nodes.db1.fence") {
		t.Fatalf("empty chain: %+v", out)
	}
}

func TestChain_Ready_GradesWhatCanBeUsedNow(t *testing.T) {
	off := says(ResultDone, GradePower)
	missing := func(context.Context) (PowerState, error) { return PowerOff, errors.New("program is missing") }
	c := chain(
		link(GradePower, "agent:ok", off, reads(PowerOn)),
		link(GradePower, "agent:unknown", off, reads(PowerUnknown)),
		link(GradePower, "agent:missing", off, missing),
		link(GradePower, "agent:wrong-plug", off, reads(PowerOff)),
		link(GradeSealed, "peer", off, reads(PowerOn)),
	)
	c.StillAnswers = func(context.Context) (bool, Evidence) { return true, Evidence{Text: "5432 answers"} }
	got := map[string]Readiness{}
	for _, r := range c.Ready(t.Context()) {
		got[r.Device] = r
	}
	for name, want := range map[string]Grade{
		"agent:ok": GradePower, "agent:unknown": GradeNone, "agent:missing": GradeNone, "agent:wrong-plug": GradeNone, "peer": GradeSealed,
	} {
		if r := got[name]; r.Grade != want || (want == GradeNone) != (r.Problem != "") {
			t.Errorf("%s: %+v, want grade %s", name, r, want)
		}
	}
	if s := got["agent:missing"].State; s != PowerUnknown {
		t.Errorf("a failed reading counts as %s", s)
	}
	if Best(nil) != GradeNone || Best(c.Ready(t.Context())) != GradePower {
		t.Error("best grade is wrong")
	}
}
