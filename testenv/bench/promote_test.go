package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// accepted is the loss that the operator accepts: the pair is asynchronous, and
// its writer never rests.
const accepted = 1 << 20

// walPerRow is less than any inserted row takes in the WAL (heap, index and
// commit records of src/include/access), so that bytes announced as lost bound
// the rows that may be missing.
const walPerRow = 100

// BenchmarkPromote measures from the confirmed command to the first row that a
// client gets acknowledged, and beside it a bare pg_promote on a pair of the
// same make, killed the same way, with the same writer. Both are typed as a
// command, and both start with a new pair.
func BenchmarkPromote(b *testing.B) {
	ours := figure{name: "confirmed promote -> first acknowledged write", unit: seconds}
	bare := figure{name: "bare pg_promote -> first acknowledged write", unit: seconds}
	var p shares
	b.ResetTimer()
	for range *rounds {
		ours.took(promoteRound(b, &p))
		bare.took(bareRound(b))
	}
	limit := bare.median() + 0.5
	ours = ours.below(limit).named(fmt.Sprintf("< bare + 0.5 s = %s", seconds(limit)))
	write(os.Stdout, "Promotion (asynchronous pair, writer every 2 ms through both addresses)", append([]figure{ours, bare}, p.figures()...)...)
	write(os.Stdout, "Steps of the promotion before and after the first acknowledged write (journal, to the millisecond)", p.steps...)
}

// writer inserts a row every 2 ms, looking for the primary at both addresses.
type writer struct {
	*demo.Ledger
	began time.Time
	end   func()
}

func startWriter(b *testing.B, p *demo.Pair) *writer {
	b.Helper()
	w := &writer{began: time.Now()}
	l, err := demo.NewLedger(demo.LedgerOptions{Servers: p.Servers[:], Clients: 1, Every: 2 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	over := make(chan error, 1)
	go func() { over <- l.Run(ctx) }()
	w.Ledger = l
	w.end = func() {
		cancel()
		if err := <-over; err != nil {
			b.Fatalf("writer: %v", err)
		}
	}
	testenv.AwaitAcks(b, l, 200)
	return w
}

// firstAck is when the node acknowledged its first row.
func (w *writer) firstAck(b *testing.B, node string) time.Time {
	b.Helper()
	var at time.Duration
	testenv.Wait(b, time.Minute, "a row acknowledged by "+node, func() (bool, string) {
		i := slices.IndexFunc(w.Entries(), func(e demo.LedgerEntry) bool { return e.Node == node && e.Result == demo.ResultAcked })
		if i >= 0 {
			at = w.Entries()[i].End
		}
		return i >= 0, fmt.Sprintf("%d rows acknowledged", w.Acked())
	})
	return w.began.Add(at)
}

// judge ends the writer and fails the run when more rows are missing than the
// bytes that were announced can hold.
func (w *writer) judge(b *testing.B, s *demo.Server, announced int64) {
	b.Helper()
	w.end()
	r, err := w.Compare(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	if lost := int64(len(r.Lost)); lost*walPerRow > announced {
		b.Errorf("%d acknowledged rows are missing on %s, announced were %d bytes", lost, s.Name, announced)
	}
	if r.Overlaps > 0 {
		b.Errorf("two nodes acknowledged at once: %+v", r.Tenures)
	}
}

// killed ends the primary and waits until its standby has seen the end of the
// stream: nobody types a command sooner.
func killed(b *testing.B, p *demo.Pair) {
	b.Helper()
	kill(b, p.Servers[0])
	reap(b, p.Servers[0])
	testenv.Wait(b, 30*time.Second, "the end of the stream", func() (bool, string) {
		n, err := p.Servers[1].Ask(b.Context(), "SELECT count(*)::text FROM pg_stat_wal_receiver")
		if err != nil {
			return false, err.Error()
		}
		return n == "0", n + " WAL receivers"
	})
}

func promoteRound(b *testing.B, p *shares) time.Duration {
	b.Helper()
	s := newSite(b)
	defer closeSite(b, s)
	target := s.Nodes[1]
	w := startWriter(b, s.Pair)
	c := control.NewLocalClient(target.Socket)
	defer c.Close()
	killed(b, s.Pair)
	id := confirmable(b, c, target.Name)
	durable := watchState(b, s.Nodes)
	began := time.Now()
	out, errs, exit := s.Run(b.Context(), target, "promote", "--confirm="+target.Name, "--plan="+id,
		fmt.Sprintf("--accept-data-loss=%dB", accepted), "--no-input")
	if exit != 0 {
		b.Fatalf("promote: exit %d: %s%s", exit, out, errs)
	}
	ack := w.firstAck(b, target.Name)
	records := journal(b, c, "promote-"+id)
	lost := int64(0)
	for _, r := range records {
		lost = max(lost, r.Figures["lost_bytes"])
	}
	w.judge(b, s.Pair.Servers[1], lost)
	p.add(b, records, began, ack, durable.until(b, ack), s.Nodes[0].StateDir)
	return ack.Sub(began)
}

// confirmable waits until the plan has no gate left in its way and gives its id.
func confirmable(b *testing.B, c *control.Client, node string) string {
	b.Helper()
	loss := uint64(accepted)
	var p runbooks.Plan
	testenv.Wait(b, 30*time.Second, "a plan that may be confirmed", func() (bool, string) {
		var err error
		p, err = control.Call(b.Context(), c, control.MakePlan, "", runbooks.Request{Kind: runbooks.KindPromote, AcceptLossBytes: &loss})
		if err != nil {
			return false, err.Error()
		}
		return p.Refusal == nil && p.Target == node, fmt.Sprintf("target %s, refusal %v", p.Target, p.Refusal)
	})
	return p.ID
}

func journal(b *testing.B, c *control.Client, operation string) []runbooks.Record {
	b.Helper()
	got, err := control.Call(b.Context(), c, control.ShowOp, operation, control.None{})
	if err != nil || len(got.Records) == 0 {
		text, _ := json.Marshal(got)
		b.Fatalf("journal of %s: %v: %s", operation, err, text)
	}
	return got.Records
}

func bareRound(b *testing.B) time.Duration {
	b.Helper()
	p := testenv.NewPair(b)
	binaries, err := demo.FindBinaries(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	owner, err := demo.FindOwner()
	if err != nil {
		b.Fatal(err)
	}
	w := startWriter(b, p)
	killed(b, p)
	began := time.Now()
	out, err := owner.Command(b.Context(), binaries.Path("psql"), "-X", "-At", "-d", p.Servers[1].DSN("postgres"),
		"-c", "SELECT pg_promote()").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "t" {
		b.Fatalf("bare pg_promote: %v: %s", err, out)
	}
	ack := w.firstAck(b, p.Servers[1].Name)
	w.judge(b, p.Servers[1], 1<<62) // nothing was announced, and nothing read the old disk
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
	return ack.Sub(began)
}
