package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/testenv/netlab"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// fault is one way in which the primary db1 fails, and what is to be known of it.
type fault struct {
	name   string
	target float64 // seconds; 0: none is set
	seenOn string  // whose service must know
	want   []replication.Verdict
	cause  func(*ward) error
	undo   func(*ward) error
	slow   bool // causing it takes its time: the clock starts when it is done
}

// ward is the site whose primary is made ill, and what is needed for that.
type ward struct {
	b        *testing.B
	site     *demo.Site
	net      *netlab.Network
	disk     *netlab.Disk
	sessions []*pgx.Conn

	postmaster int // before the fault
}

func (w *ward) db1() *demo.Server { return w.site.Pair.Servers[0] }

func (w *ward) signal(sig syscall.Signal, all bool) error {
	pids := []int{w.db1().Pid()}
	if all {
		var err error
		if pids, err = w.db1().Processes(); err != nil {
			return err
		}
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil {
			return fmt.Errorf("signal %d: %w", pid, err)
		}
	}
	return nil
}

func (w *ward) restart() error {
	reap(w.b, w.db1())
	// A zombie would look like a living owner of postmaster.pid.
	testenv.Wait(w.b, time.Minute, "the end of the former postmaster", func() (bool, string) {
		return w.postmaster == 0 || errors.Is(syscall.Kill(w.postmaster, 0), syscall.ESRCH), fmt.Sprint(w.postmaster)
	})
	out, err := w.site.StartThroughGate(w.b.Context(), w.site.Nodes[0])
	if err != nil {
		return fmt.Errorf("start: %w: %s", err, out)
	}
	return nil
}

// occupy opens sessions until no more is let in.
func (w *ward) occupy() error {
	for {
		c, err := pgx.Connect(w.b.Context(), w.db1().DSN("postgres"))
		if err != nil {
			if len(w.sessions) < 10 {
				return fmt.Errorf("only %d sessions: %w", len(w.sessions), err)
			}
			return nil
		}
		w.sessions = append(w.sessions, c)
	}
}

func (w *ward) leave() error {
	for _, c := range w.sessions {
		_ = c.Close(context.Background())
	}
	w.sessions = nil
	return nil
}

// gone are the verdicts of a server that is not there.
var gone = []replication.Verdict{replication.VerdictDown, replication.VerdictStarting, replication.VerdictShuttingDown}

var faults = []fault{
	{name: "kill -9 of the whole group", target: 0.1, seenOn: "db2", want: gone,
		cause: func(w *ward) error { kill(w.b, w.db1()); return nil }, undo: (*ward).restart},
	{name: "kill -9 of the postmaster alone", target: 0.1, seenOn: "db2", want: gone,
		cause: func(w *ward) error { return w.signal(syscall.SIGKILL, false) }, undo: (*ward).restart},
	{name: "SIGSTOP of the whole group", target: 1.5, seenOn: "db2", want: []replication.Verdict{replication.VerdictHung},
		cause: func(w *ward) error { return w.signal(syscall.SIGSTOP, true) },
		undo:  func(w *ward) error { return w.signal(syscall.SIGCONT, true) }},
	{name: "link cut without a reset", target: 1.5, seenOn: "db2", want: []replication.Verdict{replication.VerdictUnreachable},
		cause: func(w *ward) error { return w.net.Isolate(w.b.Context(), "db1") },
		undo:  func(w *ward) error { return w.net.Heal(w.b.Context()) }},
	{name: "disk stalls (ext4 frozen)", seenOn: "db1", want: []replication.Verdict{replication.VerdictStorageStalled},
		cause: func(w *ward) error { return w.disk.Freeze(w.b.Context()) },
		undo:  func(w *ward) error { return w.disk.Thaw(w.b.Context()) }},
	{name: "disk full, PostgreSQL writes on until it ends", seenOn: "db2", want: gone,
		cause: (*ward).fill, undo: (*ward).empty, slow: true},
	{name: "connections used up", seenOn: "db1", want: []replication.Verdict{replication.VerdictSaturated},
		cause: (*ward).occupy, undo: (*ward).leave, slow: true},
}

