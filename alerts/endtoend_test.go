package alerts

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"go.etcd.io/bbolt"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// quick is a retry policy that a test with a real clock can wait for.
func quick() RetryPolicy {
	return RetryPolicy{Initial: 5 * time.Millisecond, MaxPage: 20 * time.Millisecond, Max: 20 * time.Millisecond, GiveUp: time.Hour}
}

// live runs an engine with real sockets and a real clock until the test ends.
func live(t *testing.T, edit func(*Options)) (*Engine, *bbolt.DB) {
	t.Helper()
	db := openStore(t, filepath.Join(t.TempDir(), "watchdog.db"))
	o := Options{Node: "node-a", Cluster: "prod", Identity: "7300", DB: db, Log: zap.NewNop(), Catalogue: English(), Retry: quick()}
	edit(&o)
	e, err := NewEngine(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		_ = db.Close()
	})
	return e, db
}

func fire(t *testing.T, e *Engine, c Condition) {
	t.Helper()
	c.Hold = 0
	if _, err := e.Observe(time.Now(), []Condition{c}, PeerView{Self: "node-a", Alive: []string{"node-a"}}); err != nil {
		t.Fatal(err)
	}
}

// next waits for a mail; the limit is for a test that would hang, not a measure.
func (s *mailServer) next(t *testing.T) caught {
	t.Helper()
	select {
	case m := <-s.arrived:
		return m
	case <-time.After(30 * time.Second):
		t.Fatalf("no mail in 30 s; %d came before", len(s.caught()))
		return caught{}
	}
}

func mailRoute(t *testing.T, sink Sink, list string) Route {
	t.Helper()
	to, err := ParseRecipients(list)
	if err != nil {
		t.Fatal(err)
	}
	return Route{Sink: sink, To: to}
}

func TestEndToEnd_OneOfThreeRefused_OneGreylisted_OthersArrive(t *testing.T) {
	server := startMailServer(t, serverStyle{})
	var mu sync.Mutex
	tries := map[string]int{}
	server.set(func(s *mailServer) {
		s.rcpt = func(to string) error {
			mu.Lock()
			defer mu.Unlock()
			tries[to]++
			switch {
			case to == "bob@example.org":
				return reply(550, smtp.EnhancedCode{5, 1, 1}, "no such user")
			case to == "eve@example.org" && tries[to] < 4:
				return reply(451, smtp.EnhancedCode{4, 7, 1}, "greylisted, come back")
			}
			return nil
		}
	})
	e, _ := live(t, func(o *Options) {
		o.Routes = []Route{mailRoute(t, server.sink(t, nil), "Ann <ann@example.org>, bob@example.org, ,eve@example.org")}
	})
	fire(t, e, noPrimary())
	got := []string{server.next(t).To[0], server.next(t).To[0]}
	slices.Sort(got)
	if want := []string{"ann@example.org", "eve@example.org"}; !slices.Equal(got, want) {
		t.Errorf("mails for %v, want %v", got, want)
	}
	mu.Lock()
	defer mu.Unlock()
	if tries["ann@example.org"] != 1 || tries["bob@example.org"] != 1 || tries["eve@example.org"] != 4 {
		t.Errorf("attempts %v, want 1, 1 and 4", tries)
	}
}

func TestEndToEnd_CutAfterFinalDot_ComesAgainUnderTheSameMessageID(t *testing.T) {
	server := startMailServer(t, serverStyle{})
	var mu sync.Mutex
	var first string
	server.set(func(s *mailServer) {
		s.data = func(c *smtp.Conn, raw string) error {
			mu.Lock()
			defer mu.Unlock()
			if first == "" {
				first = raw
				_ = c.Close()
				return errClosed
			}
			return nil
		}
	})
	e, _ := live(t, func(o *Options) { o.Routes = []Route{mailRoute(t, server.sink(t, nil), "ann@example.org")} })
	fire(t, e, noPrimary())
	second := server.next(t)
	mu.Lock()
	defer mu.Unlock()
	a, _ := parseMail(t, first)
	b, _ := parseMail(t, second.Raw)
	if a.Header.Get("Message-Id") == "" || a.Header.Get("Message-Id") != b.Header.Get("Message-Id") {
		t.Errorf("message ids %q and %q", a.Header.Get("Message-Id"), b.Header.Get("Message-Id"))
	}
}

func TestEndToEnd_PasswordCanary_IsInNoLogNoErrorNoStore(t *testing.T) {
	server := startMailServer(t, serverStyle{})
	server.set(func(s *mailServer) {
		s.auth = func(user, password string) error {
			return reply(535, smtp.EnhancedCode{5, 7, 8}, fmt.Sprintf("no: %s %s", user, password))
		}
	})
	log, logged := observedLog()
	faults := make(chan error, 10)
	e, db := live(t, func(o *Options) {
		o.Log = log
		o.Routes = []Route{mailRoute(t, server.sink(t, nil), "ann@example.org")}
		o.OnChannelFault = func(_ string, err error) { faults <- err }
	})
	fire(t, e, noPrimary())
	var all strings.Builder
	select {
	case err := <-faults:
		fmt.Fprintf(&all, "%v %+v %#v\n", err, err, err)
	case <-time.After(30 * time.Second):
		t.Fatal("the refused login was not told")
	}
	for _, line := range logged.All() {
		encoder := zapcore.NewMapObjectEncoder()
		for _, f := range line.Context {
			f.AddTo(encoder)
		}
		fmt.Fprintf(&all, "%s %v\n", line.Message, encoder.Fields)
	}
	fmt.Fprintf(&all, "%v %v\n", e.ChannelFaults(), e.Metrics())
	_ = db.View(func(tx *bbolt.Tx) error { _, err := tx.WriteTo(&all); return err })
	for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte("\x00watchdog@example.org\x00" + canary))} {
		if strings.Contains(all.String(), form) {
			t.Errorf("%q is in the logs, errors or the store", form)
		}
	}
	if !strings.Contains(all.String(), "(hidden)") {
		t.Error("the server's words did not get so far, so nothing was proven")
	}
}
