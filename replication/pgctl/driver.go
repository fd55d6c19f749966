package pgctl

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// What can go wrong while acting. Match with errors.Is.
var (
	// ErrNoBinaries is returned when no PostgreSQL server programs are found.
	ErrNoBinaries = errors.New("no PostgreSQL server programs on PATH, through pg_config or under /usr/lib/postgresql; install the package postgresql, or set the folder in the configuration")
	// ErrStillHeld is returned when processes of the server still hold the data
	// directory after all that was tried, or hold it where none may.
	ErrStillHeld = errors.New("data directory is still held")
	// ErrRefused is returned when the helper refuses: a unit that is not
	// configured, a verb it does not know, or a user it does not serve.
	ErrRefused = errors.New("refused by the helper")
	// ErrNoUnit is returned when the manager knows no such unit.
	ErrNoUnit = errors.New("no such unit")
	// ErrNoContainer is returned when the engine has no container of that service.
	ErrNoContainer = errors.New("no such container")
	// ErrShellCommand is returned when arguments cannot be added to a start
	// command because it hands a text to a shell.
	ErrShellCommand = errors.New("start command hands a text to a shell")
	// ErrBadSetting is returned for a setting whose name or value could not
	// reach the server unchanged.
	ErrBadSetting = errors.New("setting cannot be passed on")
)

// Mode is how a server is asked to stop. "Smart" is missing on purpose: it waits
// for sessions, and sessions opened before a fault go on committing.
type Mode uint8

// The modes (https://www.postgresql.org/docs/current/server-shutdown.html).
const (
	ModeUnknown   Mode = iota
	ModeFast           // sessions are ended, then a shutdown checkpoint is written
	ModeImmediate      // nothing is written: as after a crash
)

// String gives pg_ctl's word.
func (m Mode) String() string {
	switch m {
	case ModeFast:
		return "fast"
	case ModeImmediate:
		return "immediate"
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// signal is what the postmaster understands.
func (m Mode) signal() (syscall.Signal, error) {
	switch m {
	case ModeFast:
		return syscall.SIGINT, nil
	case ModeImmediate:
		return syscall.SIGQUIT, nil
	}
	return 0, fmt.Errorf("stop server: unknown %v", m)
}

// Driver is one way in which the local PostgreSQL is run.
type Driver interface {
	// Name is the driver's word in plans and configuration.
	Name() string
	// Start starts the server, and does nothing when it runs. An error with the
	// context's cause leaves the outcome open: it may still come up.
	Start(ctx context.Context) error
	// Stop asks for the stop and may return before it took effect; nothing that
	// it returns proves anything (see StopVerified). A server that does not run
	// is no error.
	Stop(ctx context.Context, m Mode) error
	// Status says what is known; with an error nothing is.
	Status(ctx context.Context) (Status, error)
}

// Status is what a driver knows of its server.
type Status struct {
	Running bool
	Pids    []int // server processes, postmaster first where it is known
	// Restart is the manager's own words on when it starts the server.
	Restart string
	// RestartsByItself: somebody starts the server again after it ended.
	RestartsByItself bool
	// StartsAtBoot: somebody starts it when the machine comes up.
	StartsAtBoot bool
	Detail       string // for the evidence line; never judged by
}
