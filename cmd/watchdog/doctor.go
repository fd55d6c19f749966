package main

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/audit"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

func newDoctor(a *app) *cobra.Command {
	var strict, all bool
	c := &cobra.Command{
		Use: "doctor", Short: "audit the configuration of both servers, their machines and services", Args: takes(),
		Long: "doctor asks every service for what it finds on its own machine, tries what a\n" +
			"failover would need, and says what mends each finding. It changes nothing.\n" +
			"Exit 0 when nothing failed, 1 when something did (--strict: also on warnings),\n" +
			"3 for a configuration that is not valid, 4 when something could not be known,\n" +
			"as without a service: then the checks that need none are still made.",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), strict, all) },
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings fail as well")
	c.Flags().BoolVar(&all, "all", false, "show every check, also what is well")
	return c
}

// doctorDoc is the document behind `watchdog doctor`: version 1.
type doctorDoc struct {
	audit.Document
	Counts doctorCounts `json:"counts"`
	Exit   int          `json:"exit"`
}

type doctorCounts struct {
	OK      int `json:"ok"`
	Warn    int `json:"warn"`
	Fail    int `json:"fail"`
	Unknown int `json:"unknown"`
}

func (a *app) doctor(ctx context.Context, strict, all bool) error {
	doc, err := ask(ctx, a, control.Doctor, "", control.None{})
	if errors.Is(err, context.Canceled) {
		return err
	}
	reached := err == nil
	if !reached {
		doc = audit.Document{V: 1, At: a.now()}
	}
	local, valid := a.localChecks(doc.AskedOn)
	var r *runbooks.Refusal
	if !reached {
		r = asRefusal(err)
	}
	if r != nil && r.Exit != runbooks.ExitConfig {
		local = append([]audit.Check{{Name: "service", Group: audit.GroupService, Level: audit.Unknown, Text: "the service could not be asked: " + r.Reason, Hint: r.Hint}}, local...)
	}
	doc.Checks = audit.Merge(doc.Checks, local)
	slices.SortStableFunc(doc.Checks, func(x, y audit.Check) int {
		return slices.Index(audit.Groups, x.Group) - slices.Index(audit.Groups, y.Group)
	})
	d := doctorDoc{Document: doc, Counts: doctorCounts{OK: audit.Count(doc.Checks, audit.OK), Warn: audit.Count(doc.Checks, audit.Warn),
		Fail: audit.Count(doc.Checks, audit.Fail), Unknown: audit.Count(doc.Checks, audit.Unknown)}}
	d.Exit = doctorExit(d.Counts, reached, valid, strict)
	if a.json {
		if err := a.printDoc(d); err != nil {
			return err
		}
		return exitCode(d.Exit)
	}
	a.out("%s", renderDoctor(d, all, a.style()))
	return exitCode(d.Exit)
}

// doctorExit gives the exit code of DESIGN section 6.
func doctorExit(c doctorCounts, reached, valid, strict bool) int {
	switch {
	case !valid:
		return runbooks.ExitConfig
	case !reached:
		return runbooks.ExitUnavailable
	case c.Fail > 0 || strict && c.Warn > 0:
		return runbooks.ExitFailed
	case c.Unknown > 0:
		return runbooks.ExitUnavailable
	}
	return runbooks.ExitDone
}
