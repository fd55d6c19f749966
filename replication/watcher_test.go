package replication_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
)

func TestWatcher_Pair_SeesRolesPositionsAndStatus(t *testing.T) {
	pair := testenv.SharedPair(t)
	p, s := watch(t, target(pair.Servers[0])), watch(t, target(pair.Servers[1]))
	if got := p.until(t, replication.VerdictHealthy); got.Role != replication.RolePrimary || got.Timeline != 1 || got.Cause != "" || got.Replay != 0 {
		t.Errorf("primary: %+v", got)
	}
	if got := s.until(t, replication.VerdictHealthy); got.Role != replication.RoleStandby || got.SystemID != p.last().SystemID {
		t.Errorf("standby: %+v", got)
	}
	testenv.Wait(t, limit, "status of both", func() (bool, string) {
		return p.status() != nil && s.status() != nil && p.history() != nil, ""
	})
	st := p.status()
	if len(st.Standbys) != 1 || st.Standbys[0].State != "streaming" || st.Standbys[0].ApplicationName != pair.Servers[1].Name {
		t.Errorf("standbys, our own probes left out: %+v", st.Standbys)
	}
	if st.InRecovery || st.Flush == 0 || !st.StatsVisible || st.MaxConnections != 60 || !st.WalLogHints || st.Timeline != 1 ||
		st.DataDirectory != pair.Servers[0].DataDir || st.WalSenders < 2 || st.Settings["wal_level"] != "replica" || st.Epoch != nil {
		t.Errorf("status of the primary: %+v", st)
	}
	if len(st.Slots) != 1 || !st.Slots[0].Active || st.Slots[0].RestartLSN == 0 || st.Slots[0].WALStatus != "reserved" {
		t.Errorf("slots: %+v", st.Slots)
	}
	st = s.status()
	if !st.InRecovery || st.Replay == 0 || st.Flush != 0 || st.Receiver == nil || st.Receiver.Status != "streaming" ||
		st.Receiver.SenderPort != pair.Servers[0].Port || st.Receiver.Timeline != 1 || st.Receiver.Written != 0 && st.Receiver.Written < st.Receiver.Flushed {
		t.Errorf("status of the standby: %+v, receiver %+v", st, st.Receiver)
	}
}

func TestWatcher_ReplayPaused_PositionIsReceived(t *testing.T) {
	pair := testenv.NewPair(t)
	ctx := t.Context()
	first, second := pair.Servers[0], pair.Servers[1]
	w := watch(t, target(second))
	if err := second.Exec(ctx, "SELECT pg_wal_replay_pause()"); err != nil {
		t.Fatal(err)
	}
	if err := first.Exec(ctx, "CREATE TABLE filler AS SELECT g, repeat('x', 500) FROM generate_series(1, 2000) g"); err != nil {
		t.Fatal(err)
	}
	end, err := first.Ask(ctx, "SELECT pg_current_wal_flush_lsn()::text")
	if err != nil {
		t.Fatal(err)
	}
	want, err := replication.ParseLSN(end)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, limit, "position "+end, func() (bool, string) {
		st, last := w.status(), w.last()
		return last.Position >= want && last.Replay > 0 && last.Replay < want && st != nil && st.ReplayPaused && st.Replay < want, fmt.Sprint(last, st)
	})
	if err := second.Exec(ctx, "SELECT pg_wal_replay_resume()"); err != nil {
		t.Fatal(err)
	}
	testenv.Wait(t, limit, "replay up to "+end, func() (bool, string) {
		return w.last().Replay >= want, fmt.Sprint(w.last())
	})
}

func TestWatcher_PrimaryKilled_KnownThroughTheBlockingRead(t *testing.T) {
	pair := testenv.NewPair(t)
	ctx := t.Context()
	server := pair.Servers[0]
	w := watch(t, target(server))
	w.until(t, replication.VerdictHealthy)
	killed := time.Now()
	if err := server.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	got := w.until(t, replication.VerdictDown)
	first := firstMiss(w.all(), killed)
	t.Logf("kill -9 of the group: known after %v (%s)", first.At.Sub(killed), first.Verdict)
	if got.Cause != "ECONNREFUSED" {
		t.Errorf("cause %q: %s", got.Cause, got.Detail)
	}
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	up := time.Now()
	back := w.until(t, replication.VerdictHealthy)
	t.Logf("recovery seen %v after pg_ctl would have said so", back.At.Sub(up))
}

