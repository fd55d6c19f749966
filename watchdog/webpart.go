package watchdog

import (
	"context"

	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// webPart is the read-only web server with its metrics.
type webPart struct{ run func(context.Context) error }

// Run answers until ctx ends.
func (w *webPart) Run(ctx context.Context) error { return w.run(ctx) }

func (s *Service) makeWeb(Options) error { return nil }

func (s *Service) afterRound(view.View, view.Status) {}
