package main

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/gestionale-fullstack/watchdog/runbooks"
)

// jsonError is how a command that was asked for JSON tells its failure, on
// standard output like any other answer.
type jsonError struct {
	V     int `json:"v"`
	Error struct {
		Exit   int    `json:"exit"`
		Rule   string `json:"rule,omitempty"`
		Gate   string `json:"gate,omitempty"`
		Reason string `json:"reason"`
		Hint   string `json:"hint,omitempty"`
	} `json:"error"`
}

func (a *app) printErrorJSON(r *runbooks.Refusal) {
	var e jsonError
	e.V = 1
	e.Error.Exit, e.Error.Rule, e.Error.Gate, e.Error.Reason, e.Error.Hint = r.Exit, r.Rule, r.Gate, r.Reason, r.Hint
	if e.Error.Rule == "" {
		e.Error.Rule = r.Gate // what refused always has a name here
	}
	_ = a.printLine(e)
}

// printDoc writes one document for people and programs.
func (a *app) printDoc(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	return a.printBytes(b, err)
}

// printLine writes one document on one line, as streams do.
func (a *app) printLine(v any) error {
	b, err := json.Marshal(v)
	return a.printBytes(b, err)
}

func (a *app) printBytes(b []byte, err error) error {
	if err != nil {
		return err
	}
	_, err = a.stdout.Write([]byte(escapeControls(string(b)) + "\n"))
	return err
}

// escapeControls hides from a terminal the control characters that JSON lets
// pass: DEL and the C1 set, whose U+009B begins an escape sequence.
func escapeControls(s string) string {
	if !strings.ContainsFunc(s, isC1) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isC1(r) {
			b.WriteString(`\u00` + strconv.FormatInt(int64(r), 16))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func isC1(r rune) bool { return r >= 0x7f && r <= 0x9f }
