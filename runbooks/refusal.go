package runbooks

// Refusal is why something was not done, as a value that travels to the
// command: the exit code of DESIGN section 6, the safety rule's number when one
// is behind it, and the next command to type.
type Refusal struct {
	Exit   int    `json:"exit"`           // 1 to 9
	Rule   string `json:"rule,omitempty"` // "1", "13", ...: the rule of DESIGN section 4
	Gate   string `json:"gate,omitempty"` // stable name of the check
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"`
}

// Error gives the reason; the hint is printed on its own line by the command.
func (r *Refusal) Error() string { return r.Reason }

// The exit codes, an interface to scripts: they never change meaning.
const (
	ExitDone        = 0
	ExitFailed      = 1   // stopped before any change
	ExitUsage       = 2   // unknown flag, command, node
	ExitConfig      = 3   // configuration invalid
	ExitUnavailable = 4   // service or needed data not reachable
	ExitRefused     = 5   // refused by a safety rule, which is named
	ExitUnconfirmed = 6   // not confirmed, or the plan went stale
	ExitPartWay     = 7   // stopped part-way: the next command is printed
	ExitUnknown     = 8   // outcome unknown or still running
	ExitLocked      = 9   // another operation holds the lock
	ExitInterrupted = 130 // interrupted before the start
)
