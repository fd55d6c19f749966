package pgdata_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// dump is what pg_waldump counts.
type dump struct {
	records, commits, aborts int
	last                     replication.LSN
	text, problem            string
}

var (
	dumpLine    = regexp.MustCompile(`lsn: ([0-9A-F]+/[0-9A-F]+), prev`)
	messageLine = regexp.MustCompile(`len \(rec/tot\): +\d+/1\d{5}, .*lsn: ([0-9A-F/]+),.*desc: MESSAGE`)
	dumpEnd     = regexp.MustCompile(`at ([0-9A-F]+/[0-9A-F]+): wanted`)
)

func waldump(t *testing.T, s *demo.Server, tli string, from replication.LSN, more ...string) dump {
	t.Helper()
	args := append([]string{"-p", filepath.Join(s.DataDir, "pg_wal"), "-t", tli, "-s", from.String()}, more...)
	out, problem := tool(t, "pg_waldump", args...)
	d := dump{text: out, problem: problem}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "first record is after") {
			continue // pg_waldump skips what the server gave up
		}
		m := dumpLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("pg_waldump line %q", line)
		}
		d.records++
		d.last, _ = replication.ParseLSN(m[1])
		if strings.Contains(line, "desc: COMMIT") {
			d.commits++
		}
		if strings.Contains(line, "desc: ABORT") {
			d.aborts++
		}
	}
	return d
}

func sameAs(t *testing.T, got pgdata.End, want dump) {
	t.Helper()
	if got.Records != want.records || got.Commits != want.commits || got.Aborts != want.aborts || got.LastRecord != want.last {
		t.Errorf("%d records, %d commits, %d aborts, last at %s; pg_waldump has %d, %d, %d, %s (%s)", got.Records, got.Commits,
			got.Aborts, got.LastRecord, want.records, want.commits, want.aborts, want.last, want.problem)
	}
	if m := dumpEnd.FindStringSubmatch(want.problem); m != nil && m[1] != got.LSN.String() {
		t.Errorf("end at %s, pg_waldump says %s", got.LSN, want.problem)
	}
}

