package alerts

import (
	"strings"
	"unicode"
)

// Limits of one message: a mail stays far below the 100 KB at which clients cut.
const (
	maxLine  = 500 // runes
	maxLines = 200 // per list
	maxTitle = 160
)

// clean makes one line of outside text safe for a header, a log and a terminal:
// no control characters, no text-direction overrides, bounded.
func clean(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == limit {
			b.WriteString("…")
			break
		}
		n++
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			b.WriteByte(' ')
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar:
			b.WriteRune('?')
		default:
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String())
}

// cleanLines cleans a list and keeps its indentation, which tables need.
func cleanLines(lines []string) []string {
	out := make([]string, 0, min(len(lines), maxLines))
	for _, line := range lines[:min(len(lines), maxLines)] {
		body := strings.TrimLeft(line, " ")
		indent := min(len(line)-len(body), 40)
		out = append(out, strings.Repeat(" ", indent)+clean(body, maxLine))
	}
	return out
}
