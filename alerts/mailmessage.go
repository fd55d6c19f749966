package alerts

import (
	"strings"

	mail "github.com/wneessen/go-mail"
)

// build makes the mail of one message for one recipient. Message-ID and thread
// are the same on both nodes and for every attempt; the subject stays constant
// during an incident, because Gmail threads by it.
func (s *MailSink) build(m Message, to Recipient) (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(s.from.Name, s.from.Address); err != nil {
		return nil, err
	}
	if err := msg.EnvelopeFrom(s.from.Address); err != nil {
		return nil, err
	}
	if err := msg.AddToFormat(to.Name, to.Address); err != nil {
		return nil, err
	}
	msg.Subject(clean(m.Title, maxTitle))
	msg.SetDateWithValue(m.At)
	msg.SetMessageIDWithValue(m.ID(s.Name(), to) + "@" + s.domain)
	thread := "<" + m.ThreadID() + "@" + s.domain + ">"
	msg.SetGenHeader(mail.HeaderReferences, thread)
	msg.SetGenHeader(mail.HeaderInReplyTo, thread)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834
	msg.SetGenHeader("X-Auto-Response-Suppress", "All")
	msg.SetGenHeader("X-Watchdog-Incident", token(m.Incident))
	msg.SetGenHeader("X-Watchdog-Rule", token(m.Code))
	msg.SetGenHeader("X-Watchdog-Subject", token(m.Subject))
	msg.SetGenHeader("X-Watchdog-Severity", m.Severity.String())
	msg.SetGenHeader("X-Watchdog-State", m.Event.String())
	msg.SetGenHeader("X-Watchdog-Node", token(m.Node))
	if m.Severity >= SeverityPage && m.Event == EventFiring {
		msg.SetImportance(mail.ImportanceHigh)
	}
	msg.SetBodyString(mail.TypeTextPlain, bodyText(m.Text()))
	return msg, nil
}

// token keeps header values that filters match plain and short.
func token(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, clean(s, maxTitle))
}

// maxBody keeps a mail below the size at which clients cut it.
const maxBody = 64 << 10

// bodyText keeps line breaks and removes every other control character.
func bodyText(s string) string {
	if len(s) > maxBody {
		s = strings.ToValidUTF8(s[:maxBody], "") + "\n(cut)\n"
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if line == "-- " { // the signature mark ends with its space
			continue
		}
		body := strings.TrimLeft(line, " ")
		lines[i] = line[:len(line)-len(body)] + clean(body, 4*maxLine)
	}
	return strings.Join(lines, "\n")
}
