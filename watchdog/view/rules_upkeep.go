package view

import (
	"fmt"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
)

// wraparound is how many transactions, or multixacts, fit before PostgreSQL has
// to stop (PostgreSQL manual, 25.1.5 Preventing Transaction ID Wraparound).
const wraparound = 1 << 31

// upkeep raises what a server says of its own state.
func (j *judgement) upkeep() {
	for _, s := range j.told {
		j.syncStandby(s)
		j.conflicts(s)
	}
	for _, s := range j.healths {
		j.connections(s)
		if !s.Status.InRecovery || !j.anyPrimary() { // a standby has its primary's ages
			j.wraparound(s)
		}
		j.checksums(s)
		j.sessions(s)
		j.pendingRestart(s)
		j.collations(s)
	}
}

// syncStandby is about commits that wait for a standby which is not there.
func (j *judgement) syncStandby(s Sighting) {
	st := s.Status
	if st.InRecovery || !st.StatsVisible || strings.TrimSpace(st.SynchronousStandbyNames) == "" {
		return
	}
	if st.SynchronousCommit == "local" || st.SynchronousCommit == "off" {
		return // nobody waits
	}
	rows := make([]string, 0, len(st.Standbys))
	for _, row := range st.Standbys {
		if row.SyncState == "sync" || row.SyncState == "quorum" {
			return
		}
		rows = append(rows, fmt.Sprintf("%s %s %s", orUnknown(row.ApplicationName), row.State, row.SyncState))
	}
	found := "nobody streams"
	if len(rows) > 0 {
		found = strings.Join(rows, ", ")
	}
	j.raise(finding{
		code: SyncStandbyMissing, subject: s.Node,
		text: fmt.Sprintf("%s commits only together with a synchronous standby (%s), and there is none: commits hang.", s.Node, st.SynchronousStandbyNames),
		evidence: []string{s.read("synchronous_standby_names is %q, synchronous_commit %s", st.SynchronousStandbyNames, st.SynchronousCommit),
			s.read("%s; %d sessions wait", found, st.SyncWaiters)},
	})
}

func (j *judgement) conflicts(s Sighting) {
	if s.ConflictsRecent == nil || *s.ConflictsRecent < uint64(j.limits.Conflicts) { //nolint:gosec // checked to be above 0
		return
	}
	j.raise(finding{
		code: StandbyConflicts, subject: s.Node,
		text:     fmt.Sprintf("Replay on the standby %s has canceled %d queries in the last %s.", s.Node, *s.ConflictsRecent, Span(ConflictWindow)),
		evidence: []string{s.read("%d queries canceled by replay since the statistics began", s.Status.Conflicts)},
	})
}

func (j *judgement) connections(s Sighting) {
	st := s.Status
	most := st.MaxConnections - st.Health.ReservedConnections
	used := percent(int64(st.Connections), int64(most))
	if most <= 0 || used < j.limits.ConnectionsWarning {
		return
	}
	f := finding{
		code: ConnectionSaturation, subject: s.Node,
		text:     fmt.Sprintf("%s uses %d of the %d connections that applications may have.", s.Node, st.Connections, most),
		evidence: []string{s.read("%d client sessions, max_connections %d, %d of them reserved", st.Connections, st.MaxConnections, st.Health.ReservedConnections)},
	}
	if used >= j.limits.ConnectionsPage {
		f.severity = page()
	}
	j.raise(f)
}

func (j *judgement) wraparound(s Sighting) {
	kind, age := "transactions", s.Status.XIDAge
	if s.Status.Health.MultiXIDAge > age {
		kind, age = "multixacts", s.Status.Health.MultiXIDAge
	}
	used := percent(int64(age), wraparound)
	if used < j.limits.XIDWarning {
		return
	}
	f := finding{
		code: XidWraparound, subject: s.Node,
		text: fmt.Sprintf("The oldest %s of %s have used %d %% of the way to wraparound, where it stops accepting writes.", kind, s.Node, used),
		evidence: append([]string{s.read("age of the oldest datfrozenxid %d, of the oldest datminmxid %d, of %d", s.Status.XIDAge, s.Status.Health.MultiXIDAge, wraparound)},
			holdsBack(s)...),
	}
	if used >= j.limits.XIDPage {
		f.severity = page()
	}
	j.raise(f)
}

