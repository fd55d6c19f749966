package alerts

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

// fakeSink stands on the engine's own interface: what it is given, it keeps.
type fakeSink struct {
	name string
	send func(context.Context, Message, Recipient) Delivery // nil: delivered

	mu    sync.Mutex
	calls int
	got   []received
}

type received struct {
	Message Message
	To      string
	At      time.Time
}

var _ Sink = (*fakeSink)(nil)

func (s *fakeSink) Name() string { return s.name }

func (s *fakeSink) Send(ctx context.Context, m Message, to Recipient) Delivery {
	s.mu.Lock()
	send := s.send
	s.calls++
	s.mu.Unlock()
	d := Delivery{Outcome: OutcomeDelivered}
	if send != nil {
		d = send(ctx, m, to)
	}
	if d.Outcome == OutcomeDelivered {
		s.mu.Lock()
		s.got = append(s.got, received{m, to.Address, time.Now()})
		s.mu.Unlock()
	}
	return d
}

func (s *fakeSink) answer(send func(context.Context, Message, Recipient) Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send = send
}

func (s *fakeSink) all() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *fakeSink) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// told lists what arrived as "event code recipient".
func (s *fakeSink) told() []string {
	var out []string
	for _, r := range s.all() {
		out = append(out, r.Message.Event.String()+" "+r.Message.Code+" "+r.To)
	}
	return out
}

func fails(d Delivery) func(context.Context, Message, Recipient) Delivery {
	if d.Err == nil {
		d.Err = errors.New("server says no")
	}
	return func(context.Context, Message, Recipient) Delivery { return d }
}

// node is one service's engine with the means to run, stop and restart it.
type node struct {
	t      *testing.T
	name   string
	path   string
	db     *bbolt.DB
	engine *Engine
	sink   *fakeSink
	edit   func(*Options)
	stop   func()
}

func openStore(t *testing.T, path string) *bbolt.DB {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func newNode(t *testing.T, name string, sink *fakeSink, edit func(*Options)) *node {
	n := &node{t: t, name: name, path: filepath.Join(t.TempDir(), "watchdog.db"), sink: sink, edit: edit}
	n.begin()
	t.Cleanup(func() { n.halt() })
	return n
}

func (n *node) options() Options {
	o := Options{
		Node: n.name, Cluster: "prod", Identity: "7300000000000000001", Log: zap.NewNop(),
		DB: n.db, Catalogue: English(), Location: time.UTC,
		Routes: []Route{{Sink: n.sink, To: []Recipient{{Address: "ann@example.org"}}}},
	}
	if n.edit != nil {
		n.edit(&o)
	}
	return o
}

// begin opens the store and starts delivery, as after a start of the service.
func (n *node) begin() {
	n.t.Helper()
	n.db = openStore(n.t, n.path)
	var err error
	if n.engine, err = NewEngine(n.options()); err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.engine.Run(ctx) })
	n.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		_ = n.db.Close()
	})
}

func (n *node) halt() { n.stop() }

func (n *node) restart() {
	n.halt()
	n.begin()
}

func (n *node) observe(p PeerView, conditions ...Condition) []Transition {
	n.t.Helper()
	if p.Self == "" {
		p.Self = n.name
	}
	if p.Alive == nil {
		p.Alive = []string{n.name}
	}
	ts, err := n.engine.Observe(time.Now(), conditions, p)
	if err != nil {
		n.t.Fatal(err)
	}
	synctest.Wait()
	return ts
}

// watch observes every half second for the given time, alone.
func (n *node) watch(d time.Duration, conditions ...Condition) {
	n.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		n.observe(PeerView{}, conditions...)
		time.Sleep(500 * time.Millisecond)
	}
}

// pair is two services that gossip their marks.
type pair struct{ a, b *node }

func (p pair) round(onA, onB []Condition) {
	p.a.t.Helper()
	alive := []string{"node-a", "node-b"}
	p.a.observe(PeerView{Alive: alive, Configured: alive, Notified: p.b.engine.Notified()}, onA...)
	p.b.observe(PeerView{Alive: alive, Configured: alive, Notified: p.a.engine.Notified()}, onB...)
}

func (p pair) watch(d time.Duration, onA, onB []Condition) {
	p.a.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		p.round(onA, onB)
		time.Sleep(500 * time.Millisecond)
	}
}

func newPair(t *testing.T, sink *fakeSink, edit func(*Options)) pair {
	return pair{newNode(t, "node-a", sink, edit), newNode(t, "node-b", sink, edit)}
}

func noPrimary() Condition {
	return Condition{
		Code: CodeNoPrimary, Subject: "pair", Severity: SeverityPage, Hold: 15 * time.Second,
		Text: "node-a is down, node-b is a standby", Evidence: []string{"node-b sees node-a: refused, 0.2s ago"},
		Hint: "watchdog promote node-b", Runbook: "no-primary",
	}
}

func postgresDown() Condition {
	return Condition{
		Code: CodePostgresDown, Subject: "node-a", Severity: SeverityPage, Hold: 15 * time.Second,
		Text: "connection refused", InhibitedBy: []string{CodeNoPrimary},
	}
}

// appFailing has no hold: its probe has missed three times already.
func appFailing() Condition {
	return Condition{
		Code: CodeAppHealthFailing, Subject: "app", Severity: SeverityPage,
		Text: "status 503", InhibitedBy: []string{CodeNoPrimary},
	}
}

func wantTold(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("told:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func states(ts []Transition) []string {
	var out []string
	for _, t := range ts {
		out = append(out, t.Incident.Condition.Code+" "+t.From.String()+">"+t.To.String())
	}
	return out
}