func TestWatcher_PostmasterAloneKilled_IsDown(t *testing.T) {
	pair := testenv.NewPair(t)
	server := pair.Servers[0]
	w := watch(t, target(server))
	w.until(t, replication.VerdictHealthy)
	killed := time.Now()
	if err := syscall.Kill(server.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.until(t, replication.VerdictDown)
	t.Logf("kill -9 of the postmaster: known after %v", firstMiss(w.all(), killed).At.Sub(killed))
}

func firstMiss(samples []replication.Sample, after time.Time) replication.Sample {
	for _, s := range samples {
		if s.At.After(after) && s.Verdict != replication.VerdictHealthy {
			return s
		}
	}
	return replication.Sample{}
}

func TestWatcher_Frozen_IsHung_AndHoldsTwoSocketsAtMost(t *testing.T) {
	pair := testenv.NewPair(t)
	server := pair.Servers[0]
	w := watch(t, target(server))
	w.until(t, replication.VerdictHealthy)
	frozen := time.Now()
	thaw := freeze(t, server)
	got := w.until(t, replication.VerdictHung)
	t.Logf("SIGSTOP: known after %v", got.At.Sub(frozen))
	n := len(w.all())
	testenv.Wait(t, limit, "five more samples", func() (bool, string) { return len(w.all()) >= n+5, "" })
	if open := sockets(t, server.Port); open > 2 {
		t.Errorf("%d of our sockets are open or queued at the frozen server", open)
	}
	thawed := time.Now()
	thaw()
	back := w.until(t, replication.VerdictHealthy)
	t.Logf("SIGCONT: known after %v", back.At.Sub(thawed))
}

// sockets counts server-side sockets of a port that are connected or wait to
// be taken from the listen queue (/proc/net/tcp: local address, state). The
// standby's stream is counted apart by the caller's choice of a limit: a frozen
// group keeps it, so it is subtracted here by its walreceiver's peer being one.
func sockets(t *testing.T, port int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, line := range strings.Split(string(b), "\n")[1:] {
		f := strings.Fields(line)
		if len(f) > 3 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) && (f[3] == "01" || f[3] == "08") {
			n++
		}
	}
	return n - 1 // the standby's stream
}

func TestWatcher_StopAndStart_NamesEachState(t *testing.T) {
	pair := testenv.NewPair(t)
	ctx := t.Context()
	server := pair.Servers[0]
	w := watch(t, target(server))
	w.until(t, replication.VerdictHealthy)
	// The frozen standby keeps its walsender from ending, so the stop lasts.
	thaw := freeze(t, pair.Servers[1])
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop(ctx, 2) }() // SIGINT: fast
	got := w.until(t, replication.VerdictShuttingDown)
	if got.Cause != "57P03" && got.Cause != "57P01" {
		t.Errorf("stopping: cause %q", got.Cause)
	}
	thaw()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	w.until(t, replication.VerdictDown)
	if err := server.Start(ctx); err != nil {
		t.Fatal(err)
	}
	w.until(t, replication.VerdictHealthy)
	for _, s := range w.all() {
		if s.Verdict == replication.VerdictHealthy && (s.Position == 0 || s.SystemID == 0 || s.Role == replication.RoleUnknown) {
			t.Errorf("healthy without evidence: %+v", s)
		}
	}
}

// TestWatcher_StandbyNotConsistent_IsStarting holds a standby before its
// consistent point: 57P03 without a stop before it.
func TestWatcher_StandbyNotConsistent_IsStarting(t *testing.T) {
	pair := testenv.NewPair(t)
	ctx := t.Context()
	server := pair.Servers[1]
	w := watch(t, target(server))
	w.until(t, replication.VerdictHealthy)
	if err := server.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	w.until(t, replication.VerdictDown)
	started := make(chan error, 1)
	go func() { started <- server.Start(ctx, "-c", "hot_standby=off") }()
	got := w.until(t, replication.VerdictStarting)
	if got.Cause != "57P03" {
		t.Errorf("cause %q", got.Cause)
	}
	if err := server.Stop(ctx, 2); err != nil {
		t.Fatal(err)
	}
	<-started // its wait for readiness fails, as it should
}