// holdsBack lists what keeps vacuum from freezing.
func holdsBack(s Sighting) []string {
	var lines []string
	h := s.Status.Health
	if h.Prepared > 0 {
		lines = append(lines, s.read("a prepared transaction has been open for %s", days(h.Prepared)))
	}
	if h.Idle != nil {
		lines = append(lines, s.read("%s is idle in a transaction for %s", sessionWords(*h.Idle), days(h.Idle.Lasted)))
	}
	return lines
}

// checksums stays until the statistics are reset: a page that was damaged once
// is not mended by time.
func (j *judgement) checksums(s Sighting) {
	h := s.Status.Health
	if h.ChecksumFailures == 0 {
		return
	}
	j.raise(finding{
		code: ChecksumFailures, subject: s.Node,
		text: fmt.Sprintf("PostgreSQL of %s has read %d damaged pages (%s), the last %s ago: its disk or memory gives back what was not written.",
			s.Node, h.ChecksumFailures, orUnknown(h.ChecksumDatabases), days(h.ChecksumAge)),
		evidence: []string{s.read("%d checksum failures in %s", h.ChecksumFailures, orUnknown(h.ChecksumDatabases))},
	})
}

// sessions is about what keeps old rows and locks alive.
func (j *judgement) sessions(s Sighting) {
	h := s.Status.Health
	var what, lines []string
	if h.Idle != nil && h.Idle.Lasted >= j.limits.IdleInTransaction {
		what = append(what, fmt.Sprintf("%s has been idle in a transaction for %s", sessionWords(*h.Idle), days(h.Idle.Lasted)))
	}
	if h.Query != nil && h.Query.Lasted >= j.limits.LongQuery {
		what = append(what, fmt.Sprintf("a query of %s has run for %s", sessionWords(*h.Query), days(h.Query.Lasted)))
	}
	if h.Prepared >= j.limits.IdleInTransaction {
		what = append(what, fmt.Sprintf("a prepared transaction has been open for %s", days(h.Prepared)))
	}
	if len(what) == 0 {
		return
	}
	for _, w := range what {
		lines = append(lines, s.read("%s", w))
	}
	j.raise(finding{code: LongTransaction, subject: s.Node, evidence: lines,
		text: fmt.Sprintf("On %s %s: vacuum cannot clean up behind it.", s.Node, strings.Join(what, ", and "))})
}

func sessionWords(r replication.SessionRow) string {
	return fmt.Sprintf("process %d (%s, user %s, database %s)", r.PID, orUnknown(r.ApplicationName), orUnknown(r.User), orUnknown(r.Database))
}

func (j *judgement) pendingRestart(s Sighting) {
	names := s.Status.Health.PendingRestart
	if len(names) == 0 {
		return
	}
	j.raise(finding{
		code: PendingRestart, subject: s.Node,
		text:     fmt.Sprintf("Settings of %s were changed and wait for a restart of PostgreSQL: %s.", s.Node, list(names)),
		evidence: []string{s.read("pending_restart: %s", strings.Join(names, ", "))},
	})
}

// collations judges each server by its own host's library: that of a standby
// shows after a promotion.
func (j *judgement) collations(s Sighting) {
	names := s.Status.Health.Collations
	if names == "" {
		return
	}
	j.raise(finding{
		code: VersionMismatch, subject: s.Node + "/collation", severity: warning(), hold: ptr(time.Duration(0)),
		text: fmt.Sprintf("The collation library of %s is another one than that which built the indexes of %s: they may be wrong until REINDEX DATABASE has rebuilt them.",
			s.Node, names),
		evidence: []string{s.read("collation version differs in %s", names)},
		hint:     `psql -c "SELECT datname, datcollversion, pg_database_collation_actual_version(oid) FROM pg_database"`,
	})
}
