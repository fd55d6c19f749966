package pgdata

import (
	"errors"
	"fmt"
)

// What can be wrong with a data directory. Match with errors.Is.
var (
	// ErrNoControl is returned when global/pg_control does not exist.
	ErrNoControl = errors.New("no control file")
	// ErrUnknownFormat is returned when the control file was written by a
	// PostgreSQL whose layout this package does not know; see FormatError.
	ErrUnknownFormat = errors.New("unknown control file format")
	// ErrCorruptControl is returned when the control file is too short, fails
	// its CRC twice in a row, or holds values that no server writes.
	ErrCorruptControl = errors.New("corrupt control file")
	// ErrBadPIDFile is returned when postmaster.pid exists but does not begin
	// with a process id, as after a power loss during its writing.
	ErrBadPIDFile = errors.New("malformed postmaster.pid")
	// ErrIncomplete is returned when a process that may be a server could not
	// be read: the list that comes with it proves nothing about absence.
	ErrIncomplete = errors.New("list of processes is incomplete")
	// ErrNotBoundary is returned when the start handed to EndOfWAL is not the
	// boundary between two WAL records.
	ErrNotBoundary = errors.New("not a WAL record boundary")
	// ErrWALMissing is returned when WAL ends before the position that the
	// control file needs to recover: segments were lost or removed.
	ErrWALMissing = errors.New("needed WAL is missing")
)

// FormatError names the pg_control_version that is not known here. It matches
// ErrUnknownFormat.
type FormatError struct {
	Version uint32
}

// Error implements error.
func (e *FormatError) Error() string {
	return fmt.Sprintf("%v: pg_control version %d, want %d or %d (PostgreSQL 13 to 17); compare with pg_controldata",
		ErrUnknownFormat, e.Version, controlVersion, controlVersion17)
}

// Is reports that this is an ErrUnknownFormat.
func (e *FormatError) Is(target error) bool { return target == ErrUnknownFormat }
