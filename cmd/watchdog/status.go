package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

func newStatus(a *app) *cobra.Command {
	var watch bool
	var every time.Duration
	c := &cobra.Command{
		Use: "status", Short: "show what is seen of the pair, from where and how old", Args: takes(),
		Long: "status shows every value with its age and who saw it. 0 is a value, - does not\napply, ? is not known. Exit 0 whenever the service could answer, whatever the state.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return a.watchStatus(cmd.Context(), max(every, 200*time.Millisecond))
			}
			s, err := ask(cmd.Context(), a, control.Status, "", control.None{})
			if err != nil {
				return err
			}
			return a.printStatus(s)
		},
	}
	c.Flags().BoolVar(&watch, "watch", false, "show again until interrupted")
	c.Flags().DurationVar(&every, "every", 2*time.Second, "how often --watch shows")
	return c
}

func (a *app) printStatus(s view.Status) error {
	if a.json {
		return a.printDoc(s)
	}
	a.out("%s", renderStatus(s, a.style()))
	return nil
}

// clearScreen moves home and erases what follows, so that the old text does
// not flicker away before the new one is there.
const clearScreen = "\x1b[H\x1b[J"

// watchStatus shows the status until it is interrupted, which is how it is
// meant to end. A service that goes away in between is told and asked again.
func (a *app) watchStatus(ctx context.Context, every time.Duration) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for shown := false; ; shown = true {
		s, err := ask(ctx, a, control.Status, "", control.None{})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !shown:
			return err
		default:
			a.showAgain(s, err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func (a *app) showAgain(s view.Status, err error) {
	st := a.style()
	switch {
	case err != nil && a.json:
		a.printErrorJSON(asRefusal(err))
	case err != nil:
		_, _ = a.stderr.Write([]byte(errorText(asRefusal(err))))
	case a.json:
		_ = a.printLine(s)
	case st.live:
		a.out("%s%s", clearScreen, renderStatus(s, st))
	default:
		a.out("%s\n", renderStatus(s, st))
	}
}
