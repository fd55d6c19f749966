package alerts

import (
	"context"
	"fmt"
	"time"
)

// Sink is a channel that carries messages: mail, a log, later pagers. Send must
// end soon after its context ends, may be called by one goroutine at a time per
// engine, and must give the same message the same identity each time, because a
// message whose outcome is unknown is sent again.
type Sink interface {
	// Name is the channel's stable name in marks, metrics and logs.
	Name() string
	// Send makes one attempt for one recipient.
	Send(ctx context.Context, m Message, to Recipient) Delivery
}

// Recipient is one address of one channel.
type Recipient struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address"`
}

// String shows the address with its name, if it has one.
func (r Recipient) String() string {
	if r.Name == "" {
		return r.Address
	}
	return fmt.Sprintf("%s <%s>", r.Name, r.Address)
}

// Outcome is what became of one attempt. The zero value, unknown, is never
// success: the attempt is repeated under the same message identity.
type Outcome uint8

// The outcomes.
const (
	OutcomeUnknown   Outcome = iota // accepted or not, nobody knows
	OutcomeDelivered                // the channel took responsibility
	OutcomeTemporary                // not taken; a later attempt may succeed
	OutcomePermanent                // refused for this recipient for good
)

var outcomeNames = [...]string{"unknown", "delivered", "temporary", "permanent"}

// String gives the name used in logs.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// Delivery is the result of one attempt.
type Delivery struct {
	Outcome Outcome
	// Err says why, free of secrets; nil when delivered.
	Err error
	// ChannelFault says that the channel itself is at fault (credentials, TLS,
	// quota), not this recipient: the message is kept whatever the outcome, and
	// somebody must be told by another way.
	ChannelFault bool
	// RetryAfter is the least wait the channel asks for; 0 leaves it to the engine.
	RetryAfter time.Duration
}

// Route says which messages go through a sink, and to whom.
type Route struct {
	Sink Sink
	To   []Recipient
	Min  Severity // SeverityInfo is read as SeverityWarning: info tells nobody
	// Local routes concern this node alone (its log): they do not wait for their
	// turn and their marks are not gossiped.
	Local bool
}

func (r Route) wants(s Severity) bool { return s >= max(r.Min, SeverityWarning) }
