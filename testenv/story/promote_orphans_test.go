package story

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// pipeline is a session that never lets its backend wait for a client: rows are
// sent ahead of their answers. The backend of a killed postmaster finds out
// when it next waits, so this one goes on committing for as long as it lives.
type pipeline struct {
	mu      sync.Mutex
	entries []demo.LedgerEntry
}

// pipelineClient is its number in the ledger, above those of all others.
const pipelineClient = 99

// startPipeline opens the session at a server; start is when the ledger began.
func startPipeline(t testing.TB, s *demo.Server, start time.Time) *pipeline {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	conn, err := pgconn.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	p := &pipeline{}
	over := make(chan struct{})
	go func() {
		defer close(over)
		p.write(ctx, conn.StartPipeline(ctx), s.Name, start)
		_ = conn.Close(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	return p
}

// ahead is how many rows are on their way at any time: seconds of work for the
// backend, so that it never waits for a client that is short of CPU.
const ahead = 3000

// pipelineRow inserts one row, slowly, and gives the time right before its
// commit by the server's clock, which is the client's too: the answer itself may
// be read much later.
const pipelineRow = `INSERT INTO ledger (client, seq)
	SELECT $1::int, $2::bigint + 0 * count(*) FROM generate_series(1, 4000)
	RETURNING (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

func (p *pipeline) write(ctx context.Context, pipe *pgconn.Pipeline, node string, start time.Time) {
	for seq := int64(1); ctx.Err() == nil; seq++ {
		pipe.SendQueryParams(pipelineRow, [][]byte{fmt.Append(nil, pipelineClient), fmt.Append(nil, seq)}, nil, nil, nil)
		if pipe.Sync() != nil {
			return
		}
		if seq <= ahead {
			continue
		}
		at, ok := answered(pipe)
		if !ok {
			return
		}
		p.mu.Lock()
		p.entries = append(p.entries, demo.LedgerEntry{Client: pipelineClient, Seq: seq - ahead, Node: node, Result: demo.ResultAcked,
			Begin: at.Sub(start.Round(0)), End: time.Since(start)})
		p.mu.Unlock()
	}
}

// answered reads the answer to one row and to its sync.
func answered(pipe *pgconn.Pipeline) (at time.Time, ok bool) {
	for {
		got, err := pipe.GetResults()
		if err != nil {
			return at, false
		}
		switch r := got.(type) {
		case *pgconn.ResultReader:
			res := r.Read()
			if res.Err != nil || len(res.Rows) != 1 {
				return at, false
			}
			us, err := strconv.ParseInt(string(res.Rows[0][0]), 10, 64)
			if err != nil {
				return at, false
			}
			at = time.UnixMicro(us)
		case *pgconn.PipelineSync:
			return at, true
		}
	}
}

func (p *pipeline) rows() []demo.LedgerEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]demo.LedgerEntry(nil), p.entries...)
}

// TestRule2_PostmasterKilledAlone_SealEndsItsOrphansBeforeThePromotion leaves a
// backend of before the fault committing, and acknowledging, without its
// postmaster.
func TestRule2_PostmasterKilledAlone_SealEndsItsOrphansBeforeThePromotion(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	start := time.Now()
	l := s.ledger()
	p := startPipeline(t, s.Pair.Server("db1"), start)
	testenv.Wait(t, 20*time.Second, "the pipeline writes", func() (bool, string) { return len(p.rows()) > 200, fmt.Sprint(len(p.rows())) })
	testenv.KillPostmaster(t, s.Pair.Server("db1"))
	s.awaitCondition("db2", "NoPrimary")
	orphaned := len(p.rows())
	testenv.Wait(t, 20*time.Second, "the orphan goes on committing", func() (bool, string) {
		return len(p.rows()) > orphaned+200, fmt.Sprintf("%d rows, %d when NoPrimary fired", len(p.rows()), orphaned)
	})
	plan := s.plan("db2", "promote", "--accept-data-loss", "unknown")
	if plan.Refusal != nil || plan.Loss.AtMostBytes != nil || plan.Loss.Unsealed != 0 {
		t.Errorf("plan while an orphan writes: refusal %+v, loss %+v", plan.Refusal, plan.Loss)
	}
	s.wants(0, "db2", "promote", "--confirm=db2", "--no-input", "--accept-data-loss", "unknown")
	s.awaitWriter(l, "db2")
	if s.Pair.Server("db1").Running() {
		t.Error("a process of the old primary lives")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	all := append(p.rows(), l.Entries()...)
	r, err := demo.CompareLedger(ctx, all, time.Since(start), s.Pair.Server("db2"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Overlaps > 0 || len(r.Tenures) != 2 {
		t.Errorf("two nodes acknowledged at once: %+v", r.Tenures)
	}
	t.Logf("the orphan acknowledged %d rows after its postmaster was dead; %d of %d rows are lost, writes stood still for %s",
		len(p.rows())-orphaned, len(r.Lost), r.Acked, r.Outage.Round(time.Millisecond))
}
