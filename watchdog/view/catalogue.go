package view

import (
	"slices"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
)

// Code is the stable name of a condition: an interface to scripts, to
// configuration and to runbook pages.
type Code = string

// The conditions. Their codes never change.
const (
	NoPrimary            Code = "NoPrimary"
	PostgresDown         Code = "PostgresDown"
	TwoPrimaries         Code = "TwoPrimaries"
	CommitsFailing       Code = "CommitsFailing"
	ReplicationDown      Code = "ReplicationDown"
	SystemIdMismatch     Code = "SystemIdMismatch"
	TimelineDivergence   Code = "TimelineDivergence"
	PeerUnreachable      Code = "PeerUnreachable"
	PeerPathPartial      Code = "PeerPathPartial"
	AppHealthFailing     Code = "AppHealthFailing"
	UnexpectedRoleChange Code = "UnexpectedRoleChange"
	SupersededPrimary    Code = "SupersededPrimary"
	OperationStopped     Code = "OperationStopped"
	StateUnreadable      Code = "StateUnreadable"
	NoSample             Code = "NoSample"
)

// SubjectPair and SubjectApp are the subjects that name no node.
const (
	SubjectPair = "pair"
	SubjectApp  = "app"
)

// Entry is what the catalogue knows of a condition, whatever its case.
type Entry struct {
	Code  Code
	Means string // when it is raised, for the handbook and for `watchdog why`
	// Refute is what would prove it wrong or end it, for `watchdog why`: an
	// observation, never an act. NODE stands for the subject.
	Refute   string
	Severity alerts.Severity
	Hold     func(Limits) time.Duration
	Hint     string // the next command; NODE stands for the subject
	Runbook  string // page name
	// InhibitedBy lists the codes that explain this one. Judge passes on those
	// whose present subjects really do; see explains.
	InhibitedBy   []Code
	NeverSilenced bool
}

// Catalogue lists every condition, the gravest first. Judge gives its
// conditions in this order.
func Catalogue() []Entry { return slices.Clone(catalogue) }

// Lookup finds the entry of a code.
func Lookup(code Code) (Entry, bool) {
	i := slices.IndexFunc(catalogue, func(e Entry) bool { return e.Code == code })
	if i < 0 {
		return Entry{}, false
	}
	return catalogue[i], true
}

// The catalogue, the gravest first: a group is a slice beside the rules that
// raise it.
var catalogue = slices.Concat(pairRules, serverRules, lagRules, storageRules, upkeepRules, nodeRules, serviceRules, readyRules)

// pairRules are about the pair as a whole.
var pairRules = []Entry{
	{
		Code: TwoPrimaries, Means: "two servers of one system identifier were out of recovery at the same moment",
		Refute:   "at any one moment at most one of the servers answers out of recovery: one is fenced, or in recovery again",
		Severity: alerts.SeverityPage, Hold: func(l Limits) time.Duration { return l.HoldTwoPrimaries },
		Hint: "watchdog status", Runbook: "two-primaries", NeverSilenced: true,
	},
	{
		Code: NoPrimary, Means: "no server out of recovery answers from any vantage point",
		Refute:   "one answer of a server out of recovery to any node, or new WAL that a standby receives from it",
		Severity: alerts.SeverityPage, Hold: func(l Limits) time.Duration { return l.HoldNoPrimary },
		Hint: "watchdog promote", Runbook: "no-primary",
	},
	{
		Code: SystemIdMismatch, Means: "the servers hold different data: their system identifiers differ",
		Refute:   "both servers answer with one and the same system identifier",
		Severity: alerts.SeverityPage, Hold: noHold,
		Hint: "watchdog status", Runbook: "system-id-mismatch", NeverSilenced: true,
	},
	{
		Code: TimelineDivergence, Means: "one server holds WAL that lies on no common history with the primary",
		Refute:   "the standby's timeline and position lie on the history of the primary's timeline, as after a rejoin",
		Severity: alerts.SeverityPage, Hold: noHold,
		Hint: "watchdog status", Runbook: "timeline-divergence", NeverSilenced: true,
	},
	positionWentBack,
	{
		Code: SupersededPrimary, Means: "a server runs as primary under an epoch that a newer one has replaced, or, where there is no epoch, on a timeline that another primary has left",
		Refute:   "NODE no longer runs out of recovery, or holds the newest epoch, or the other one no longer runs as primary",
		Severity: alerts.SeverityPage, Hold: func(l Limits) time.Duration { return l.HoldRole },
		Hint: "watchdog fence NODE", Runbook: "superseded-primary",
	},
	{
		Code: UnexpectedRoleChange, Means: "a server has another role than the newest epoch gives it, and no operation is open",
		Refute:   "NODE answers in the role that the newest epoch gives it, or an adoption records the role it has",
		Severity: alerts.SeverityPage, Hold: func(l Limits) time.Duration { return l.HoldRole },
		Hint: "watchdog history", Runbook: "unexpected-role-change", NeverSilenced: true,
	},
	{
		Code: OperationStopped, Means: "an operation stopped part-way, or its owner no longer runs it",
		Refute:   "its owner tells that the operation runs, or that it is closed",
		Severity: alerts.SeverityPage, Hold: noHold,
		Hint: "watchdog ops list", Runbook: "operation-stopped", NeverSilenced: true,
	},
	{
		Code: StateUnreadable, Means: "a node cannot read its durable state and refuses to act",
		Refute:   "NODE reads its state again and reports it without a fault",
		Severity: alerts.SeverityPage, Hold: noHold,
		Hint: "watchdog status", Runbook: "state-unreadable",
	},
}

