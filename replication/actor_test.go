package replication_test

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/admin"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

func stateError(t *testing.T, err error) *replication.StateError {
	t.Helper()
	var state *replication.StateError
	if !errors.As(err, &state) {
		t.Fatalf("no StateError in %v", err)
	}
	return state
}

// installed is a pair with our schema and roles on both servers.
func installed(t *testing.T, options ...testenv.Option) *demo.Pair {
	t.Helper()
	pair := testenv.NewPair(t, append(options, testenv.Ready(func(ctx context.Context, primary *demo.Server) error {
		return admin.Apply(ctx, primary.DSN("postgres"), admin.Options{})
	}))...)
	testenv.Wait(t, limit, "roles on the standby", func() (bool, string) {
		n, err := pair.Servers[1].Ask(t.Context(), "SELECT count(*)::text FROM pg_roles WHERE rolname LIKE 'watchdog%'")
		return n == "4", fmt.Sprint(n, err)
	})
	return pair
}

func as(s *demo.Server, role string) replication.Target {
	to := target(s)
	to.User = role
	return to
}

// TestPromote_AsActingRole_WholeWay walks what an operation does on the target.
func TestPromote_AsActingRole_WholeWay(t *testing.T) {
	pair := installed(t)
	old, next := pair.Servers[0], pair.Servers[1]
	w := watch(t, as(next, admin.RoleMonitor))
	w.until(t, replication.VerdictHealthy)
	a := dial(t, as(next, admin.RoleAct))
	ctx := soon(t)
	end, err := old.Ask(ctx, "SELECT pg_current_wal_flush_lsn()::text")
	if err != nil {
		t.Fatal(err)
	}
	lsn, err := replication.ParseLSN(end)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.WaitReplayed(ctx, lsn); err != nil {
		t.Fatal(err)
	}
	if err := old.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	former, err := a.StopReceiving(ctx)
	if err != nil || former.ConnInfo == "" {
		t.Fatalf("stop receiving: %v, %v", former, err)
	}
	for range 2 {
		if err := a.CreatePhysicalSlot(ctx, "watchdog_"+old.Name, true); err != nil {
			t.Fatal(err)
		}
	}
	frozen, err := a.Positions(ctx)
	if err != nil || !frozen.InRecovery || frozen.Timeline != 1 || frozen.End() < lsn {
		t.Fatalf("positions %+v, %v", frozen, err)
	}
	p, err := a.Promote(ctx)
	if err != nil || p.Already || !p.Settled {
		t.Fatalf("promote %+v, %v", p, err)
	}
	t.Logf("promote: settled after %v, out of recovery after %v", p.Wait, p.Took)
	if again, err := a.Promote(ctx); err != nil || !again.Already {
		t.Errorf("again: %+v, %v", again, err)
	}
	if tl, err := a.Timeline(ctx); err != nil || tl != 2 {
		t.Errorf("timeline %d, %v", tl, err)
	}
	proveEpoch(ctx, t, a)
	h, err := a.History(ctx, 2)
	if err != nil || len(h.Parents) != 1 || h.Parents[0].Timeline != 1 || h.Parents[0].SwitchPoint < lsn {
		t.Errorf("history %+v, %v", h, err)
	}
	if err := a.Checkpoint(ctx); err != nil {
		t.Error(err)
	}
	testenv.Wait(t, limit, "watcher sees role, timeline, history and epoch", func() (bool, string) {
		s, h, st := w.last(), w.history(), w.status()
		return s.Role == replication.RolePrimary && s.Timeline == 2 && h != nil && h.Timeline == 2 && st.Epoch != nil && st.Epoch.Number == 8, ""
	})
}

