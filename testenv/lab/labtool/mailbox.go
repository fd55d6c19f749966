package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// letter is one mail as it is told.
type letter struct {
	At      time.Time `json:"at"`
	From    string    `json:"from"`
	To      []string  `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
}

func runMailbox(_ context.Context, c call) error {
	dir := c.flags.String("dir", "/mail", "folder of the mails")
	asJSON := c.flags.Bool("json", false, "print a JSON array")
	if err := c.parse(0, "dir"); err != nil {
		return err
	}
	messages, err := demo.ReadMail(*dir)
	if err != nil {
		return err
	}
	letters := make([]letter, 0, len(messages))
	for _, m := range messages {
		text, err := m.Text()
		if err != nil {
			// Shown all the same: a mail that cannot be read is no reason to hide it.
			text = fmt.Sprintf("(%v)\n%s", err, m.Body)
		}
		letters = append(letters, letter{m.At.UTC(), m.From, m.To, m.Subject, text})
	}
	if *asJSON {
		encoder := json.NewEncoder(c.out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(letters)
	}
	printLetters(c.out, letters)
	return nil
}

func printLetters(out io.Writer, letters []letter) {
	if len(letters) == 0 {
		fmt.Fprintln(out, "no mail")
	}
	for i, l := range letters {
		fmt.Fprintf(out, "--- %d of %d, %s ---\nsubject: %s\nfrom:    %s\nto:      %s\n\n", i+1, len(letters),
			l.At.Format("2006-01-02 15:04:05 MST"), printable(l.Subject), printable(l.From), printable(strings.Join(l.To, ", ")))
		for line := range strings.Lines(strings.TrimRight(l.Text, "\n") + "\n") {
			fmt.Fprintln(out, printable(strings.TrimSuffix(line, "\n")))
		}
		fmt.Fprintln(out)
	}
}

// printable keeps what a mail brings along from acting on the terminal.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return -1
		}
		return r
	}, line)
}
