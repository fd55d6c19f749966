package replication

import "time"

// Health is what PostgreSQL says of its own upkeep. It is read with each SQL
// probe; a nil *Health means that it is not known (an older observer, or a
// server that refused the question), never that all is well.
type Health struct {
	// MultiXIDAge is the age of the oldest datminmxid, in multixacts
	// (PostgreSQL manual, 25.1.5.1 Multixacts and Wraparound).
	MultiXIDAge int
	// ChecksumFailures counts damaged pages that were read, all databases, since
	// the statistics were reset; 0 also where checksums are off.
	ChecksumFailures uint64
	// ChecksumAge is the time since the newest of them; ChecksumDatabases names
	// where they were read, separated by commas.
	ChecksumAge       time.Duration
	ChecksumDatabases string
	// ReservedConnections is how many of max_connections ordinary roles cannot use.
	ReservedConnections int
	// Collations names the databases whose collation library has changed since
	// their indexes were built, separated by commas.
	Collations string
	// Prepared is the age of the oldest prepared transaction; 0 when there is none.
	Prepared time.Duration
	// Idle and Query are the sessions that have been longest idle in a
	// transaction and in one query; nil when there is none. Both need
	// Status.StatsVisible.
	Idle, Query *SessionRow
	// PendingRestart names settings whose new value waits for a restart.
	PendingRestart []string
	// Expiring lists logins of ours or for replication whose password ends
	// within 30 days or has ended.
	Expiring []LoginRow
}

// SessionRow is one session that has lasted.
type SessionRow struct {
	PID             int
	User            string
	ApplicationName string
	Database        string
	Lasted          time.Duration
}

// LoginRow is a login whose password has an end.
type LoginRow struct {
	Role        string
	Replication bool
	Expired     bool
	Left        time.Duration // 0 when it has ended
}

const (
	sqlHealth = `SELECT (SELECT max(mxid_age(datminmxid)) FROM pg_database), failures, age, names,
 current_setting('superuser_reserved_connections')::int + coalesce(current_setting('reserved_connections', true)::int, 0),
 (SELECT string_agg(datname, ', ' ORDER BY datname) FROM pg_database
   WHERE datallowconn AND datcollversion <> pg_database_collation_actual_version(oid)),
 (SELECT (extract(epoch FROM clock_timestamp() - min(prepared)) * 1000)::bigint FROM pg_prepared_xacts)
 FROM (SELECT coalesce(sum(checksum_failures), 0)::bigint failures,
   (extract(epoch FROM clock_timestamp() - max(checksum_last_failure)) * 1000)::bigint age,
   string_agg(coalesce(datname, 'shared catalogues'), ', ' ORDER BY datname) FILTER (WHERE checksum_failures > 0) names
   FROM pg_stat_database) c`

	// A session idle in its transaction is measured from its last statement, a
	// query from its start.
	sqlSessions = `SELECT DISTINCT ON (active) active, pid, usename, application_name, datname, (extract(epoch FROM lasted) * 1000)::bigint
 FROM (SELECT state = 'active' active, pid, usename, application_name, datname,
   clock_timestamp() - CASE WHEN state = 'active' THEN query_start ELSE state_change END lasted
   FROM pg_stat_activity WHERE backend_type = 'client backend'
   AND state IN ('active', 'idle in transaction', 'idle in transaction (aborted)')) s
 WHERE lasted IS NOT NULL ORDER BY active, lasted DESC`

	sqlLogins = `SELECT rolname, rolreplication, rolvaliduntil <= clock_timestamp(),
 (extract(epoch FROM rolvaliduntil - clock_timestamp()) * 1000)::bigint
 FROM pg_roles WHERE rolcanlogin AND (rolreplication OR rolname = current_user)
 AND isfinite(rolvaliduntil) AND rolvaliduntil < clock_timestamp() + interval '30 days' ORDER BY rolname`
)

// readHealth reads the three answers; nil when the server refused one of them.
func readHealth(health, sessions, logins answer, pending []string) (*Health, error) {
	if health.err != nil || sessions.err != nil || logins.err != nil {
		return nil, nil //nolint:nilnil // not known is no error: the rest of the status stands
	}
	cols, err := health.one(7)
	if err != nil {
		return nil, err
	}
	s := scan{cols: cols}
	h := Health{MultiXIDAge: s.int(), ChecksumFailures: s.uint64(), ChecksumAge: s.millis(), ChecksumDatabases: s.str(),
		ReservedConnections: s.int(), Collations: s.str(), Prepared: s.millis(), PendingRestart: pending}
	if s.err != nil {
		return nil, s.err
	}
	if err := readSessions(&h, sessions); err != nil {
		return nil, err
	}
	return &h, each(logins, func(s *scan) {
		h.Expiring = append(h.Expiring, LoginRow{Role: s.str(), Replication: s.bool(), Expired: s.bool(), Left: s.millis()})
	})
}

func readSessions(h *Health, a answer) error {
	return each(a, func(s *scan) {
		active := s.bool()
		row := SessionRow{PID: s.int(), User: s.str(), ApplicationName: s.str(), Database: s.str(), Lasted: s.millis()}
		if active {
			h.Query = &row
		} else {
			h.Idle = &row
		}
	})
}