// fill leaves no room and has the server need some: the clock starts when WAL no
// longer finds a place.
func (w *ward) fill() error {
	if err := w.disk.Fill(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(w.b.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		if err := w.db1().Exec(ctx, "SELECT pg_switch_wal(), pg_logical_emit_message(false, 'bench', repeat('x', 1000))"); err != nil {
			return nil
		}
	}
	return ctx.Err()
}

func (w *ward) empty() error {
	if err := w.disk.Empty(); err != nil {
		return err
	}
	return w.restart()
}

// BenchmarkVerdicts measures from each fault to the first status that names it,
// before any hold, with the periods of a configuration that mentions none.
func BenchmarkVerdicts(b *testing.B) {
	netlab.Need(b)
	w := newWard(b)
	figures := make([]figure, len(faults))
	b.ResetTimer()
	for i, f := range faults {
		figures[i] = figure{name: f.name + " -> " + f.want[0].String() + " known on " + f.seenOn, unit: seconds}
		if f.target > 0 {
			figures[i] = figures[i].below(f.target)
		}
		for range *rounds {
			w.awaitHealthy()
			// Healthy is seen at a beat of the probes; faults come at any moment.
			pass(b, time.Duration(rand.Int64N(int64(time.Second))))
			figures[i].took(w.measure(f))
			if err := f.undo(w); err != nil {
				b.Fatalf("%s: %v", f.name, err)
			}
		}
	}
	write(os.Stdout, fmt.Sprintf("Verdicts (default periods, status asked every %s)", lookEvery), figures...)
}

// newWard makes a site in the network lab, with db1's data on a disk of its own.
func newWard(b *testing.B) *ward {
	b.Helper()
	n, err := netlab.New(b.Context(), "db1", "db2")
	if err != nil {
		b.Fatal(err)
	}
	s := newSite(b, func(o *demo.SiteOptions) { o.Pair.Network = n.Site() })
	w := &ward{b: b, site: s, net: n}
	b.Cleanup(w.close)
	// The demo keeps shared statistics in files of the data directory, so that even
	// reading would wait for a frozen disk; PostgreSQL's default does not.
	if err := w.db1().Exec(b.Context(), "ALTER SYSTEM SET dynamic_shared_memory_type = posix"); err != nil {
		b.Fatal(err)
	}
	if err := w.db1().Stop(b.Context(), demo.StopFast); err != nil {
		b.Fatal(err)
	}
	if w.disk, err = netlab.NewDisk(b.Context(), w.db1(), 768); err != nil {
		b.Fatal(err)
	}
	if err := w.restart(); err != nil {
		b.Fatal(err)
	}
	useDefaults(b, s)
	return w
}

func (w *ward) close() {
	if w.disk != nil {
		_ = w.disk.Thaw(context.Background())
		_ = w.db1().Stop(context.Background(), demo.StopFast) // so that nothing stays in /dev/shm
		if err := w.disk.Close(); err != nil {
			w.b.Error(err)
		}
	}
	closeSite(w.b, w.site)
	if err := w.net.Close(); err != nil {
		w.b.Error(err)
	}
}

func (w *ward) awaitHealthy() {
	for _, n := range w.site.Nodes {
		awaitHealthy(w.b, n)
	}
}

// measure causes a fault and gives the time until the verdict stands in the
// status of the node that must know it.
func (w *ward) measure(f fault) time.Duration {
	w.b.Helper()
	c := control.NewLocalClient(w.site.Node(f.seenOn).Socket)
	defer c.Close()
	if _, err := status(w.b.Context(), c); err != nil {
		w.b.Fatal(err)
	}
	w.postmaster = w.db1().Pid()
	began := time.Now()
	if err := f.cause(w); err != nil {
		w.b.Fatalf("%s: %v", f.name, err)
	}
	if f.slow {
		began = time.Now()
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		st, err := status(w.b.Context(), c)
		took := time.Since(began)
		if err == nil {
			for i, by := range st.Nodes[0].Observers {
				if by == f.seenOn && slices.Contains(f.want, st.Nodes[0].Seen[i].Verdict) {
					return took
				}
			}
		}
		if took > 40*time.Second {
			w.b.Fatalf("%s: not known after %s: %v, %+v", f.name, took, err, st.Nodes)
		}
		<-look.C
	}
}
