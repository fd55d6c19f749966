package replication

import "fmt"

// Verdict is what one observer concludes about one PostgreSQL server. The list
// is closed. The zero value is VerdictUnknown and never permits anything.
type Verdict uint8

// The verdicts of DESIGN section 3.
const (
	VerdictUnknown        Verdict = iota // no probe has spoken yet
	VerdictHealthy                       // answers, and nothing contradicts it
	VerdictStarting                      // 57P03 while starting up or in crash recovery
	VerdictShuttingDown                  // 57P01 / 57P03 while stopping
	VerdictSaturated                     // 53300: no slot for an ordinary session
	VerdictAuthRefused                   // 28P01, 28000, 42501: our login is refused
	VerdictReadOnly                      // out of recovery, but commits are refused (25006)
	VerdictSyncStalled                   // local commit works, a normal commit waits for a standby
	VerdictStorageStalled                // no commit ends, not even a local one
	VerdictHung                          // TCP connects, nothing answers
	VerdictDown                          // ECONNREFUSED: the host answers, the server does not
	VerdictUnreachable                   // no answer at all: silence proves nothing
)

var verdictNames = [...]string{
	"unknown", "healthy", "starting", "shutting_down", "saturated", "auth_refused",
	"read_only", "sync_stalled", "storage_stalled", "hung", "down", "unreachable",
}

// String gives the name used in output, JSON and metrics.
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// MarshalText implements encoding.TextMarshaler.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText accepts exactly the names that String gives.
func (v *Verdict) UnmarshalText(b []byte) error {
	for i, n := range verdictNames {
		if n == string(b) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("parse verdict: unknown name %q", b)
}

// Role is what a server is: out of recovery or in it.
type Role uint8

// The roles. RoleUnknown is the zero value.
const (
	RoleUnknown Role = iota
	RolePrimary
	RoleStandby
)

var roleNames = [...]string{"unknown", "primary", "standby"}

// String gives the glossary's word.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// MarshalText implements encoding.TextMarshaler.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText accepts exactly the names that String gives.
func (r *Role) UnmarshalText(b []byte) error {
	for i, n := range roleNames {
		if n == string(b) {
			*r = Role(i)
			return nil
		}
	}
	return fmt.Errorf("parse role: unknown name %q", b)
}
