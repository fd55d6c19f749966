package demo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

const ms = time.Millisecond

// ack is an acknowledged insert of one client; the numbers are milliseconds.
func ack(node string, begin, end time.Duration) demo.LedgerEntry {
	return demo.LedgerEntry{Client: 1, Node: node, Result: demo.ResultAcked, Begin: begin * ms, End: end * ms}
}

func TestSummarize_WhoAcknowledgedWhen(t *testing.T) {
	tests := []struct {
		name     string
		entries  []demo.LedgerEntry
		nodes    []string
		overlaps int
		outage   time.Duration
	}{
		{"nothing acknowledged: the whole time is outage", nil, nil, 0, 100},
		{"one node all the time", []demo.LedgerEntry{ack("db1", 0, 5), ack("db1", 90, 95)}, []string{"db1"}, 0, 90},
		{"the other after a failover", []demo.LedgerEntry{ack("db1", 0, 5), ack("db2", 60, 65), ack("db2", 90, 95)}, []string{"db1", "db2"}, 0, 60},
		{"an answer of the first that was long on its way", []demo.LedgerEntry{ack("db1", 0, 5), ack("db1", 8, 40), ack("db2", 20, 30)}, []string{"db1", "db2"}, 0, 60},
		{"begun before the second had answered: proves nothing", []demo.LedgerEntry{ack("db1", 0, 5), ack("db2", 20, 30), ack("db1", 25, 35)}, []string{"db1", "db2"}, 0, 65},
		{"split brain", []demo.LedgerEntry{ack("db1", 0, 5), ack("db2", 20, 30), ack("db1", 31, 35), ack("db2", 36, 40)}, []string{"db1", "db2", "db1", "db2"}, 2, 60},
		{"silence at the end counts", []demo.LedgerEntry{ack("db1", 0, 5)}, []string{"db1"}, 0, 95},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := demo.Summarize(tt.entries, 100*ms)
			var nodes []string
			for _, tenure := range r.Tenures {
				nodes = append(nodes, tenure.Node)
			}
			if !slices.Equal(nodes, tt.nodes) || r.Overlaps != tt.overlaps || r.Outage != tt.outage*ms {
				t.Errorf("tenures %v, %d overlaps, outage %v; want %v, %d, %v", nodes, r.Overlaps, r.Outage, tt.nodes, tt.overlaps, tt.outage*ms)
			}
		})
	}
}

func TestLedger_PrimaryKilledStandbyPromoted_OutageMeasuredNothingLost(t *testing.T) {
	p := testenv.NewPair(t, testenv.Sync())
	db1, db2 := p.Servers[0], p.Servers[1]
	l, stop := testenv.StartLedger(t, p)
	before := l.Report()
	testenv.KillServer(t, db1)
	if err := db2.Exec(t.Context(), "ALTER SYSTEM SET synchronous_standby_names = ''"); err != nil {
		t.Fatal(err)
	}
	if promoted, err := db2.Ask(t.Context(), "SELECT pg_promote() AND pg_reload_conf()"); err != nil || promoted != "true" {
		t.Fatalf("promote db2: %q, %v", promoted, err)
	}
	testenv.AwaitAcks(t, l, 50)
	stop()
	r := testenv.CheckLedger(t, l, db2, testenv.Allowed{})
	if len(before.Tenures) != 1 || before.Tenures[0].Node != "db1" {
		t.Errorf("before the kill the tenures were %+v, want db1 alone", before.Tenures)
	}
	if len(r.Tenures) != 2 || r.Tenures[1].Node != "db2" {
		t.Errorf("tenures %+v, want db1 then db2", r.Tenures)
	}
	if gap := r.Tenures[1].First - r.Tenures[0].Last; r.Outage < gap {
		t.Errorf("longest outage %v is shorter than the gap of %v between the nodes", r.Outage, gap)
	}
}

func TestLedger_TwoPrimaries_IsSeen(t *testing.T) {
	p := testenv.NewPair(t)
	l, stop := testenv.StartLedger(t, p)
	if promoted, err := p.Servers[1].Ask(t.Context(), "SELECT pg_promote()"); err != nil || promoted != "true" {
		t.Fatalf("promote db2: %q, %v", promoted, err)
	}
	testenv.Wait(t, 20*time.Second, "both nodes to acknowledge", func() (bool, string) {
		r := l.Report()
		return r.Overlaps > 1, fmt.Sprintf("%+v", r.Tenures)
	})
	stop()
	r, err := l.Compare(t.Context(), p.Servers[1])
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Lost) == 0 {
		t.Error("rows that only the first primary acknowledged are not counted as lost")
	}
}

func TestReadLedger_GivesWhatTheOtherProcessSaw(t *testing.T) {
	p := testenv.SharedPair(t)
	file := filepath.Join(t.TempDir(), "ledger")
	l, err := demo.NewLedger(demo.LedgerOptions{Servers: p.Servers[:], Clients: 2, File: file})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- l.Run(ctx) }()
	testenv.AwaitAcks(t, l, 20)
	cancel()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	read, err := demo.ReadLedger(file)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(read, l.Entries()) {
		t.Errorf("%d entries in the file, %d in memory, and not the same", len(read), len(l.Entries()))
	}
}

// TestLedger_GoesOnAfterItsProcess_NothingJudgedWrongly: a writer that was
// killed left half a line, and its last row without an entry.
func TestLedger_GoesOnAfterItsProcess_NothingJudgedWrongly(t *testing.T) {
	p := testenv.SharedPair(t)
	if err := p.Servers[0].Exec(t.Context(), "DROP TABLE IF EXISTS ledger"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ledger")
	waited := make(chan error, 1)
	o := demo.LedgerOptions{Clients: 2, File: file, Names: []string{"none", "db2", "db1"},
		Connect: func(ctx context.Context, name string, writable bool) (*pgx.Conn, error) {
			s := p.Server(name)
			if s == nil || len(waited) == 0 {
				return nil, errors.New("nobody there")
			}
			return pgx.Connect(ctx, demo.MultiDSN("postgres", writable, s))
		},
		Waiting: func(err error) {
			select {
			case waited <- err:
			default:
			}
		}}
	write := func(o demo.LedgerOptions) {
		l, err := demo.NewLedger(o)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- l.Run(ctx) }()
		testenv.Wait(t, 30*time.Second, "acknowledged rows", func() (bool, string) { return l.Acked() >= 20, fmt.Sprint(l.Acked()) })
		cancel()
		if err := <-over; err != nil {
			t.Fatal(err)
		}
	}
	write(o)
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"client":1,"se`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Servers[0].Exec(t.Context(), "INSERT INTO ledger (client, seq) VALUES (1, 1000000)"); err != nil {
		t.Fatal(err)
	}
	o.Elapsed, o.FirstClient, o.FileOnly = time.Hour, 101, true
	write(o)
	entries, err := demo.ReadLedger(file)
	if err != nil {
		t.Fatal(err)
	}
	if last := entries[len(entries)-1]; last.Client < 101 || last.Begin < time.Hour || last.Node != "db1" {
		t.Errorf("last entry %+v, want one of the second run on db1", last)
	}
	r, err := demo.CompareLedger(t.Context(), entries, 2*time.Hour, p.Servers[0])
	if err != nil || r.Acked < 40 || len(r.Lost)+len(r.Phantom) > 0 || r.Overlaps > 0 {
		t.Errorf("%v, report %+v; want nothing lost", err, r)
	}
}
