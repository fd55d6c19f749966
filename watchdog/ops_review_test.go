package watchdog

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// lonely is a node without other nodes.
type lonely struct{ runbooks.Others }

func (lonely) Names() []string { return nil }

// hosted gives the host of operations on a state directory, as a start of the
// service makes it.
func hosted(t *testing.T, dir string) (*ops, *state.Store) {
	t.Helper()
	store, journal := state.Open(dir, "db2"), state.OpenJournal(dir)
	o := newOps(journal, zaptest.NewLogger(t), time.Now)
	o.deps = runbooks.Deps{Self: "db2", State: store, Others: lonely{}, Now: time.Now, Random: func() string { return "r" }}
	o.runner = &runbooks.Runner{Journal: journal, Now: time.Now, Notify: o.notify, Close: o.deps.Closer()}
	ctx, cancel := context.WithCancel(context.Background())
	o.root = ctx
	t.Cleanup(func() { cancel(); o.wg.Wait() })
	o.load()
	return o, store
}

func endedAs(t *testing.T, o *ops, op *runbooks.Operation) fence.Result {
	t.Helper()
	if err := o.follow(t.Context(), op.ID, func(runbooks.Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	result, closed := op.Closed()
	if !closed {
		t.Fatalf("operation %s is open: %+v", op.ID, op.Last())
	}
	return result
}

func refusalOf(err error) runbooks.Refusal {
	var r *runbooks.Refusal
	if errors.As(err, &r) {
		return *r
	}
	return runbooks.Refusal{}
}

// nothingToDo is a plan whose operation ends at once.
func nothingToDo(id string) runbooks.Plan {
	return runbooks.Plan{ID: id, Kind: runbooks.KindFence, Owner: "db2", Target: "db1"}
}

// The same command again, with the same --plan: its records went into the journal
// of the first operation, and after a restart this node refused everything.
func TestStart_SamePlanTwice_RefusedAndJournalStaysReadable(t *testing.T) {
	dir := t.TempDir()
	o, _ := hosted(t, dir)
	op, err := o.start(nothingToDo("K7Q2X"), runbooks.Request{By: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	endedAs(t, o, op)
	if _, err := o.start(nothingToDo("K7Q2X"), runbooks.Request{By: "ada"}); refusalOf(err).Exit != runbooks.ExitUnconfirmed {
		t.Errorf("the second start: %v", err)
	}
	again, _ := hosted(t, dir)
	if f := again.faults(); len(f) > 0 {
		t.Errorf("after a restart: %v", f)
	}
}

// A power failure tears the journal; somebody moves it aside, as the refusal
// says. The intent stands, and only its owner may end it.
func TestAbort_JournalIsGone_EndsWhatStands(t *testing.T) {
	one, two := fence.Epoch{Number: 1, ID: "one", Primary: "db1"}, fence.Epoch{Number: 2, ID: "two", Primary: "db2"}
	for name, c := range map[string]struct {
		durable bool
		want    fence.Result
	}{
		"before the epoch": {false, fence.ResultNotDone},
		"the epoch exists": {true, fence.ResultDone},
	} {
		t.Run(name, func(t *testing.T) {
			o, store := hosted(t, t.TempDir())
			notices := []fence.Notice{
				{Epoch: &fence.EpochNotice{SystemID: 7, Epoch: one, Adopt: true}},
				{Lock: &fence.Lock{Operation: "promote-X", Kind: "promote", Owner: "db2"}},
				{Intent: &fence.Intent{Operation: "promote-X", Kind: "promote", Owner: "db2", Target: "db2", Epoch: two}},
				{Order: &fence.Order{Operation: "promote-X", Node: "db1", Issuer: "db2", Epoch: two}},
			}
			if c.durable {
				notices = append(notices, fence.Notice{Epoch: &fence.EpochNotice{SystemID: 7, Epoch: two}})
			}
			for _, n := range notices {
				if err := store.Apply(n); err != nil {
					t.Fatal(err)
				}
			}
			op, err := o.abort(t.Context(), "promote-X", runbooks.Request{By: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			if got := endedAs(t, o, op); got != c.want {
				t.Errorf("ended as %s, want %s", got, c.want)
			}
			d, err := store.Read()
			if err != nil || d.Lock != nil || len(d.Intents) > 0 {
				t.Errorf("left: %+v, %v", d, err)
			}
			if _, stands := d.StandingOrder("db1"); stands != c.durable {
				t.Errorf("order stands: %t", stands)
			}
		})
	}
}

func TestAbort_OperationOfAnotherNodeOrUnknown_Refused(t *testing.T) {
	o, store := hosted(t, t.TempDir())
	if err := store.Apply(fence.Notice{Lock: &fence.Lock{Operation: "fence-Y", Kind: "fence", Owner: "db1"}}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"fence-Y", "fence-Z"} {
		if _, err := o.abort(t.Context(), id, runbooks.Request{By: "ada"}); refusalOf(err).Exit != runbooks.ExitUsage {
			t.Errorf("abort %s: %v", id, err)
		}
	}
	if d, _ := store.Read(); d.Lock == nil {
		t.Error("the lock of another node's operation was dropped")
	}
}

// A kill between the beginning of an operation and its first step must reach it.
func TestKill_BeforeTheFirstStep_IsNotLost(t *testing.T) {
	o, _ := hosted(t, t.TempDir())
	op := runbooks.NewOperation("fence-K", nothingToDo("K"), runbooks.Request{By: "ada"}, nil)
	f, err := o.begin(op)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		if err := o.kill(t.Context(), "fence-K", errors.New("fenced")); err != nil {
			t.Error(err)
		}
	})
	testenv.Wait(t, 10*time.Second, "the kill has arrived", func() (bool, string) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return f.killed != nil, "not yet"
	})
	saw := make(chan error, 1)
	o.fly(f, func(ctx context.Context) error { saw <- context.Cause(ctx); return nil })
	all.Wait()
	if err := <-saw; err == nil || err.Error() != "fenced" {
		t.Errorf("it flew on: %v", err)
	}
}

// A crash between the end of a promotion and the end of its bookkeeping.
func TestForgetFormerUpstream_OnlyOnAPrimaryWithNothingOpen(t *testing.T) {
	epoch := fence.Epoch{Number: 1, ID: "one", Primary: "db1"}
	intent := fence.Intent{Operation: "promote-X", Kind: "promote", Owner: "db2", Target: "db2", Epoch: fence.Epoch{Number: 2, ID: "two", Primary: "db2"}}
	for name, c := range map[string]struct {
		node string
		open bool
		kept bool
	}{
		"a standby":                     {"db2", false, true},
		"a standby on its way":          {"db2", true, true},
		"a primary":                     {"db1", false, false},
		"a primary with an open intent": {"db1", true, true},
	} {
		s := &Service{store: state.Open(t.TempDir(), c.node), log: zaptest.NewLogger(t)}
		notices := []fence.Notice{{Epoch: &fence.EpochNotice{SystemID: 7, Epoch: epoch, Adopt: true}}}
		if c.open {
			notices = append(notices, fence.Notice{Intent: &intent})
		}
		for _, n := range notices {
			if err := s.store.Apply(n); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.store.SaveReceiving(replication.Receiving{ConnInfo: "host=db1"}); err != nil {
			t.Fatal(err)
		}
		s.forgetFormerUpstream()
		if _, kept, err := s.store.Receiving(); err != nil || kept != c.kept {
			t.Errorf("%s: kept %t, %v", name, kept, err)
		}
	}
}
