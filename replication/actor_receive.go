package replication

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// pollEvery is the raster of waiting on a server that is about to act: fine
// enough not to show in an outage, and a query of 0.1 ms.
const pollEvery = 3 * time.Millisecond

// Receiving remembers where a standby received from, so that it can be put
// back. It can be kept in a journal: primary_conninfo carries no password by
// our rule, but it is not for display.
type Receiving struct {
	ConnInfo string `json:"conninfo"`
	// Auto says that the value stood in postgresql.auto.conf; otherwise it
	// comes from another file, and RESET brings it back.
	Auto bool `json:"auto"`
}

// String hides the connection string.
func (r Receiving) String() string {
	if r.ConnInfo == "" {
		return "from nowhere"
	}
	return "from an upstream"
}

// Receiving reads where the standby receives from.
func (a *Actor) Receiving(ctx context.Context) (Receiving, error) {
	s, err := a.row(ctx, "read primary_conninfo", 2,
		"SELECT setting, coalesce(sourcefile, '') FROM pg_settings WHERE name = 'primary_conninfo'")
	if err != nil {
		return Receiving{}, err
	}
	r := Receiving{ConnInfo: s.str(), Auto: strings.HasSuffix(s.str(), "/postgresql.auto.conf")}
	return r, s.err
}

// StopReceiving cuts the standby from its upstream and waits until no
// walreceiver is left: from then on its position is frozen. It returns what
// was set before, for RestoreReceiving; called again it returns an empty one,
// so the caller keeps the first. On a primary nothing is changed.
func (a *Actor) StopReceiving(ctx context.Context) (Receiving, error) {
	in, err := a.InRecovery(ctx)
	if err != nil {
		return Receiving{}, err
	}
	if !in {
		return Receiving{}, errors.New("stop receiving: server is not in recovery")
	}
	former, err := a.Receiving(ctx)
	if err != nil {
		return Receiving{}, err
	}
	if err := a.alterSystem(ctx, "primary_conninfo", ""); err != nil {
		return former, err
	}
	return former, poll(ctx, pollEvery, "no walreceiver runs", func() (bool, string, error) {
		s, err := a.row(ctx, "read walreceiver", 2, `SELECT current_setting('primary_conninfo') = '',
 (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walreceiver') + (SELECT count(*) FROM pg_stat_wal_receiver)`)
		if err != nil {
			return false, "", err
		}
		unset, running := s.bool(), s.int()
		return unset && running == 0, fmt.Sprintf("unset %t, %d running", unset, running), s.err
	})
}

// RestoreReceiving puts back what StopReceiving returned, and reads it back.
// Whether the standby streams again is for a Watcher to see.
func (a *Actor) RestoreReceiving(ctx context.Context, r Receiving) error {
	var err error
	if r.Auto && r.ConnInfo != "" {
		err = a.alterSystem(ctx, "primary_conninfo", r.ConnInfo)
	} else {
		err = a.resetSystem(ctx, "primary_conninfo")
	}
	if err != nil {
		return err
	}
	return poll(ctx, pollEvery, "primary_conninfo is back", func() (bool, string, error) {
		now, err := a.Receiving(ctx)
		return now.ConnInfo == r.ConnInfo, now.String(), err
	})
}

// Streaming reports whether a walreceiver streams now (pg_stat_wal_receiver).
// That WAL still comes in proves that the upstream lives.
func (a *Actor) Streaming(ctx context.Context) (bool, error) {
	s, err := a.row(ctx, "read walreceiver", 1, "SELECT count(*) > 0 FROM pg_stat_wal_receiver WHERE status = 'streaming'")
	if err != nil {
		return false, err
	}
	return s.bool(), s.err
}

// WaitReplayed waits until the standby has replayed up to lsn. It fails at
// once when replay is paused, because then it would wait for ever.
func (a *Actor) WaitReplayed(ctx context.Context, lsn LSN) error {
	return poll(ctx, pollEvery, "replay reaches "+lsn.String(), func() (bool, string, error) {
		p, err := a.Positions(ctx)
		switch {
		case err != nil:
			return false, "", err
		case !p.InRecovery:
			return false, "", fmt.Errorf("wait until replay reaches %s: server is not in recovery", lsn)
		case p.Replay >= lsn:
			return true, "", nil
		case p.Paused:
			return false, "", fmt.Errorf("wait until replay reaches %s: replay is paused at %s", lsn, p.Replay)
		}
		return false, p.Replay.String(), nil
	})
}
