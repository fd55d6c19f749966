package pgdata

import "fmt"

// State is the cluster state that the control file holds. The server's own
// numbering begins with "starting up"; ours begins with unknown.
type State uint8

// The states (enum DBState, src/include/catalog/pg_control.h).
const (
	StateUnknown            State = iota
	StateStarting                 // first start, before recovery
	StateShutDown                 // cleanly stopped as primary
	StateShutDownInRecovery       // cleanly stopped as standby
	StateShuttingDown             // writing the shutdown checkpoint, or died while doing so
	StateCrashRecovery
	StateArchiveRecovery // running as standby, or died as one
	StateProduction      // running as primary, or died as one
)

var stateNames = [...]string{
	"unknown", "starting up", "shut down", "shut down in recovery", "shutting down",
	"in crash recovery", "in archive recovery", "in production",
}

// stateFrom maps the server's number; what it does not know is StateUnknown.
func stateFrom(raw uint32) State {
	if raw >= uint32(len(stateNames)-1) {
		return StateUnknown
	}
	return State(raw + 1)
}

// String gives pg_controldata's words.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts exactly the names that String gives.
func (s *State) UnmarshalText(b []byte) error {
	for i, n := range stateNames {
		if n == string(b) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("parse cluster state: unknown name %q", b)
}

// Clean reports that the server was stopped in order: its WAL ends with a
// shutdown checkpoint (primary) or a restartpoint (standby).
func (s State) Clean() bool { return s == StateShutDown || s == StateShutDownInRecovery }

// LikePrimary reports that a start without standby.signal would come up
// writable on the same timeline.
func (s State) LikePrimary() bool {
	switch s {
	case StateStarting, StateShutDown, StateShuttingDown, StateCrashRecovery, StateProduction:
		return true
	}
	return false
}