func TestWatcher_MaxConnectionsUsedUp_StillAnswers_DialDoesNot(t *testing.T) {
	pair := testenv.NewPair(t)
	ctx := t.Context()
	server := pair.Servers[0]
	fill(t, server.DSN("postgres"))
	w := watch(t, target(server))
	if got := w.until(t, replication.VerdictHealthy); got.Role != replication.RolePrimary {
		t.Errorf("%+v", got)
	}
	_, err := replication.Dial(ctx, target(server))
	if state := stateError(t, err); state.Verdict != replication.VerdictSaturated || state.Cause != "53300" {
		t.Errorf("dial: %+v", state)
	}
	probe, err := replication.NewCommitProbe(target(server), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	if got := probe.Probe(ctx); got.Verdict != replication.VerdictSaturated || got.Local == 0 || got.Normal == 0 {
		t.Errorf("commit probe: %+v", got)
	}
}

// fill takes ordinary sessions until the server has none left, the superuser's
// reserve included.
func fill(t *testing.T, dsn string) {
	t.Helper()
	for range 1000 {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = conn.Close(within(t, time.Second)) })
	}
	t.Fatal("a thousand sessions, and still room")
}

func TestWatcher_WalsendersUsedUp_StepsBackToAnOrdinarySession(t *testing.T) {
	pair := testenv.NewPair(t)
	server := pair.Servers[0]
	fill(t, server.DSN("postgres")+" replication=database")
	w := watch(t, target(server))
	got := w.until(t, replication.VerdictHealthy)
	if got.Role != replication.RolePrimary || got.Timeline != 1 || got.Position == 0 || got.Detail == "" {
		t.Errorf("%+v", got)
	}
	testenv.Wait(t, limit, "a status", func() (bool, string) { return w.status() != nil, "" })
	left, err := server.Ask(t.Context(), "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'probe'")
	if err != nil || left != "0" {
		t.Errorf("%s sessions of ours are kept, %v", left, err)
	}
}

func TestWatcher_LoginRefused_AuthRefused(t *testing.T) {
	pair := testenv.NewPair(t)
	ctx := t.Context()
	server := pair.Servers[0]
	for _, sql := range []string{"CREATE ROLE secret LOGIN REPLICATION PASSWORD 'right'", "CREATE ROLE plain LOGIN",
		"CREATE ROLE physical LOGIN REPLICATION", "CREATE ROLE barred LOGIN REPLICATION"} {
		if err := server.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	hba := `host all,replication secret 127.0.0.1/32 scram-sha-256
host replication physical 127.0.0.1/32 trust
host all,replication barred 127.0.0.1/32 reject
host all physical 127.0.0.1/32 reject
host all,replication all 127.0.0.1/32 trust
local all all trust
`
	if err := os.WriteFile(filepath.Join(server.DataDir, "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := server.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	pass := func(word string) string {
		f := filepath.Join(t.TempDir(), "pass")
		if err := os.WriteFile(f, []byte("*:*:*:*:"+word+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, c := range []struct {
		user, file string
		want       replication.Verdict
		cause      string
		role       replication.Role
	}{
		{"secret", pass("wrong"), replication.VerdictAuthRefused, "28P01", 0},
		{"secret", pass("right"), replication.VerdictHealthy, "", replication.RolePrimary},
		{"plain", "", replication.VerdictAuthRefused, "42501", 0},
		{"absent", "", replication.VerdictAuthRefused, "28000", 0},
		{"barred", "", replication.VerdictAuthRefused, "28000", 0},
		{"physical", "", replication.VerdictHealthy, "", replication.RoleUnknown},
	} {
		t.Run(c.user+c.cause, func(t *testing.T) {
			to := target(server)
			to.User, to.PassFile = c.user, c.file
			got := watch(t, to).until(t, c.want)
			if got.Cause != c.cause || got.Role != c.role {
				t.Errorf("%+v", got)
			}
		})
	}
}
