package fence

import (
	"fmt"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// Grade is how sure a fence is. The zero value is GradeNone; higher is surer.
// "Unreachable" is no grade at all, and the exit status of a stop command
// proves nothing: backends of a killed postmaster went on committing for 79 s
// when it was measured.
type Grade uint8

// The grades, weakest first.
const (
	GradeNone     Grade = iota
	GradeStated         // an operator typed that the node is off; on record with who
	GradeIsolated       // a durable network cut, seen from the clients' side
	GradeSealed         // marker, standby.signal, clean stop, restart off, read back through the node itself
	GradePower          // off, read back from the power device
)

var gradeNames = [...]string{"none", "stated", "isolated", "sealed", "power"}

// String gives the glossary's word.
func (g Grade) String() string {
	if int(g) < len(gradeNames) {
		return gradeNames[g]
	}
	return fmt.Sprintf("grade(%d)", uint8(g))
}

// MarshalText implements encoding.TextMarshaler.
func (g Grade) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText accepts exactly the names that String gives.
func (g *Grade) UnmarshalText(b []byte) error {
	for i, n := range gradeNames {
		if n == string(b) {
			*g = Grade(i)
			return nil
		}
	}
	return fmt.Errorf("parse fence grade: unknown name %q", b)
}

// Result is the outcome of an act. The zero value is ResultUnknown, and unknown
// is never success.
type Result uint8

// The results.
const (
	ResultUnknown Result = iota // sent, but nobody can say whether it took effect
	ResultNotDone               // certainly without effect
	ResultDone                  // took effect, and was read back
)

var resultNames = [...]string{"unknown", "not_done", "done"}

// String gives the journal's word.
func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return fmt.Sprintf("result(%d)", uint8(r))
}

// MarshalText implements encoding.TextMarshaler.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText accepts exactly the names that String gives.
func (r *Result) UnmarshalText(b []byte) error {
	for i, n := range resultNames {
		if n == string(b) {
			*r = Result(i)
			return nil
		}
	}
	return fmt.Errorf("parse result: unknown name %q", b)
}

// Evidence is one line of what was seen: by whom, and when.
type Evidence struct {
	Observer string    `json:"observer"` // node or device that saw it
	Text     string    `json:"text"`
	At       time.Time `json:"at"`
}

// Outcome is what one fence attempt (or a chain of them) ended with.
type Outcome struct {
	Node     string     `json:"node"`
	Result   Result     `json:"result"`
	Grade    Grade      `json:"grade"`  // GradeNone unless Result is ResultDone
	Device   string     `json:"device"` // which device spoke: "peer", "agent:fence_ipmilan", "stated"
	Evidence []Evidence `json:"evidence"`
	// EndOfWAL is where valid WAL ends on the fenced disk; nil when it was not
	// read. Only a sealed node can give it.
	EndOfWAL *EndOfWAL `json:"end_of_wal,omitempty"`
	Problem  string    `json:"problem,omitempty"` // why it is not done, with what to do next
}

// EndOfWAL is the end of valid WAL read from a disk, with the timeline it lies on.
type EndOfWAL struct {
	Timeline replication.Timeline `json:"timeline"`
	LSN      replication.LSN      `json:"lsn"`
	// Commits counts commit records between From and LSN; -1 when not counted.
	Commits int             `json:"commits"`
	From    replication.LSN `json:"from"`
	// Shutdown is true when the last record is a shutdown checkpoint.
	Shutdown bool `json:"shutdown"`
}
