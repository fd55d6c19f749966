package runbooks

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Apps stops and starts the application that runs beside a primary. Stopping
// what does not run and starting what does are no errors.
type Apps interface {
	// Stop ends the application on a node and keeps it from being started by
	// itself there; it returns when that was read back. ErrNotReached (wrapped)
	// says that the node's service did not answer.
	Stop(ctx context.Context, node, operation string) error
	// Start undoes Stop and starts the application on a node.
	Start(ctx context.Context, node, operation string) error
	// Healthy waits until the application's health endpoint answers as
	// configured, and gives the last answer when the context ends first.
	Healthy(ctx context.Context) error
}

// AppFact is what this node's configuration says of the application.
type AppFact struct {
	Containers []string // started on a primary, stopped on the other node; none: not ours to start
	HealthURL  string
	Within     Seconds // how long a start may take until the endpoint answers
}

// stopAppLimit is above the engine's own patience with a container (10 s unless
// the compose file says otherwise) for an application of several.
const stopAppLimit = 90

func stopAppLine(a AppFact, node string) []StepLine {
	if len(a.Containers) == 0 {
		return nil
	}
	return []StepLine{{Name: StepStopApp, Node: node, Text: "stop the application and keep it stopped, if " + node + "'s service answers",
		Limit: stopAppLimit, IfFails: "noted, and passed over"}}
}

func startAppLine(a AppFact, node string) []StepLine {
	if len(a.Containers) == 0 {
		return nil
	}
	text := "start the application: " + strings.Join(a.Containers, ", ")
	if a.HealthURL != "" {
		text = "start the application and wait until it is healthy"
	}
	return []StepLine{{Name: StepStartApp, Node: node, Text: text, Limit: stopAppLimit + a.Within, IfFails: "stop (exit 7); the database stays primary"}}
}

// stopAppStep stops the application before the fence, so that it does not run
// into a database that goes away. It protects no data, which is the fence's
// work, so nothing that fails here holds the promotion up.
func (d Deps) stopAppStep(o *Operation, node string) Step {
	return Step{
		Guard: d.held(o),
		Act: func(ctx context.Context, s *Scribe) error {
			err := d.Apps.Stop(ctx, node, o.ID)
			switch {
			case errors.Is(err, ErrNotReached):
				return s.Note("the application on %s was not stopped, its service does not answer: see to it before that server is connected again", node)
			case err != nil:
				return s.Note("the application on %s was not stopped: %v", node, err)
			}
			return s.Note("the application on %s is stopped", node)
		},
		// Best effort, too: whoever aborts wants the old primary back first of all.
		Undo: func(ctx context.Context) error {
			_ = d.Apps.Start(ctx, node, o.ID)
			return nil
		},
	}
}

func (d Deps) startAppStep(o *Operation) Step {
	return Step{
		Act: func(ctx context.Context, s *Scribe) error {
			if err := d.Apps.Start(ctx, d.Self, o.ID); err != nil {
				return fmt.Errorf("start the application on %s: %w", d.Self, err)
			}
			return s.Note("the application on %s is started", d.Self)
		},
		Verify: func(ctx context.Context) error { return d.Apps.Healthy(ctx) },
	}
}
