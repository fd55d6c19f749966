package replication

import (
	"context"
	"fmt"

	"github.com/jackc/pglogrepl"
)

// identity is the answer of one position probe.
type identity struct {
	systemID SystemID
	timeline Timeline
	position LSN
	role     Role
	replay   LSN // standby with SQL only
}

// identify asks for identity, position and role, all on one flight.
//
// IDENTIFY_SYSTEM is read here and not by pglogrepl.IdentifySystem, which
// hands out an LSN already parsed with trailing garbage accepted, and takes
// the timeline for a signed number.
func (l *link) identify(ctx context.Context) (identity, error) {
	switch l.mode {
	case modePhysical:
		as, err := l.ask(ctx, "IDENTIFY_SYSTEM")
		if err != nil {
			return identity{}, err
		}
		return readIdentity(as[0])
	case modeOrdinary:
		if err := l.checkDirect(ctx); err != nil {
			return identity{}, err
		}
		return l.identifyBySQL(ctx)
	}
	questions := []string{"IDENTIFY_SYSTEM", sqlRole}
	if !l.proven {
		questions = append(questions, sqlBackend)
	}
	as, err := l.ask(ctx, questions...)
	if err != nil {
		return identity{}, err
	}
	if len(as) > 2 {
		if err := l.direct(as[2]); err != nil {
			return identity{}, err
		}
	}
	id, err := readIdentity(as[0])
	if err != nil {
		return identity{}, err
	}
	id.role, id.replay, err = readRole(as[1])
	return id, err
}

// sqlRole comes right after IDENTIFY_SYSTEM: the replayed position at the pace
// of the probe is what makes lag in time true to one period.
const sqlRole = "SELECT r, CASE WHEN r THEN pg_last_wal_replay_lsn() END FROM pg_is_in_recovery() r"

func readIdentity(a answer) (identity, error) {
	cols, err := a.one(3)
	if err != nil {
		return identity{}, fmt.Errorf("identify system: %w", err)
	}
	var id identity
	if id.systemID, err = ParseSystemID(cols[0].s); err != nil {
		return identity{}, fmt.Errorf("identify system: %w: %w", err, ErrProtocol)
	}
	s := scan{cols: cols, at: 1}
	id.timeline, id.position = s.timeline(), s.lsn()
	if s.err != nil {
		return identity{}, fmt.Errorf("identify system: %w", s.err)
	}
	if id.systemID == 0 || id.timeline == 0 || id.position == 0 {
		return identity{}, fmt.Errorf("identify system: system %s, timeline %d, position %s: %w", id.systemID, id.timeline, id.position, ErrProtocol)
	}
	return id, nil
}

// readRole reads the answer to sqlRole.
func readRole(a answer) (Role, LSN, error) {
	cols, err := a.one(2)
	if err != nil {
		return RoleUnknown, 0, fmt.Errorf("read role: %w", err)
	}
	role := RoleUnknown
	switch {
	case cols[0].null:
	case cols[0].s == "t":
		role = RoleStandby
	case cols[0].s == "f":
		role = RolePrimary
	}
	if role == RoleUnknown {
		return RoleUnknown, 0, fmt.Errorf("read role %q: %w", cols[0].s, ErrProtocol)
	}
	s := scan{cols: cols, at: 1}
	replay := s.lsn()
	if s.err != nil {
		return RoleUnknown, 0, fmt.Errorf("read replayed position: %w", s.err)
	}
	return role, replay, nil
}

// sqlIdentity gives what IDENTIFY_SYSTEM gives to sessions that are no
// walsenders. The timeline of a standby is the one it receives, else the
// newest that its control file knows.
const sqlIdentity = `SELECT (SELECT system_identifier FROM pg_control_system()),
 CASE WHEN r THEN greatest((SELECT received_tli FROM pg_stat_wal_receiver),
   (SELECT timeline_id FROM pg_control_checkpoint()), (SELECT min_recovery_end_timeline FROM pg_control_recovery()))::text
  ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint::text END,
 CASE WHEN r THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) ELSE pg_current_wal_flush_lsn() END,
 r, CASE WHEN r THEN pg_last_wal_replay_lsn() END FROM pg_is_in_recovery() r`

func (l *link) identifyBySQL(ctx context.Context) (identity, error) {
	as, err := l.ask(ctx, sqlIdentity)
	if err != nil {
		return identity{}, err
	}
	id, err := readIdentity(as[0])
	if err != nil {
		return identity{}, err
	}
	if len(as[0].rows[0]) != 5 {
		return identity{}, fmt.Errorf("identify server: %d columns, want 5: %w", len(as[0].rows[0]), ErrProtocol)
	}
	id.role, id.replay, err = readRole(answer{rows: [][]text{as[0].rows[0][3:]}})
	return id, err
}

// history fetches the ancestry of a timeline through pglogrepl and parses it
// strictly. Timeline 1 has none and is not asked for.
func (l *link) history(ctx context.Context, tl Timeline) (History, error) {
	if tl == 1 {
		return History{Timeline: 1}, nil
	}
	if tl == 0 || uint64(tl) > 1<<31-1 {
		return History{}, fmt.Errorf("fetch history of timeline %d: number out of range", tl)
	}
	res, err := pglogrepl.TimelineHistory(ctx, l.pg, int32(tl))
	if err != nil {
		return History{}, fmt.Errorf("fetch history of timeline %d: %w", tl, err)
	}
	h, err := ParseHistory(string(res.Content))
	if err != nil {
		return History{}, fmt.Errorf("fetch history of timeline %d: %w", tl, err)
	}
	return h.Of(tl)
}
