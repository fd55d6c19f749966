package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// usageError is a command line that cannot be understood: exit 2.
type usageError struct{ reason, hint string }

func (e *usageError) Error() string { return e.reason }

// exitCode ends a command whose whole story is told already.
type exitCode int

func (e exitCode) Error() string { return "exit" }

// exit prints what went wrong and gives the exit code of DESIGN section 6.
func (a *app) exit(err error) int {
	var told exitCode
	var back errTakenBack
	switch {
	case err == nil:
		return runbooks.ExitDone
	case errors.As(err, &back):
		return int(back.exitCode)
	case errors.As(err, &told):
		return int(told)
	}
	r := asRefusal(err)
	if a.json {
		a.printErrorJSON(r)
		return r.Exit
	}
	_, _ = a.stderr.Write([]byte(errorText(r)))
	return r.Exit
}

// asRefusal gives any error its exit code and its hint.
func asRefusal(err error) *runbooks.Refusal {
	var refusal *runbooks.Refusal
	var lost *control.Unreachable
	var usage *usageError
	var setting *config.Error
	var secret *control.SecretFileError
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &lost):
		return fromLost(lost)
	case errors.As(err, &usage):
		return &runbooks.Refusal{Exit: runbooks.ExitUsage, Reason: usage.reason, Hint: usage.hint}
	case errors.As(err, &setting):
		return &runbooks.Refusal{Exit: runbooks.ExitConfig, Reason: err.Error()}
	case errors.As(err, &secret):
		return &runbooks.Refusal{Exit: runbooks.ExitFailed, Reason: err.Error(), Hint: secret.Hint}
	case errors.Is(err, context.Canceled):
		return &runbooks.Refusal{Exit: runbooks.ExitInterrupted, Reason: "interrupted, nothing was changed"}
	}
	return &runbooks.Refusal{Exit: runbooks.ExitFailed, Reason: err.Error()}
}

func fromLost(u *control.Unreachable) *runbooks.Refusal {
	r := u.Refusal()
	switch {
	case errors.Is(u, context.Canceled) && !u.OutcomeUnknown():
		return &runbooks.Refusal{Exit: runbooks.ExitInterrupted, Reason: "interrupted, nothing was changed"}
	case errors.Is(u, fs.ErrPermission):
		r.Hint = "ask to be put into the group of the service's socket, or use sudo"
	}
	return r
}

// onlyRead turns the loss of a call that changes nothing into "not reachable":
// an outcome that nobody knows is then no outcome.
func onlyRead(err error) error {
	var u *control.Unreachable
	if !errors.As(err, &u) || !u.OutcomeUnknown() {
		return err
	}
	if errors.Is(u, context.Canceled) {
		return context.Canceled
	}
	return &runbooks.Refusal{Exit: runbooks.ExitUnavailable, Reason: u.Error(), Hint: "systemctl status pg-watchdog"}
}

// errorText gives the lines that a person sees: the reason, the rule that was
// in the way, what to type next.
func errorText(r *runbooks.Refusal) string {
	reason := clean(r.Reason)
	if r.Exit == runbooks.ExitConfig {
		reason = cleanLines(r.Reason) // findings in the configuration are local text with source lines
	}
	s := "watchdog: " + reason + "\n"
	if name := ruleName(r); name != "" {
		s += "rule: " + name + "\n"
	}
	if r.Hint != "" {
		s += "hint: " + clean(r.Hint) + "\n"
	}
	return s
}

// ruleName names what refused: the safety rule of DESIGN section 4, the gate
// of the plan, or both.
func ruleName(r *runbooks.Refusal) string {
	switch {
	case r.Rule != "" && r.Gate != "":
		return clean(r.Rule) + " (" + clean(r.Gate) + ")"
	case r.Rule != "":
		return clean(r.Rule)
	}
	return clean(r.Gate)
}
