package alerts

import "maps"

// Facts is what a phrase may speak of.
type Facts struct {
	Cluster string // name of the pair
	Subject string // "pair", or the node it is about
}

// Phrase gives the words of one condition.
type Phrase func(Facts) Text

// Text is what a message says beside the evidence of the case.
type Text struct {
	Subject  string // after the severity in the subject line; must not change during an incident
	Sentence string // what is wrong, in one sentence
	Meaning  string // what it means now, and what the watchdog will not do
	Action   string // the first command
}

// Catalogue has all words of all messages in one language. Write it without
// field names: a forgotten entry then does not compile.
type Catalogue struct {
	NoPrimary            Phrase
	PostgresDown         Phrase
	TwoPrimaries         Phrase
	CommitsFailing       Phrase
	ReplicationDown      Phrase
	SystemIDMismatch     Phrase
	TimelineDivergence   Phrase
	PeerUnreachable      Phrase
	PeerPathPartial      Phrase
	AppHealthFailing     Phrase
	UnexpectedRoleChange Phrase
	OperationStopped     Phrase
	StateUnreadable      Phrase
	SupersededPrimary    Phrase
	NoSample             Phrase
	PositionWentBack     Phrase
	FailoverNotReady     Phrase
	NotificationFailing  Phrase
	Lag                  LagPhrases
	Storage              StoragePhrases
	Upkeep               UpkeepPhrases
	Service              ServicePhrases
	Other                func(code string) Phrase // a condition without words of its own
	Words                Words
}

// Words is the frame around the phrases.
type Words struct {
	Page, Warning, Info string // severities in the subject line
	Firing              func(since, utc, lasted string, opening uint32) string
	Resolved            func(at, utc, lasted string) string
	Observed            string
	Meaning             string
	Evidence            string
	Also                string
	Still               string // heading of explained conditions in a resolved message
	Details             string
	First               string
	Incident            func(id, code, subject, hold string) string
	SentBy              func(node string, alive []string) string
	Alone               func(missing []string) string
	Late                func(queued, wait string, attempt int) string
}

func (c Catalogue) complete() bool {
	return c.Other != nil && c.NoPrimary != nil && c.NotificationFailing != nil && c.Words.Firing != nil && c.Words.Late != nil
}

func (c Catalogue) phrase(code string) Phrase {
	if p := c.known()[code]; p != nil {
		return p
	}
	return c.Other(code)
}

// Has says whether a condition has words of its own.
func (c Catalogue) Has(code string) bool { return c.known()[code] != nil }

func (c Catalogue) known() map[string]Phrase {
	all := map[string]Phrase{
		CodeNoPrimary:            c.NoPrimary,
		CodePostgresDown:         c.PostgresDown,
		CodeTwoPrimaries:         c.TwoPrimaries,
		CodeCommitsFailing:       c.CommitsFailing,
		CodeReplicationDown:      c.ReplicationDown,
		CodeSystemIDMismatch:     c.SystemIDMismatch,
		CodeTimelineDivergence:   c.TimelineDivergence,
		CodePeerUnreachable:      c.PeerUnreachable,
		CodePeerPathPartial:      c.PeerPathPartial,
		CodeAppHealthFailing:     c.AppHealthFailing,
		CodeUnexpectedRoleChange: c.UnexpectedRoleChange,
		CodeOperationStopped:     c.OperationStopped,
		CodeStateUnreadable:      c.StateUnreadable,
		CodeSupersededPrimary:    c.SupersededPrimary,
		CodeNoSample:             c.NoSample,
		CodePositionWentBack:     c.PositionWentBack,
		CodeFailoverNotReady:     c.FailoverNotReady,
		CodeNotificationFailing:  c.NotificationFailing,
	}
	for _, group := range []map[string]Phrase{c.Lag.known(), c.Storage.known(), c.Upkeep.known(), c.Service.known()} {
		maps.Copy(all, group)
	}
	return all
}
