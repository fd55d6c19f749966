package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Audit is what one server says of its own configuration, asked on demand: the
// settings behind replication, promotion and rewind. No password and no command
// line is in it: what might hold one is judged by the server.
type Audit struct {
	InRecovery    bool              `json:"in_recovery"`
	ServerVersion int               `json:"server_version"` // server_version_num
	Settings      map[string]string `json:"settings"`       // AuditSettings as far as the server has them, in its own units
	// PendingRestart names settings that were changed and wait for a restart.
	PendingRestart []string `json:"pending_restart,omitempty"`
	// Upstream is what primary_conninfo holds; nil when our login may not read it.
	Upstream *Upstream `json:"upstream,omitempty"`
	// ArchiveSet is true when archive_command or archive_library says something.
	ArchiveSet bool `json:"archive_set"`
	// StatsVisible is false when our login may not see other sessions (no
	// pg_monitor): Standbys and WalSenders are then unknown, not none.
	StatsVisible bool         `json:"stats_visible"`
	WalSenders   int          `json:"wal_senders"` // taken, without the session that asks
	Standbys     []StandbyRow `json:"standbys,omitempty"`
	Slots        []SlotRow    `json:"slots,omitempty"`
	Archiver     *ArchiverRow `json:"archiver,omitempty"`
	// Collations are those of the databases; nil where the server keeps no
	// version of them (before 15).
	Collations []Collation `json:"collations,omitempty"`
}

// Upstream is what can be told of primary_conninfo without telling it.
type Upstream struct {
	Set      bool `json:"set"`
	Password bool `json:"password"` // it holds a password
}

// Collation is the version of one database's collation: as recorded when its
// indexes were built, and as the operating system gives it now (PostgreSQL
// manual, 24.2.2.3). Empty is not versioned, as with C.
type Collation struct {
	Database string `json:"database"`
	Recorded string `json:"recorded"`
	Actual   string `json:"actual"`
}

// AuditSettings are the settings that ReadAudit reads.
var AuditSettings = []string{
	"max_connections", "max_wal_senders", "max_worker_processes", "max_prepared_transactions", "max_locks_per_transaction",
	"wal_level", "data_checksums", "wal_log_hints", "full_page_writes", "fsync", "hot_standby", "primary_slot_name",
	"max_replication_slots", "max_slot_wal_keep_size", "synchronous_standby_names", "archive_mode", "recovery_min_apply_delay",
	"recovery_target_timeline", "restart_after_crash",
}

const (
	sqlAuditSelf = `SELECT pg_is_in_recovery(), current_setting('server_version_num'), pg_has_role('pg_read_all_stats', 'USAGE'),
 (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender' AND pid <> pg_backend_pid()),
 (SELECT count(*) > 0 FROM pg_settings WHERE name IN ('archive_command', 'archive_library') AND setting NOT IN ('', '(disabled)'))`

	sqlAuditPending = `SELECT name FROM pg_settings WHERE pending_restart ORDER BY name`

	// A row comes only to whom pg_read_all_settings is granted. libpq takes a
	// password as a keyword, as a URI's user:password@ and as its parameter.
	sqlAuditUpstream = `SELECT setting <> '',
 setting ~* '(^|[[:space:]?&])(ssl)?password[[:space:]]*=' OR setting ~* '^postgres(ql)?://[^/@:]*:[^/@]+@'
 FROM pg_settings WHERE name = 'primary_conninfo'`

	sqlAuditCollations = `SELECT datname, datcollversion, pg_database_collation_actual_version(oid) FROM pg_database WHERE datallowconn ORDER BY datname`
)

func sqlAuditSettings() string {
	names := make([]string, len(AuditSettings))
	for i, n := range AuditSettings {
		names[i] = quoteLiteral(n)
	}
	return "SELECT name, setting FROM pg_settings WHERE name IN (" + strings.Join(names, ", ") + ")"
}

// ReadAudit reads the configuration of a server over one walsender session that
// ends with the call, so that it works on a server without a free connection
// slot. An error is a *StateError when the server cannot be asked.
func ReadAudit(ctx context.Context, t Target) (Audit, error) {
	l, phase, err := connectAny(ctx, t, newWire(0))
	if err != nil {
		v, cause := Classify(err, phase)
		return Audit{}, &StateError{Act: "read configuration of " + t.Address(), Verdict: v, Cause: cause, Err: err}
	}
	defer l.close()
	if l.mode == modePhysical {
		return Audit{}, fmt.Errorf("read configuration: %w", errNoSQL)
	}
	as, err := l.ask(ctx, sqlAuditSelf, sqlAuditSettings(), sqlAuditPending, sqlAuditUpstream, sqlStandbys, sqlSlots, sqlArchiver, sqlAuditCollations)
	if err != nil {
		return Audit{}, fmt.Errorf("read configuration: %w", err)
	}
	a, err := readAudit(as)
	if err != nil {
		return Audit{}, fmt.Errorf("read configuration: %w", err)
	}
	return a, nil
}

func readAudit(as []answer) (Audit, error) {
	cols, err := as[0].one(5)
	if err != nil {
		return Audit{}, err
	}
	s := scan{cols: cols}
	a := Audit{InRecovery: s.bool(), ServerVersion: s.int(), StatsVisible: s.bool(), WalSenders: s.int(), ArchiveSet: s.bool(),
		Settings: make(map[string]string, len(AuditSettings))}
	var st Status
	err = errors.Join(s.err,
		each(as[1], func(s *scan) {
			if name := s.str(); slices.Contains(AuditSettings, name) {
				a.Settings[name] = s.str()
			}
		}),
		each(as[2], func(s *scan) { a.PendingRestart = append(a.PendingRestart, s.str()) }),
		each(as[3], func(s *scan) { a.Upstream = &Upstream{Set: s.bool(), Password: s.bool()} }),
		readStandbys(&st, as[4]), readSlots(&st, as[5]), readArchiver(&st, as[6]))
	a.Standbys, a.Slots, a.Archiver = st.Standbys, st.Slots, st.Archiver
	if as[7].err == nil { // the columns exist since 15
		err = errors.Join(err, each(as[7], func(s *scan) {
			a.Collations = append(a.Collations, Collation{Database: s.str(), Recorded: s.str(), Actual: s.str()})
		}))
	}
	return a, err
}

// TryReplication opens a physical walsender session as a standby would and ends
// it: the one proof that pg_hba.conf, the password and the network let it in.
// An error is a *StateError.
func TryReplication(ctx context.Context, t Target) error {
	fail := func(err error, phase Phase) error {
		v, cause := Classify(err, phase)
		return &StateError{Act: "replicate from " + t.Address() + " as " + t.User, Verdict: v, Cause: cause, Err: err}
	}
	l, phase, err := connect(ctx, t, modePhysical, newWire(0))
	if err != nil {
		return fail(err, phase)
	}
	defer l.close()
	if err := l.exec(ctx, "IDENTIFY_SYSTEM"); err != nil {
		return fail(err, PhaseQuery)
	}
	return nil
}
