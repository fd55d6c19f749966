package alerts

import (
	"strconv"
	"time"
)

// Message tells one event of one incident. It is complete in itself: sinks need
// no other knowledge, and it survives a restart in the spool.
type Message struct {
	Key      Key       `json:"key"`
	Incident string    `json:"incident"` // short id for people
	Instance uint32    `json:"instance"`
	Event    Event     `json:"event"`
	Code     string    `json:"code"`
	Subject  string    `json:"subject"` // what the condition is about
	Severity Severity  `json:"severity"`
	Title    string    `json:"title"` // the same for all events, so that they form one thread
	Lead     string    `json:"lead"`  // the state line
	Body     string    `json:"body"`  // text; its first line is Lead
	At       time.Time `json:"at"`    // of the event
	// Details is the caller's table, already part of Body.
	Details []string `json:"details,omitempty"`

	// Footer says who sends and whether it is late; the engine sets it at each attempt.
	Footer []string `json:"-"`
	// Node is the sending node, set at each attempt.
	Node string `json:"-"`
}

// ThreadID names the opening of the incident that this message belongs to; it
// is the same on both nodes.
func (m Message) ThreadID() string {
	return "wd." + m.Key.short() + "." + strconv.FormatUint(uint64(m.Instance), 10)
}

// ID names this message to this recipient: the same on both nodes and for every
// attempt, so that a repeat can be recognised.
func (m Message) ID(channel string, to Recipient) string {
	return m.ThreadID() + "." + m.Event.String() + "." + targetOf(channel, to.Address)
}

// Text is the whole message as plain text.
func (m Message) Text() string {
	s := m.Body
	if len(m.Footer) > 0 {
		s += "\n-- \n"
	}
	for _, line := range m.Footer {
		s += line + "\n"
	}
	return s
}