// serverRules are about one server and what it sends.
var serverRules = []Entry{
	{
		Code: PostgresDown, Means: "a PostgreSQL server answers nobody",
		Refute:   "one answer of PostgreSQL on NODE to any node",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldStandbyDown },
		Hint: "watchdog status", Runbook: "postgres-down",
		InhibitedBy: []Code{NoPrimary, PeerUnreachable, ReplicationDown},
	},
	{
		Code: CommitsFailing, Means: "the primary answers, but commits do not end or are refused",
		Refute:   "one commit of the probe on NODE that ends in time",
		Severity: alerts.SeverityPage, Hold: func(l Limits) time.Duration { return l.HoldCommits },
		Hint: "watchdog status", Runbook: "commits-failing", InhibitedBy: []Code{NoPrimary},
	},
	{
		Code: ReplicationDown, Means: "a standby receives no WAL",
		Refute:   "the WAL receiver of NODE streams, and a message from its primary is fresh",
		Severity: alerts.SeverityPage, Hold: func(l Limits) time.Duration { return l.HoldReplicationDown },
		Hint: "watchdog status", Runbook: "replication-down", InhibitedBy: []Code{NoPrimary, PeerUnreachable},
	},
}

// nodeRules are about nodes, paths and the application.
var nodeRules = []Entry{
	{
		Code: PeerUnreachable, Means: "a node's watchdog is neither heard nor reached, or two nodes cannot reach each other",
		Refute:   "one report of the silent node, or one direct answer of its control API",
		Severity: alerts.SeverityPage, Hold: func(l Limits) time.Duration { return l.HoldPeer },
		Hint: "watchdog status", Runbook: "peer-unreachable", InhibitedBy: []Code{NoPrimary},
	},
	{
		Code: PeerPathPartial, Means: "a node is reached but not heard by gossip",
		Refute:   "one gossip report of NODE that arrives",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldPath },
		Hint: "watchdog status", Runbook: "peer-path-partial",
	},
	{
		Code: AppHealthFailing, Means: "the application's health endpoint fails from every vantage point",
		Refute:   "one good answer of the health endpoint to any node",
		Severity: alerts.SeverityPage, Hold: func(l Limits) time.Duration { return l.HoldApp },
		Hint: "watchdog status", Runbook: "app-health-failing", InhibitedBy: []Code{NoPrimary},
	},
	{
		Code: NoSample, Means: "what a rule needs to know is missing, and missing data is a finding",
		Refute:   "one fresh sample with an SQL status of PostgreSQL on NODE, from any node",
		Severity: alerts.SeverityWarning, Hold: func(l Limits) time.Duration { return l.HoldNoSample },
		Hint: "watchdog status", Runbook: "no-sample", InhibitedBy: []Code{AuthBroken},
	},
}

func noHold(Limits) time.Duration { return 0 }

// rank orders conditions as the catalogue does; an unknown code comes last.
func rank(code Code) int {
	i := slices.IndexFunc(catalogue, func(e Entry) bool { return e.Code == code })
	if i < 0 {
		return len(catalogue)
	}
	return i
}
