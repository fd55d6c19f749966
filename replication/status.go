package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// errNoSQL is returned by status on a physical walsender: it runs no SQL.
var errNoSQL = errors.New("read status: physical walsender runs no SQL")

// matching lists the settings that must be equal on both nodes, or the standby
// may refuse to start or to follow (PostgreSQL manual, 27.4.1 Hot Standby,
// administrator's overview), and those whose difference surprises after a
// promotion.
var matching = []string{
	"max_connections", "max_prepared_transactions", "max_locks_per_transaction", "max_wal_senders", "max_worker_processes",
	"wal_level", "block_size", "wal_segment_size", "server_version_num", "shared_preload_libraries", "lc_collate",
	"max_replication_slots", "max_slot_wal_keep_size", "wal_keep_size", "hot_standby", "archive_mode", "full_page_writes",
	"fsync", "max_standby_streaming_delay", "wal_receiver_timeout", "wal_sender_timeout", "wal_retrieve_retry_interval",
	"recovery_target_timeline", "restart_after_crash", "track_commit_timestamp",
}

// The statements of one SQL probe. Each is a message of its own: a refusal of
// one (a missing right) spoils no other. lc_collate is no setting since 16 and
// is then simply absent.
const (
	sqlScalars = `SELECT pg_is_in_recovery(), current_setting('server_version_num'),
 CASE WHEN r THEN NULL ELSE pg_current_wal_flush_lsn() END,
 CASE WHEN r THEN pg_last_wal_receive_lsn() END, CASE WHEN r THEN pg_last_wal_replay_lsn() END,
 CASE WHEN r THEN pg_is_wal_replay_paused() END,
 (SELECT setting FROM pg_settings WHERE name = 'recovery_min_apply_delay'),
 current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),
 current_setting('default_transaction_read_only')::bool,
 current_setting('max_connections'), (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
 current_setting('max_wal_senders'), (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender'),
 current_setting('data_checksums')::bool, current_setting('wal_log_hints')::bool,
 (SELECT setting FROM pg_settings WHERE name = 'data_directory'),
 pg_has_role('pg_read_all_stats', 'USAGE'),
 (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'),
 (SELECT max(age(datfrozenxid)) FROM pg_database),
 (SELECT coalesce(sum(conflicts), 0)::bigint FROM pg_stat_database),
 (SELECT count(*) FROM pg_db_role_setting WHERE array_to_string(setconfig, ',') ~ '(^|,)synchronous_commit='),
 (SELECT count(*) > 0 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'watchdog'
   AND c.relname = 'epoch' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')),
 (SELECT count(*) > 0 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'watchdog'
   AND c.relname = 'heartbeat' AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
 FROM pg_is_in_recovery() r`

	// A walsender that only answers probes shows as a row in state startup
	// that has sent nothing: it is no standby.
	sqlStandbys = `SELECT application_name, host(client_addr), state, sync_state, sent_lsn, write_lsn, flush_lsn, replay_lsn,
 (extract(epoch FROM clock_timestamp() - reply_time) * 1000)::bigint, s.slot_name, s.slot_type
 FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid
 WHERE state IS NULL OR state IN ('catchup', 'streaming', 'stopping')
 ORDER BY application_name, r.pid`

	sqlReceiver = `SELECT status, sender_host, sender_port, slot_name, flushed_lsn, received_tli,
 (extract(epoch FROM clock_timestamp() - last_msg_receipt_time) * 1000)::bigint, written_lsn
 FROM pg_stat_wal_receiver WHERE status IS NOT NULL`

	// Columns that came with 16 (conflicting) and 17 (invalidation_reason) are
	// asked for by name, so that 15 answers too.
	sqlSlots = `SELECT slot_name, slot_type, active, wal_status, restart_lsn,
 greatest(pg_wal_lsn_diff(CASE WHEN r THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
   ELSE pg_current_wal_lsn() END, restart_lsn), 0)::bigint, safe_wal_size,
 coalesce(to_jsonb(s) ->> 'invalidation_reason', CASE WHEN to_jsonb(s) ->> 'conflicting' = 'true' THEN 'conflict' END)
 FROM pg_replication_slots s, pg_is_in_recovery() r ORDER BY slot_name`

	sqlArchiver = `SELECT archived_count, failed_count,
 coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false),
 (extract(epoch FROM clock_timestamp() - last_archived_time) * 1000)::bigint,
 (extract(epoch FROM clock_timestamp() - last_failed_time) * 1000)::bigint, last_failed_wal
 FROM pg_stat_archiver WHERE current_setting('archive_mode') <> 'off'`

	sqlEpoch = `SELECT number, id, node, operation FROM watchdog.epoch ORDER BY number DESC, at DESC LIMIT 1`

	// The ages count from one and the same moment; a pair has two rows.
	sqlHeartbeats = `SELECT node, (extract(epoch FROM at) * 1000000)::bigint,
 (extract(epoch FROM clock_timestamp() - at) * 1000)::bigint FROM watchdog.heartbeat
 WHERE at BETWEEN '2000-01-01' AND '9000-01-01' ORDER BY node LIMIT 16`
)

func sqlSettings() string {
	q := "SELECT name, setting, pending_restart FROM pg_settings WHERE pending_restart OR name IN ("
	for i, n := range matching {
		if i > 0 {
			q += ", "
		}
		q += quoteLiteral(n)
	}
	return q + ")"
}

// status runs one SQL probe over the link.
func (l *link) status(ctx context.Context) (Status, error) {
	if l.mode == modePhysical {
		return Status{}, errNoSQL
	}
	began := time.Now()
	as, err := l.ask(ctx, sqlScalars, sqlStandbys, sqlReceiver, sqlSlots, sqlSettings(), sqlArchiver,
		sqlHealth, sqlSessions, sqlLogins)
	if err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	st, has, err := readScalars(as[0])
	var pending []string
	if err == nil {
		err = errors.Join(readStandbys(&st, as[1]), readReceiver(&st, as[2]), readSlots(&st, as[3]), readSettings(&st, &pending, as[4]), readArchiver(&st, as[5]))
	}
	if err == nil {
		st.Health, err = readHealth(as[6], as[7], as[8], pending)
	}
	if err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	if err := l.ours(ctx, &st, has); err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	st.At, st.Took = time.Now(), time.Since(began)
	return st, nil
}

// ours reads our own tables, where they are: an installation may lack one.
func (l *link) ours(ctx context.Context, st *Status, has tables) (err error) {
	if has.epoch {
		if st.Epoch, err = l.epoch(ctx); err != nil {
			return err
		}
	}
	if has.heartbeat {
		as, err := l.ask(ctx, sqlHeartbeats)
		if err != nil {
			return err
		}
		if err := readHeartbeats(st, as[0]); err != nil {
			return fmt.Errorf("read heartbeat rows: %w", err)
		}
	}
	return nil
}

// epoch reads the newest row of watchdog.epoch; nil when there is none.
func (l *link) epoch(ctx context.Context) (*EpochRow, error) {
	as, err := l.ask(ctx, sqlEpoch)
	if err != nil {
		return nil, err
	}
	if as[0].err != nil {
		return nil, fmt.Errorf("read epoch row: %w", as[0].err)
	}
	if len(as[0].rows) == 0 {
		return nil, nil
	}
	s := scan{cols: as[0].rows[0]}
	e := EpochRow{Number: s.uint64(), ID: s.str(), Node: s.str(), Operation: s.str()}
	return &e, s.err
}

// parameterMatches reports whether name is one of the settings that are
// compared between nodes.
func parameterMatches(name string) bool { return slices.Contains(matching, name) }
