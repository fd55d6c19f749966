package watchdog

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

// An abort of a promotion whose epoch is durable rests on this: the dead server
// of this node was never out of recovery.
func TestStoppedInRecovery_OnlyADeadStandby(t *testing.T) {
	p := testenv.NewPair(t)
	primary, standby := p.Servers[0], p.Servers[1]
	if stoppedInRecovery(standby.DataDir) {
		t.Error("a standby that runs was not asked, and counts as stopped")
	}
	testenv.KillServer(t, standby)
	testenv.KillServer(t, primary)
	if !stoppedInRecovery(standby.DataDir) {
		t.Error("a standby that was killed does not count")
	}
	if stoppedInRecovery(primary.DataDir) {
		t.Error("a primary that was killed counts as a standby")
	}
	signal := filepath.Join(primary.DataDir, pgdata.StandbySignal)
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if stoppedInRecovery(primary.DataDir) {
		t.Error("a primary that was sealed after it wrote counts as a standby")
	}
	if err := os.Remove(filepath.Join(standby.DataDir, pgdata.StandbySignal)); err != nil {
		t.Fatal(err)
	}
	if stoppedInRecovery(standby.DataDir) {
		t.Error("a promotion that was cut short while it ended recovery counts as none")
	}
}
