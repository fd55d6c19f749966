package pgctl

import (
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
