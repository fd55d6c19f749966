package alerts

// The codes of conditions of lag; see view's catalogue.
const (
	CodeReplicationLagBytes = "ReplicationLagBytes"
	CodeReplicationLagTime  = "ReplicationLagTime"
	CodeReplayPaused        = "ReplayPaused"
)

// LagPhrases are the words on a standby that is behind.
type LagPhrases struct {
	ReplicationLagBytes Phrase
	ReplicationLagTime  Phrase
	ReplayPaused        Phrase
}

func (p LagPhrases) known() map[string]Phrase {
	return map[string]Phrase{
		CodeReplicationLagBytes: p.ReplicationLagBytes,
		CodeReplicationLagTime:  p.ReplicationLagTime,
		CodeReplayPaused:        p.ReplayPaused,
	}
}
