package config

import (
	"fmt"
	"regexp"
	"strings"
)

// Error is one finding in the file, with everything an operator needs to put
// it right. Line and Column count from 1; both are 0 when the finding is about
// the whole file.
type Error struct {
	File         string
	Line, Column int
	Path         string // dotted name of the setting: nodes.db1.fence[0].type
	Reason       string
	Hint         string // what to do; empty when the reason says it
	Excerpt      string // source lines with a caret; empty without a position
}

// Error gives the whole text, several lines: place and reason, the source
// lines with a caret, the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Reason)
	if e.Excerpt != "" {
		b.WriteString("\n" + e.Excerpt)
	}
	if e.Hint != "" {
		b.WriteString("\nhint: " + e.Hint)
	}
	return b.String()
}

// Errors are several findings of one file, in the order of the file.
type Errors []*Error

// Error joins the findings with a blank line between them.
func (es Errors) Error() string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = e.Error()
	}
	return strings.Join(parts, "\n\n")
}

// Unwrap lets errors.As find the first finding.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// excerptBefore and excerptAfter are how many source lines surround the caret.
const (
	excerptBefore = 2
	excerptAfter  = 1
)

// excerpt renders the lines around a position with a caret under its column.
// Tabs before the column are kept in the caret's line, so that both align.
func excerpt(lines []string, line, column int) string {
	if line < 1 || line > len(lines) {
		return ""
	}
	var b strings.Builder
	for n := max(1, line-excerptBefore); n <= min(len(lines), line+excerptAfter); n++ {
		mark := " "
		if n == line {
			mark = ">"
		}
		fmt.Fprintf(&b, "%s %3d | %s\n", mark, n, mask(printable(lines[n-1])))
		if n == line {
			fmt.Fprintf(&b, "      | %s^\n", pad(lines[n-1], column))
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// secretWords find what should never have been written into the file: it is
// refused, and its refusal must not carry it into a log.
var secretWords = []*regexp.Regexp{
	regexp.MustCompile(`(?i)((?:passw(?:or)?d|secret|token)["']?\s*:\s*)("[^"]*"?|'[^']*'?|[^\s,}\]#]+)`),
	regexp.MustCompile(`(://)([^/\s"']+)@`),
}

func mask(line string) string {
	line = secretWords[0].ReplaceAllString(line, "${1}***")
	return secretWords[1].ReplaceAllString(line, "${1}***@")
}

func pad(line string, column int) string {
	var b strings.Builder
	for i, r := range []rune(line) {
		if i >= column-1 {
			break
		}
		if r == '\t' {
			b.WriteRune('\t')
		} else {
			b.WriteRune(' ')
		}
	}
	return b.String()
}

// printable replaces control characters: the file is text from outside when
// it reaches a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (r < ' ' || r >= 0x7f && r <= 0x9f) {
			return '?'
		}
		return r
	}, s)
}