func proveEpoch(ctx context.Context, t *testing.T, a *replication.Actor) {
	t.Helper()
	want := replication.EpochRow{Number: 8, ID: "it's \\ odd", Node: "db2", Operation: "op-1"}
	for range 2 {
		if err := a.WriteEpoch(ctx, want); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.WriteEpoch(ctx, replication.EpochRow{Number: 7, ID: "older", Node: "db1"}); err != nil {
		t.Fatal(err)
	}
	got, err := a.ReadEpoch(ctx)
	if d := cmp.Diff(&want, got); d != "" || err != nil {
		t.Errorf("epoch row: %v %s", err, d)
	}
	if err := a.CommitNormal(ctx); err != nil {
		t.Error(err)
	}
}

// TestPromote_AtTheEndOfTheStream_AvoidsTheTrap promotes in the moment in which
// the walreceiver has ended. The interval that the trap sleeps out is set
// beyond the test's patience.
func TestPromote_AtTheEndOfTheStream_AvoidsTheTrap(t *testing.T) {
	pair := testenv.NewPair(t)
	old, next := pair.Servers[0], pair.Servers[1]
	ctx := soon(t)
	for _, sql := range []string{"ALTER SYSTEM SET wal_retrieve_retry_interval = '10min'", "SELECT pg_reload_conf()"} {
		if err := next.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	a := dial(t, target(next))
	conn, err := next.Connect(ctx, "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := syscall.Kill(old.Pid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for streaming := true; streaming; {
		if err := conn.QueryRow(ctx, "SELECT count(*) > 0 FROM pg_stat_wal_receiver WHERE status = 'streaming'").Scan(&streaming); err != nil {
			t.Fatal(err)
		}
	}
	p, err := a.Promote(ctx)
	if err != nil || !p.Settled {
		t.Fatalf("%+v, %v", p, err)
	}
	t.Logf("settled after %v, out of recovery after %v", p.Wait, p.Took)
}

func TestStopReceiving_ThenRestore_StreamsAgain(t *testing.T) {
	pair := installed(t)
	ctx := soon(t)
	a := dial(t, as(pair.Servers[1], admin.RoleAct))
	former, err := a.StopReceiving(ctx)
	if err != nil {
		t.Fatal(err)
	}
	before, err := a.Positions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Servers[0].Exec(ctx, "CREATE TABLE after_the_cut ()"); err != nil {
		t.Fatal(err)
	}
	after, err := a.Positions(ctx)
	if err != nil || after.End() != before.End() {
		t.Errorf("position moved from %v to %v, %v", before.End(), after.End(), err)
	}
	if err := a.RestoreReceiving(ctx, former); err != nil {
		t.Fatal(err)
	}
	if err := pair.AwaitStreaming(ctx, pair.Servers[0], pair.Servers[1]); err != nil {
		t.Error(err)
	}
}

func TestActor_MonitorRole_CannotAct(t *testing.T) {
	pair := installed(t)
	ctx := soon(t)
	a := dial(t, as(pair.Servers[1], admin.RoleMonitor))
	for name, act := range map[string]func() error{
		"promote":        func() error { _, err := a.Promote(ctx); return err },
		"stop receiving": func() error { _, err := a.StopReceiving(ctx); return err },
		"checkpoint":     func() error { return a.Checkpoint(ctx) },
	} {
		if state := stateError(t, act()); state.Verdict != replication.VerdictAuthRefused || state.Cause != "42501" {
			t.Errorf("%s: %+v", name, state)
		}
	}
	if in, err := a.InRecovery(ctx); err != nil || !in {
		t.Errorf("in recovery %t, %v: a refused command must not drop the session", in, err)
	}
	state := stateError(t, a.WriteEpoch(ctx, replication.EpochRow{Number: 1, ID: "x", Node: "y"}))
	if state.Verdict != replication.VerdictReadOnly {
		t.Errorf("epoch row on a standby: %+v", state)
	}
}

func TestSlotName_Hostile_NeverReachesTheServer(t *testing.T) {
	var a replication.Actor // no connection: a name that passes would be ErrDropped
	for _, name := range []string{"", "A", "a-b", "a b", "x'); DROP TABLE y; --", "ü", string(make([]byte, 64))} {
		if err := a.CreatePhysicalSlot(t.Context(), name, true); err == nil || errors.Is(err, replication.ErrDropped) {
			t.Errorf("create %q: %v", name, err)
		}
		if err := a.DropSlot(t.Context(), name); err == nil || errors.Is(err, replication.ErrDropped) {
			t.Errorf("drop %q: %v", name, err)
		}
	}
	if err := a.DropSlot(t.Context(), "fine_1"); !errors.Is(err, replication.ErrDropped) {
		t.Errorf("a good name: %v", err)
	}
}

func TestSlot_CreateDrop_Idempotent(t *testing.T) {
	pair := installed(t)
	ctx := soon(t)
	s := pair.Servers[0]
	a := dial(t, as(s, admin.RoleAct))
	if err := a.CreatePhysicalSlot(ctx, "later", false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := a.CreatePhysicalSlot(ctx, "later", true); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Ask(ctx, "SELECT restart_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name = 'later'"); err != nil || got != "true" {
		t.Errorf("keeps WAL: %s, %v", got, err)
	}
	for range 2 {
		if err := a.DropSlot(ctx, "later"); err != nil {
			t.Fatal(err)
		}
	}
	state := stateError(t, a.DropSlot(ctx, demo.SlotName(pair.Servers[1].Name)))
	if state.Cause != "55006" {
		t.Errorf("slot in use: %+v", state)
	}
}

func TestCommit_SyncStandbyGone_StallsUntilReleased(t *testing.T) {
	pair := installed(t, testenv.Sync())
	ctx := soon(t)
	s := pair.Servers[0]
	probe, err := replication.NewCommitProbe(as(s, admin.RoleMonitor), 500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	if got := probe.Probe(ctx); got.Verdict != replication.VerdictHealthy || got.Local == 0 || got.Normal == 0 {
		t.Fatalf("healthy pair: %+v", got)
	}
	if err := pair.Servers[1].Kill(ctx); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := probe.Probe(ctx); got.Verdict != replication.VerdictSyncStalled || got.Local == 0 || got.Normal != 0 {
			t.Errorf("standby gone: %+v", got)
		}
	}
	a := dial(t, as(s, admin.RoleAct))
	if n, err := a.SyncWaiters(ctx); err != nil || n != 0 {
		t.Errorf("the probe left %d waiting sessions, %v", n, err)
	}
	if err := a.CommitLocal(ctx); err != nil {
		t.Errorf("local commit: %v", err)
	}
	if err := a.CommitNormal(within(t, 500*time.Millisecond)); !errors.Is(err, replication.ErrStalled) {
		t.Errorf("normal commit: %v", err)
	}
	if err := a.CommitLocal(ctx); !errors.Is(err, replication.ErrDropped) {
		t.Errorf("after a stall: %v", err)
	}
	a = dial(t, as(s, admin.RoleAct))
	former, err := a.ReleaseSync(ctx)
	if err != nil || former.Names == "" || former.Auto {
		t.Fatalf("release: %+v, %v", former, err)
	}
	if err := a.CommitNormal(ctx); err != nil {
		t.Errorf("after the release: %v", err)
	}
	if got := probe.Probe(ctx); got.Verdict != replication.VerdictHealthy {
		t.Errorf("after the release: %+v", got)
	}
	if err := a.RestoreSync(ctx, former); err != nil {
		t.Error(err)
	}
}

func TestCommitProbe_ReadOnlyStandbyFrozenDown_EachNamed(t *testing.T) {
	pair := testenv.NewPair(t)
	ctx := soon(t)
	s := pair.Servers[0]
	onStandby, err := replication.NewCommitProbe(target(pair.Servers[1]), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer onStandby.Close()
	if got := onStandby.Probe(ctx); got.Verdict != replication.VerdictUnknown || got.Cause != replication.CauseInRecovery {
		t.Errorf("standby: %+v", got)
	}
	probe, err := replication.NewCommitProbe(target(s), 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	for _, c := range []struct {
		value string
		want  replication.Verdict
	}{{"on", replication.VerdictReadOnly}, {"off", replication.VerdictHealthy}} {
		for _, sql := range []string{"ALTER SYSTEM SET default_transaction_read_only = " + c.value, "SELECT pg_reload_conf()"} {
			if err := s.Exec(ctx, sql); err != nil {
				t.Fatal(err)
			}
		}
		testenv.Wait(t, limit, c.want.String(), func() (bool, string) {
			got := probe.Probe(ctx)
			return got.Verdict == c.want, got.Verdict.String()
		})
	}
	thaw := freeze(t, s)
	if got := probe.Probe(ctx); got.Verdict != replication.VerdictHung {
		t.Errorf("frozen: %+v", got)
	}
	thaw()
	if err := s.Kill(ctx); err != nil {
		t.Fatal(err)
	}
	fresh, err := replication.NewCommitProbe(target(s), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	if got := fresh.Probe(ctx); got.Verdict != replication.VerdictDown {
		t.Errorf("killed: %+v", got)
	}
}
