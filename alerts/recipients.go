package alerts

import (
	"errors"
	"fmt"
	"net/mail"
	"strings"
)

// ParseRecipients reads the operator's list: addresses separated by commas, with
// spaces, empty parts and display names ("Ann <ann@example.org>") as they come.
// An address given twice counts once. The error names the bad part.
func ParseRecipients(list string) ([]Recipient, error) {
	var out []Recipient
	seen := map[string]bool{}
	for _, part := range SplitRecipients(list) {
		r, err := parseRecipient(part)
		if err != nil {
			return nil, err
		}
		if key := strings.ToLower(r.Address); !seen[key] {
			seen[key] = true
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("read recipients: the list names nobody")
	}
	return out, nil
}

func parseRecipient(part string) (Recipient, error) {
	if strings.ContainsAny(part, "\r\n\x00") {
		return Recipient{}, fmt.Errorf("read recipients: address %q holds a line break", part)
	}
	a, err := mail.ParseAddress(part)
	if err != nil {
		return Recipient{}, fmt.Errorf("read recipients: address %q: %w", part, err)
	}
	if clean(a.Name, maxTitle) != a.Name {
		return Recipient{}, fmt.Errorf("read recipients: the name in %q holds control characters or is too long", part)
	}
	return Recipient{Name: a.Name, Address: a.Address}, nil
}

// SplitRecipients cuts the operator's list at commas outside of quoted names
// ("Doe, Jane" <jane@example.org>) and leaves out empty parts. It checks nothing.
func SplitRecipients(list string) []string {
	var parts []string
	take := func(part string) {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	quoted, from := false, 0
	for i := 0; i < len(list); i++ {
		switch list[i] {
		case '\\':
			if quoted {
				i++
			}
		case '"':
			quoted = !quoted
		case ',':
			if !quoted {
				take(list[from:i])
				from = i + 1
			}
		}
	}
	take(list[from:])
	return parts
}
