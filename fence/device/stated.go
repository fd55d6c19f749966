package device

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
)

// Stated is the word of an operator who has switched the node off by hand. It
// is the weakest grade: nothing reads it back, and fence.Chain takes it only
// while the node is silent.
type Stated struct {
	Node string // the node that the operator typed
	By   string // who typed it
	Now  func() time.Time
}

// Name implements fence.Device.
func (s Stated) Name() string { return "stated" }

// Off records the statement. It acts on nothing.
func (s Stated) Off(_ context.Context, o fence.Order) fence.Outcome {
	out := fence.Outcome{Node: o.Node, Device: s.Name(), Result: fence.ResultNotDone}
	switch {
	case strings.TrimSpace(s.By) == "":
		out.Problem = "a statement without the name of who made it counts for nothing"
	case s.Node == "" || s.Node != o.Node:
		out.Problem = fmt.Sprintf("%s stated that %q is powered off, not %s; next: give --i-have-powered-off %s after you have done so", s.By, s.Node, o.Node, o.Node)
	default:
		out.Result, out.Grade = fence.ResultDone, fence.GradeStated
		out.Evidence = []fence.Evidence{s.evidence()}
	}
	return out
}

// Status gives unknown with the statement as evidence: a word is no reading.
func (s Stated) Status(_ context.Context, node string) (fence.PowerState, fence.Evidence, error) {
	if s.By == "" || s.Node != node {
		return fence.PowerUnknown, fence.Evidence{}, fmt.Errorf("nobody stated that %s is powered off", node)
	}
	return fence.PowerUnknown, s.evidence(), nil
}

func (s Stated) evidence() fence.Evidence {
	return fence.Evidence{Observer: s.By, Text: fmt.Sprintf("%s stated that %s is powered off", s.By, s.Node), At: s.Now()}
}
