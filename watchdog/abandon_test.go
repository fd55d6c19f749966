package watchdog

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
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

// A promote request outlasts whoever sent it: a server that has it, and says that
// it is in recovery, is no ground for an abort.
func TestRecovering_PromotionOnItsWay_IsNotCertain(t *testing.T) {
	p := testenv.NewPair(t)
	standby := p.Servers[1]
	cfg := &config.Config{Node: standby.Name}
	cfg.Postgres.DataDir = standby.DataDir
	s := &Service{cfg: cfg, server: &server{target: replication.Target{Host: "127.0.0.1", Port: standby.Port, User: "postgres", Database: "postgres", SSLMode: "disable"}}}
	if !s.recovering(t.Context()) {
		t.Fatal("a standby is not known to be in recovery")
	}
	request := filepath.Join(standby.DataDir, promoteFile)
	if err := os.WriteFile(request, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.recovering(t.Context()) {
		t.Error("in recovery for certain, and it was asked to leave it")
	}
	if err := os.Remove(request); err != nil {
		t.Fatal(err)
	}
	s.server.target.Port = p.Servers[0].Port
	if s.recovering(t.Context()) {
		t.Error("a primary is in recovery")
	}
}