func end(t *testing.T, dir string, tli replication.Timeline, from replication.LSN) pgdata.End {
	t.Helper()
	e, err := pgdata.EndOfWAL(dir, tli, from, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("end of WAL %s on timeline %d after %d records and %d commits: %s", e.LSN, e.Timeline, e.Records, e.Commits, e.Reason)
	return e
}

func do(t *testing.T, ctx context.Context, s *demo.Server, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if err := s.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
}

func position(t *testing.T, ctx context.Context, s *demo.Server) replication.LSN {
	t.Helper()
	text, err := s.Ask(ctx, "SELECT pg_current_wal_insert_lsn()::text")
	if err != nil {
		t.Fatal(err)
	}
	l, err := replication.ParseLSN(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func crash(t *testing.T, ctx context.Context, s *demo.Server) {
	t.Helper()
	if err := s.Kill(ctx); err != nil {
		t.Fatal(err)
	}
}

// fill writes over several segments, with large records that run over pages, a
// switch in the middle and an aborted transaction.
func fill(t *testing.T, ctx context.Context, s *demo.Server) {
	t.Helper()
	do(t, ctx, s, "CREATE TABLE w (n int, v text)", "INSERT INTO w SELECT n, repeat('x', 900) FROM generate_series(1, 40000) n",
		"DO $$BEGIN FOR i IN 1..300 LOOP INSERT INTO w VALUES (i, 'y'); COMMIT; END LOOP; END$$",
		"DO $$BEGIN FOR i IN 1..7 LOOP INSERT INTO w VALUES (i, 'z'); ROLLBACK; END LOOP; END$$",
		"SELECT pg_switch_wal()",
		"SELECT pg_logical_emit_message(false, 'test', repeat('m', 300000))",
		"INSERT INTO w SELECT n, 'after' FROM generate_series(1, 5000) n")
}

func TestEndOfWAL_AfterKill_EqualsPgWaldump(t *testing.T) {
	ctx := within(t)
	s := testenv.NewPair(t).Servers[0]
	do(t, ctx, s, "CHECKPOINT")
	middle := position(t, ctx, s)
	fill(t, ctx, s)
	crash(t, ctx, s)
	c, err := pgdata.ReadControl(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	whole := end(t, s.DataDir, 1, 0)
	sameAs(t, whole, waldump(t, s, "1", c.Redo))
	if whole.From != c.Redo || whole.Commits < 300 || whole.Aborts < 7 || whole.LastCommit.IsZero() || whole.ShutdownCheckpoint {
		t.Errorf("%+v", whole)
	}
	if int(whole.LSN-whole.From) < 2*c.WALSegmentSize {
		t.Errorf("only %d bytes: the test did not cross segments", whole.LSN-whole.From)
	}
	if part := end(t, s.DataDir, 0, middle); part.LSN != whole.LSN || part.Records == 0 {
		t.Errorf("from %s the end is %s, from the checkpoint %s", middle, part.LSN, whole.LSN)
	}
	nothing := end(t, s.DataDir, 1, whole.LSN)
	if nothing.LSN != whole.LSN || nothing.Records != 0 || nothing.LastRecord != whole.LastRecord {
		t.Errorf("from the end itself: %+v", nothing)
	}
	ahead := end(t, s.DataDir, 1, whole.LSN+8000)
	if ahead.LSN != whole.LSN || ahead.Commits != 0 {
		t.Errorf("from beyond the end: %+v, want the end at %s", ahead, whole.LSN)
	}
	for _, wrong := range []replication.LSN{whole.LastRecord + 8, middle + 8, middle + 1, whole.LSN &^ 8191} {
		if e, err := pgdata.EndOfWAL(s.DataDir, 1, wrong, 0); !errors.Is(err, pgdata.ErrNotBoundary) && e.LSN != whole.LSN {
			t.Errorf("from %s, no boundary: %+v, %v", wrong, e, err)
		}
	}
	if _, err := pgdata.EndOfWAL(s.DataDir, 1, middle+8, 0); !errors.Is(err, pgdata.ErrNotBoundary) {
		t.Errorf("from inside a record: %v, want ErrNotBoundary", err)
	}
	last := filepath.Join(s.DataDir, "pg_wal", segmentFile(1, uint64(whole.LSN)/(16<<20)))
	if err := os.Rename(last, last+".partial"); err != nil {
		t.Fatal(err)
	}
	if partial := end(t, s.DataDir, 1, 0); partial.LSN != whole.LSN || partial.Records != whole.Records {
		t.Errorf("with the last segment named .partial: %+v", partial)
	}
	if _, err := pgdata.EndOfWAL(s.DataDir, 1, 0, 1<<20); err == nil {
		t.Error("a wrong segment size was accepted")
	}
}

func TestEndOfWAL_CleanStop_EndsWithTheShutdownCheckpoint(t *testing.T) {
	ctx := within(t)
	s := testenv.NewPair(t).Servers[0]
	fill(t, ctx, s)
	if err := s.Stop(ctx, demo.StopFast); err != nil {
		t.Fatal(err)
	}
	c, err := pgdata.ReadControl(s.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	e := end(t, s.DataDir, 1, 0)
	sameAs(t, e, waldump(t, s, "1", c.Redo))
	if !e.ShutdownCheckpoint || e.LastRecord != c.Checkpoint || e.Records != 1 {
		t.Errorf("%+v; want only the shutdown checkpoint at %s", e, c.Checkpoint)
	}
	if nothing := end(t, s.DataDir, 1, e.LSN); !nothing.ShutdownCheckpoint || nothing.Records != 0 {
		t.Errorf("from the end: %+v; want to know of the shutdown all the same", nothing)
	}
}

func TestEndOfWAL_JustAfterASwitch_EndsAtTheSegment(t *testing.T) {
	ctx := within(t)
	s := testenv.NewPair(t).Servers[0]
	do(t, ctx, s, "CHECKPOINT", "CREATE TABLE a ()")
	from := position(t, ctx, s)
	do(t, ctx, s, "CREATE TABLE b ()", "SELECT pg_switch_wal()")
	crash(t, ctx, s)
	e := end(t, s.DataDir, 1, from)
	sameAs(t, e, waldump(t, s, "1", from))
	if e.Commits < 1 {
		t.Errorf("%+v; want the commit before the switch", e)
	}
}

// tear overwrites a part of the WAL with zeroes.
func tear(t *testing.T, s *demo.Server, from, to replication.LSN) {
	t.Helper()
	const size = 16 << 20
	for from < to {
		name := filepath.Join(s.DataDir, "pg_wal", segmentFile(1, uint64(from)/size))
		n := min(uint64(to-from), size-uint64(from)%size)
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt(make([]byte, n), int64(uint64(from)%size))
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		from += replication.LSN(n)
	}
}

func segmentFile(tli uint32, number uint64) string {
	return fmt.Sprintf("%08X%08X%08X", tli, number/256, number%256)
}

func TestEndOfWAL_TornTail_EndsBeforeTheTornRecord(t *testing.T) {
	ctx := within(t)
	s := testenv.NewPair(t).Servers[0]
	do(t, ctx, s, "CHECKPOINT", "CREATE TABLE a (v text)",
		"SELECT pg_logical_emit_message(true, 'test', repeat('m', 100000))")
	crash(t, ctx, s)
	before := end(t, s.DataDir, 1, 0)
	m := messageLine.FindStringSubmatch(waldump(t, s, "1", before.From).text)
	if m == nil {
		t.Fatal("pg_waldump shows no large message")
	}
	large, err := replication.ParseLSN(m[1])
	if err != nil {
		t.Fatal(err)
	}
	tear(t, s, large+50000, before.LSN)
	after := end(t, s.DataDir, 1, 0)
	if after.Records >= before.Records || after.LSN > large || large-after.LSN >= 48 || after.Commits != before.Commits-1 {
		t.Errorf("%+v after tearing the record at %s", after, large)
	}
	sameAs(t, after, waldump(t, s, "1", after.From))

	// The server's own recovery is the judge: it goes on where we say it ends,
	// and writes a replacement for what it gave up.
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, s, "INSERT INTO a VALUES ('after recovery')")
	crash(t, ctx, s)
	whole := end(t, s.DataDir, 1, after.LSN)
	sameAs(t, whole, waldump(t, s, "1", after.LSN))
	if whole.Records < 3 || whole.Commits < 1 {
		t.Errorf("%+v; want to read on over the torn record", whole)
	}
}

func TestEndOfWAL_NeededSegmentLost_IsNoEnd(t *testing.T) {
	ctx := within(t)
	s := testenv.NewPair(t).Servers[0]
	do(t, ctx, s, "CHECKPOINT")
	crash(t, ctx, s)
	e := end(t, s.DataDir, 1, 0)
	tear(t, s, e.From, e.LSN)
	if got, err := pgdata.EndOfWAL(s.DataDir, 1, 0, 0); !errors.Is(err, pgdata.ErrWALMissing) {
		t.Errorf("%+v, %v; want ErrWALMissing", got, err)
	}
}

// Both servers run on: what each has committed after the switch point is read
// beside it, and the last of it may be missing.
func TestEndOfWAL_RunningServersThatParted_CountWhatEachCommittedAlone(t *testing.T) {
	ctx := within(t)
	pair := testenv.NewPair(t)
	old, s := pair.Servers[0], pair.Servers[1]
	do(t, ctx, s, "SELECT pg_promote()")
	do(t, ctx, s, "CREATE TABLE a ()", "CREATE TABLE b ()", "CREATE TABLE c ()")
	do(t, ctx, old, "CREATE TABLE a ()", "CREATE TABLE b ()")
	text, err := pgdata.NewestHistory(s.DataDir)
	if err != nil || text.Timeline != 2 {
		t.Fatalf("history %+v, %v", text, err)
	}
	h, err := replication.ParseHistory(text.Text)
	if err != nil {
		t.Fatal(err)
	}
	fork, _ := h.SwitchPointOf(1)
	for on, c := range map[replication.Timeline]struct {
		dir     string
		commits int
	}{1: {old.DataDir, 2}, 2: {s.DataDir, 3}} {
		if e := end(t, c.dir, on, fork); e.Commits != c.commits || e.LSN <= fork || e.Timeline != on {
			t.Errorf("timeline %d: %+v, want %d commits past %s", on, e, c.commits, fork)
		}
	}
}

func TestEndOfWAL_AcrossAPromotion_FollowsTheHistory(t *testing.T) {
	ctx := within(t)
	pair := testenv.NewPair(t)
	old, s := pair.Servers[0], pair.Servers[1]
	do(t, ctx, old, "CHECKPOINT")
	from := position(t, ctx, old)
	fill(t, ctx, old)
	if err := pair.AwaitStreaming(ctx, old, s); err != nil {
		t.Fatal(err)
	}
	upTo := position(t, ctx, old)
	testenv.Wait(t, limit, "the standby to replay "+upTo.String(), func() (bool, string) {
		at, err := s.Ask(ctx, "SELECT pg_last_wal_replay_lsn()::text")
		l, _ := replication.ParseLSN(at)
		return err == nil && l >= upTo, at
	})
	do(t, ctx, s, "SELECT pg_promote()")
	do(t, ctx, s, "CREATE TABLE after_promotion ()", "INSERT INTO w VALUES (1, 'new timeline')")
	do(t, ctx, old, "CREATE TABLE diverged ()")
	crash(t, ctx, s)
	crash(t, ctx, old)

	text, err := pgdata.NewestHistory(s.DataDir)
	if err != nil || text.Timeline != 2 {
		t.Fatalf("history %+v, %v", text, err)
	}
	h, err := replication.ParseHistory(text.Text)
	if err != nil {
		t.Fatal(err)
	}
	fork, _ := h.SwitchPointOf(1)
	e := end(t, s.DataDir, 2, from)
	first, second := waldump(t, s, "1", from, "-e", fork.String()), waldump(t, s, "2", fork)
	both := dump{records: first.records + second.records, commits: first.commits + second.commits,
		aborts: first.aborts + second.aborts, last: second.last, problem: second.problem}
	sameAs(t, e, both)
	if len(e.EndOfRecovery) != 1 || e.EndOfRecovery[0].LSN != fork || e.Timeline != 2 || e.Commits < 302 {
		t.Errorf("%+v; want one promotion at %s", e, fork)
	}
	if !strings.Contains(second.text, "END_OF_RECOVERY tli 2; prev tli 1; time "+e.EndOfRecovery[0].At.UTC().Format("2006-01-02 15:04:05")) {
		t.Errorf("time of promotion %s, pg_waldump says %.300s", e.EndOfRecovery[0].At, second.text)
	}
	if d := end(t, old.DataDir, 0, from); d.Timeline != 1 || d.LSN <= fork {
		t.Errorf("diverged server: %+v, want an end past the fork %s", d, fork)
	}
	// What the diverged server wrote after the fork is not of timeline 2.
	if err := os.WriteFile(filepath.Join(old.DataDir, "pg_wal", "00000002.history"), []byte(text.Text), 0o600); err != nil {
		t.Fatal(err)
	}
	if d := end(t, old.DataDir, 2, from); d.LSN != fork || d.Timeline != 1 {
		t.Errorf("on the other's history: %+v, want the end at the fork %s", d, fork)
	}
}
