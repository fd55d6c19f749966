package alerts

// The condition codes that the catalogue has words for. They are stable: they
// stand in incident keys, in JSON and in mail filters.
const (
	CodeNoPrimary            = "NoPrimary"
	CodePostgresDown         = "PostgresDown"
	CodeTwoPrimaries         = "TwoPrimaries"
	CodeCommitsFailing       = "CommitsFailing"
	CodeReplicationDown      = "ReplicationDown"
	CodeSystemIDMismatch     = "SystemIdMismatch"
	CodeTimelineDivergence   = "TimelineDivergence"
	CodePeerUnreachable      = "PeerUnreachable"
	CodePeerPathPartial      = "PeerPathPartial"
	CodeAppHealthFailing     = "AppHealthFailing"
	CodeUnexpectedRoleChange = "UnexpectedRoleChange"
	CodeOperationStopped     = "OperationStopped"
	CodeStateUnreadable      = "StateUnreadable"
	CodeSupersededPrimary    = "SupersededPrimary"
	CodeNoSample             = "NoSample"
	CodePositionWentBack     = "PositionWentBack"
	CodeFailoverNotReady     = "FailoverNotReady"
	CodeNotificationFailing  = "NotificationFailing"
)
