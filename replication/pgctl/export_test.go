package pgctl

import (
	"context"
	"syscall"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// SignalHeld signals a process as the package does.
func SignalHeld(p pgdata.Process, sig syscall.Signal) error {
	h, err := hold(p)
	if err != nil {
		return err
	}
	defer h.close()
	return h.signal(sig)
}

// Command is the command line that a verb becomes.
func (p InProcess) Command(verb Verb, unit string) ([]string, error) { return p.command(verb, unit) }

// UnitStatus judges the output of systemctl show.
func UnitStatus(text string) (Status, error) {
	u, err := parseUnit(text)
	if err != nil {
		return Status{}, err
	}
	return u.status("test.service")
}

// Held is a process that the package holds on to.
type Held struct{ h *handle }

// Hold takes hold of one.
func Hold(p pgdata.Process) (Held, error) {
	h, err := hold(p)
	return Held{h}, err
}

// Told says whether the kernel tells of its end, or it is polled for.
func (h Held) Told() bool { return h.h.fd != nil }

// Wait returns at its end.
func (h Held) Wait(ctx context.Context) error { return h.h.wait(ctx) }

// Close lets go of it.
func (h Held) Close() { h.h.close() }
