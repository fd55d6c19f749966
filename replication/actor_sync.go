package replication

import (
	"context"
	"strings"
)

// SyncNames is synchronous_standby_names as it stood, with what is needed to
// put it back.
type SyncNames struct {
	Names string `json:"names"`
	Auto  bool   `json:"auto"` // stood in postgresql.auto.conf
}

func (a *Actor) syncNames(ctx context.Context) (SyncNames, error) {
	s, err := a.row(ctx, "read synchronous_standby_names", 2,
		"SELECT setting, coalesce(sourcefile, '') FROM pg_settings WHERE name = 'synchronous_standby_names'")
	if err != nil {
		return SyncNames{}, err
	}
	n := SyncNames{Names: s.str(), Auto: strings.HasSuffix(s.str(), "/postgresql.auto.conf")}
	return n, s.err
}

// ReleaseSync makes commits wait for no standby any more and returns the
// former value. It reads the value back; that waiting sessions really went on
// is seen by SyncWaiters and CommitNormal. With nothing set, nothing is
// changed.
func (a *Actor) ReleaseSync(ctx context.Context) (SyncNames, error) {
	former, err := a.syncNames(ctx)
	if err != nil || former.Names == "" {
		return former, err
	}
	if err := a.alterSystem(ctx, "synchronous_standby_names", ""); err != nil {
		return former, err
	}
	return former, poll(ctx, pollEvery, "synchronous_standby_names is empty", func() (bool, string, error) {
		now, err := a.syncNames(ctx)
		return now.Names == "", now.Names, err
	})
}

// RestoreSync puts back what ReleaseSync returned, and reads it back.
func (a *Actor) RestoreSync(ctx context.Context, n SyncNames) error {
	var err error
	if n.Auto && n.Names != "" {
		err = a.alterSystem(ctx, "synchronous_standby_names", n.Names)
	} else {
		err = a.resetSystem(ctx, "synchronous_standby_names")
	}
	if err != nil {
		return err
	}
	return poll(ctx, pollEvery, "synchronous_standby_names is back", func() (bool, string, error) {
		now, err := a.syncNames(ctx)
		return now.Names == n.Names, now.Names, err
	})
}

// SyncWaiters counts sessions whose commit waits for a standby.
func (a *Actor) SyncWaiters(ctx context.Context) (int, error) {
	s, err := a.row(ctx, "count waiting commits", 1, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	if err != nil {
		return 0, err
	}
	n := s.int()
	return n, s.err
}
