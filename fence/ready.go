package fence

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Readiness is what one device can give now.
type Readiness struct {
	Device   string        `json:"device"`
	Grade    Grade         `json:"grade"` // what it can give; GradeNone when it cannot be used now
	State    PowerState    `json:"state"`
	Evidence Evidence      `json:"evidence"`
	Problem  string        `json:"problem,omitempty"`
	Took     time.Duration `json:"took"`
}

// Ready asks every device for its status, all at once, and changes nothing.
// The results stand in the order in which Fence would try the devices.
func (c Chain) Ready(ctx context.Context) []Readiness {
	links := c.ordered()
	ready := make([]Readiness, len(links))
	var wg sync.WaitGroup
	for i, l := range links {
		wg.Go(func() { ready[i] = c.ready(ctx, l) })
	}
	wg.Wait()
	return ready
}

func (c Chain) ready(ctx context.Context, l Link) Readiness {
	began := c.Now()
	s, err := status(ctx, l, c.Node)
	r := Readiness{Device: l.Device.Name(), State: s.state, Evidence: s.evidence, Took: c.Now().Sub(began)}
	switch {
	case err != nil:
		r.Problem = err.Error()
	case l.Grade == GradeStated:
		r.Grade = GradeStated // a statement has no read-back
	case s.state == PowerUnknown:
		r.Problem = "reads back unknown"
	case s.state == PowerOff && l.Grade == GradePower && c.answersNow(ctx):
		// Better found in the day than in the night: a wrong plug, or options
		// that the agent does not understand.
		r.Problem = fmt.Sprintf("reads off while %s answers: wrong plug or wrong options", c.Node)
	default:
		r.Grade = l.Grade
	}
	return r
}

func (c Chain) answersNow(ctx context.Context) bool {
	if c.StillAnswers == nil {
		return false
	}
	answers, err := bounded(ctx, lookLimit, func(ctx context.Context) bool {
		a, _ := c.StillAnswers(ctx)
		return a
	})
	return err == nil && answers
}

// Best gives the best grade among them, and GradeNone when none can be used.
func Best(ready []Readiness) Grade {
	best := GradeNone
	for _, r := range ready {
		best = max(best, r.Grade)
	}
	return best
}
