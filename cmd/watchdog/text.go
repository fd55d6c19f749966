package main

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The three ways in which a value can be missing look different: unknown asks
// to be looked at, not applicable does not.
const (
	unknownText       = "?"
	notApplicableText = "-"
)

// clean makes text from outside fit for one line of a terminal: control and
// invisible formatting characters become blanks or vanish.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case r == utf8.RuneError, unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		}
		return r
	}, s)
}

// cleanLines is clean for text whose lines are ours.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}

// style is how text may look.
type style struct {
	colour bool // colours, beside words and symbols
	live   bool // a line may be written again
}

// The colours of words that also say what they mean.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
	bold   = "1"
)

func (s style) paint(code, text string) string {
	if !s.colour || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// ageText gives an age as people say it; negative is never.
func ageText(d time.Duration) string {
	switch {
	case d < 0:
		return "never"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// bytesText gives a size that is never below the real one and that the program
// reads back, so that what is shown can be typed as accepted.
func bytesText(n uint64) string {
	for _, u := range []struct {
		name string
		size uint64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= 10*u.size {
			whole := n / u.size
			if n%u.size != 0 {
				whole++
			}
			return fmt.Sprintf("%d %s", whole, u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// clock gives the time of day, in the zone of whoever reads it.
func clock(t time.Time) string { return t.Local().Format("15:04:05") }

// cell is one field of a table: colour does not count for its width.
type cell struct{ text, colour string }

func plainCells(words ...string) []cell {
	out := make([]cell, len(words))
	for i, w := range words {
		out[i] = cell{text: w}
	}
	return out
}

// table lays out rows in columns with two blanks between them; a trailing
// column is not padded.
func table(s style, indent string, rows [][]cell) string {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		b.WriteString(indent)
		for i, c := range row {
			b.WriteString(s.paint(c.colour, c.text))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}
