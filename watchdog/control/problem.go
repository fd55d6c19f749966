package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// maxProblemText bounds each text of a Problem, in bytes: it ends on a terminal.
const maxProblemText = 4 << 10

// Problem is how an error travels: a runbooks.Refusal in its wire form.
type Problem struct {
	V      int    `json:"v"`
	Exit   int    `json:"exit"`
	Rule   string `json:"rule,omitempty"`
	Gate   string `json:"gate,omitempty"`
	Reason string `json:"reason"`
	Hint   string `json:"hint,omitempty"`
}

// problemFrom gives the wire form of a handler's error. A Refusal keeps its exit
// code. Otherwise 1 (stopped before any change), save where that would be a
// claim we cannot make: a call that acts and ran out of time has an unknown
// outcome, and one that only reads lacks its data.
func problemFrom(err error, acts bool) Problem {
	var r *runbooks.Refusal
	var u *Unreachable
	switch {
	case errors.As(err, &r):
		p := Problem{V: 1, Exit: r.Exit, Rule: r.Rule, Gate: r.Gate, Reason: r.Reason, Hint: r.Hint}
		if !validExit(p.Exit) {
			p.Exit = runbooks.ExitFailed
		}
		return p
	case errors.As(err, &u):
		r = u.Refusal()
		return Problem{V: 1, Exit: r.Exit, Reason: err.Error(), Hint: r.Hint}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		if acts {
			return Problem{V: 1, Exit: runbooks.ExitUnknown, Reason: err.Error(), Hint: "watchdog ops list"}
		}
		return Problem{V: 1, Exit: runbooks.ExitUnavailable, Reason: err.Error()}
	default:
		return Problem{V: 1, Exit: runbooks.ExitFailed, Reason: err.Error()}
	}
}

func validExit(n int) bool {
	return n >= runbooks.ExitFailed && n <= runbooks.ExitLocked || n == runbooks.ExitInterrupted
}

// status is the HTTP status for people with curl; the client goes by Exit.
func (p Problem) status() int {
	switch p.Exit {
	case runbooks.ExitUsage:
		return http.StatusBadRequest
	case runbooks.ExitUnavailable:
		return http.StatusServiceUnavailable
	case runbooks.ExitRefused:
		return http.StatusConflict
	case runbooks.ExitUnconfirmed:
		return http.StatusPreconditionFailed
	case runbooks.ExitUnknown:
		return http.StatusGatewayTimeout
	case runbooks.ExitLocked:
		return http.StatusLocked
	default:
		return http.StatusInternalServerError
	}
}

// decodeProblem reads a Problem that another process sent. An exit code outside
// the table is an error: a caller must not take it for success.
func decodeProblem(b []byte) (*runbooks.Refusal, error) {
	var p Problem
	if err := decodeJSON(b, &p); err != nil {
		return nil, fmt.Errorf("decode problem: %w", err)
	}
	if !validExit(p.Exit) {
		return nil, fmt.Errorf("decode problem: exit code %d is not in the table", p.Exit)
	}
	if p.Reason == "" {
		return nil, errors.New("decode problem: no reason given")
	}
	return &runbooks.Refusal{
		Exit: p.Exit, Rule: clean(p.Rule), Gate: clean(p.Gate),
		Reason: clean(p.Reason), Hint: clean(p.Hint),
	}, nil
}

// clean makes text from another process fit for a terminal: no control
// characters (escape sequences, overwritten lines), bounded length.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
	if len(s) <= maxProblemText {
		return s
	}
	cut := maxProblemText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

func writeProblem(w http.ResponseWriter, p Problem, status int) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	b, err := json.Marshal(p)
	if err != nil {
		return // a struct of strings and ints always encodes
	}
	_, _ = w.Write(append(b, '\n')) // a caller that left needs no answer
}
