package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// Phase says how far a call got before it failed.
type Phase string

// The phases, earliest first. The zero value counts as "may have arrived".
const (
	PhaseUnknown      Phase = ""
	PhaseRefused      Phase = "refused"       // somebody answered the dial with a refusal: the host lives, the service does not listen
	PhaseDialTimeout  Phase = "dial_timeout"  // nobody answered the dial in time
	PhaseDial         Phase = "dial"          // the dial failed otherwise: no route, no socket file, no permission
	PhaseTLS          Phase = "tls"           // one of the two ends refused the other's key or version
	PhaseNoAnswer     Phase = "no_answer"     // a connection was had, no answer came
	PhaseBrokenAnswer Phase = "broken_answer" // an answer began and was cut, or cannot be understood
)

// Unreachable is a call that failed on its way, as opposed to one that was
// answered with a refusal.
type Unreachable struct {
	Node  string // as configured; empty for the local service
	Phase Phase
	Err   error
}

// Error names the node, the phase and the cause.
func (u *Unreachable) Error() string {
	who := "the local service"
	if u.Node != "" {
		who = "node " + u.Node
	}
	what := map[Phase]string{
		PhaseRefused: "connection refused", PhaseDialTimeout: "no answer to the dial",
		PhaseDial: "no connection", PhaseTLS: "handshake refused",
		PhaseNoAnswer: "no answer to the request", PhaseBrokenAnswer: "broken answer",
	}[u.Phase]
	if what == "" {
		what = "call broken off"
	}
	return fmt.Sprintf("call %s: %s: %v", who, what, u.Err)
}

// Unwrap gives the cause.
func (u *Unreachable) Unwrap() error { return u.Err }

// OutcomeUnknown reports whether the request may have taken effect. False means
// that it certainly did not arrive: no byte of it was sent.
func (u *Unreachable) OutcomeUnknown() bool {
	switch u.Phase {
	case PhaseRefused, PhaseDialTimeout, PhaseDial, PhaseTLS:
		return false
	}
	return true
}

// Refusal gives what a command prints and exits with: 4 when the call certainly
// did not arrive, 8 when its outcome is unknown.
func (u *Unreachable) Refusal() *runbooks.Refusal {
	r := &runbooks.Refusal{Exit: runbooks.ExitUnavailable, Reason: u.Error()}
	switch {
	case u.OutcomeUnknown():
		r.Exit, r.Hint = runbooks.ExitUnknown, "watchdog ops list"
	case u.Node == "":
		r.Hint = "systemctl status pg-watchdog"
	default:
		r.Hint = "watchdog status"
	}
	return r
}

// errHandshake marks a dial that reached the other end and was turned away
// there, or turned the other end away.
type errHandshake struct{ err error }

func (e *errHandshake) Error() string { return e.err.Error() }
func (e *errHandshake) Unwrap() error { return e.err }

// dialPhase classifies a failed dial by type and errno, never by text.
func dialPhase(err error) Phase {
	var hs *errHandshake
	var ne net.Error
	switch {
	case errors.As(err, &hs):
		return PhaseTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return PhaseRefused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &ne) && ne.Timeout():
		return PhaseDialTimeout
	}
	return PhaseDial
}
