package replication

import "time"

// Target says where a server listens and as whom to log in. Passwords come
// from a passfile (libpq's format), never from here.
type Target struct {
	Host     string // address, host name, or directory of the unix socket
	Port     int
	User     string
	Database string // the database of walsender SQL; empty means physical mode only
	PassFile string // libpq passfile; empty means none
	SSLMode  string // libpq sslmode; empty means "prefer"
	RootCert string // libpq sslrootcert
	AppName  string // application_name
}

// Sample is what one position probe of one server gave.
type Sample struct {
	At       time.Time // when the answer (or the miss) was known; observer's clock, monotonic reading kept
	Took     time.Duration
	Verdict  Verdict
	Cause    string // SQLSTATE ("57P03") or errno name ("ECONNREFUSED") behind the verdict; empty when healthy
	Detail   string // the server's or the kernel's own words, for the evidence line; never judged by
	SystemID SystemID
	Role     Role
	Timeline Timeline
	// Position is the flush LSN of a primary; on a standby it is what was
	// received and flushed, not what was replayed (PostgreSQL: IDENTIFY_SYSTEM,
	// src/backend/replication/walsender.c).
	Position LSN
	// Replay is how far a standby has replayed, read on the same flight right
	// after Position, which may lie before it by then. 0 on a primary, and where
	// it is not known (a physical session runs no SQL).
	Replay LSN
}

// Status is what one SQL probe of one server gave. LSN fields that do not
// apply to the server's role are zero.
type Status struct {
	At                      time.Time
	Took                    time.Duration
	InRecovery              bool
	ServerVersion           int // server_version_num
	Timeline                Timeline
	Flush                   LSN // primary: pg_current_wal_flush_lsn
	Receive                 LSN // standby: pg_last_wal_receive_lsn (falls back to a segment start after a restart)
	Replay                  LSN // standby: pg_last_wal_replay_lsn
	ReplayPaused            bool
	ApplyDelay              time.Duration // recovery_min_apply_delay
	SynchronousStandbyNames string
	SynchronousCommit       string
	ReadOnly                bool // default_transaction_read_only
	MaxConnections          int
	Connections             int
	MaxWalSenders           int
	WalSenders              int
	DataChecksums           bool
	WalLogHints             bool
	DataDirectory           string
	Standbys                []StandbyRow
	Receiver                *ReceiverRow
	Slots                   []SlotRow
	Settings                map[string]string // settings that must match on both nodes
	Epoch                   *EpochRow         // newest row of our epoch table; nil when the schema is not installed
	Heartbeats              []HeartbeatRow    `json:",omitempty"` // none when the schema is not installed, or nothing was written yet
	// StatsVisible is false when our login may not see other sessions' rows
	// (no pg_monitor): Standbys and Receiver are then unknown, not empty.
	StatsVisible bool
	// SyncWaiters counts sessions whose commit waits for a standby.
	SyncWaiters      int
	XIDAge           int // age of the oldest datfrozenxid, in transactions
	Archiver         *ArchiverRow
	Conflicts        uint64  // queries canceled by replay, all databases (standby)
	CommitExceptions int     // roles or databases with a synchronous_commit of their own
	Health           *Health `json:",omitempty"`
}

// ArchiverRow is pg_stat_archiver, where archive_mode is on.
type ArchiverRow struct {
	Archived      uint64
	Failed        uint64
	LastFailedNow bool          // the newest attempt failed
	LastAge       time.Duration // since the newest success; 0 when there was none
	FailedAge     time.Duration // since the newest failure; 0 when there was none, or not known
	FailedWAL     string        // file of the newest failure
}

// StandbyRow is one row of pg_stat_replication.
type StandbyRow struct {
	ApplicationName            string
	ClientAddr                 string
	State                      string
	SyncState                  string
	Sent, Write, Flush, Replay LSN
	ReplyAge                   time.Duration // now() - reply_time, both of the server
	// SlotName and SlotType are of the slot that it reads through; empty without one.
	SlotName, SlotType string
}

// Standby reports whether a standby reads there: it tells how far it has
// replayed, which pg_receivewal never does, and reads WAL itself, not its changes.
func (r StandbyRow) Standby() bool { return r.Replay != 0 && r.SlotType != "logical" }

// ReceiverRow is the row of pg_stat_wal_receiver.
type ReceiverRow struct {
	Status     string
	SenderHost string
	SenderPort int
	SlotName   string
	Flushed    LSN
	Written    LSN `json:",omitempty"` // received, and not yet durable past Flushed; 0 when not known
	Timeline   Timeline
	MessageAge time.Duration // now() - last_msg_receipt_time
}

// SlotRow is one row of pg_replication_slots.
type SlotRow struct {
	Name          string
	Type          string
	Active        bool
	WALStatus     string
	RestartLSN    LSN // 0: it keeps nothing
	RetainedBytes uint64
	// SafeBytes is how much more WAL may be written before the slot is in danger
	// of being lost (safe_wal_size, negative when it is); nil when nothing limits
	// it, or when it is not known.
	SafeBytes *int64
	// Invalid says why PostgreSQL gave the slot up: invalidation_reason of 17,
	// "conflict" on 16; empty on 15, where WALStatus alone tells.
	Invalid string
}

// EpochRow is the newest row of watchdog.epoch on that server: our own proof of
// which promotion this data descends from.
type EpochRow struct {
	Number    uint64
	ID        string
	Node      string
	Operation string
}

// HeartbeatRow is one row of watchdog.heartbeat: when a node, while it was
// primary, last wrote there. At comes from that node's server alone, so that two
// reads of one row, here and on a standby, are told apart by one clock.
type HeartbeatRow struct {
	Node string
	At   time.Time
	Age  time.Duration // by the clock of the server that was read; 0 where that clock is behind
}
