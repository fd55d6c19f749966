package alerts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/zap"
)

// childDir names the variable that makes the test binary a service that queues
// messages until it is killed.
const childDir = "WATCHDOG_ALERTS_TEST_CHILD"

func childOptions(db *bbolt.DB, sink Sink) Options {
	to := []Recipient{{Address: "ann@example.org"}, {Address: "bob@example.org"}, {Address: "eve@example.org"}}
	return Options{
		Node: "node-a", Cluster: "prod", Identity: "7300", DB: db, Log: zap.NewNop(),
		Catalogue: English(), Retry: quick(), Routes: []Route{{Sink: sink, To: to}},
	}
}

// runChild opens one incident after the other and prints each once Observe has
// returned, while its channel refuses everything.
func runChild(dir string) int {
	db, err := bbolt.Open(filepath.Join(dir, "watchdog.db"), 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	sink := &fakeSink{name: "mail", send: fails(Delivery{Outcome: OutcomeTemporary, Err: errors.New("down")})}
	e, err := NewEngine(childOptions(db, sink))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() { _ = e.Run(context.Background()) }() //nolint:gosec // ends with the process, which is killed
	var open []Condition
	for i := range 500 {
		open = append(open, Condition{Code: CodePostgresDown, Subject: fmt.Sprintf("node-%d", i), Severity: SeverityPage})
		if _, err := e.Observe(time.Now(), open, PeerView{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("queued", open[i].Subject)
	}
	select {}
}

func TestKill9_QueuedMessages_NoneIsLost(t *testing.T) {
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir, "LC_ALL=C")
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	queued := map[string]bool{}
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		queued[strings.TrimPrefix(scanner.Text(), "queued ")] = true
		if len(queued) == 20 {
			if err := child.Process.Kill(); err != nil { // kill -9, in the middle of its work
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait()
	if len(queued) < 20 {
		t.Fatalf("the child queued %d incidents before it ended", len(queued))
	}

	db := openStore(t, filepath.Join(dir, "watchdog.db"))
	defer func() { _ = db.Close() }()
	arrived := make(chan string, 10000)
	sink := &fakeSink{name: "mail", send: func(_ context.Context, m Message, to Recipient) Delivery {
		arrived <- m.Subject + " " + to.Address
		return Delivery{Outcome: OutcomeDelivered}
	}}
	e, err := NewEngine(childOptions(db, sink))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Observe(time.Now(), nil, PeerView{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = e.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	got := map[string]int{}
	for missing := 3 * len(queued); missing > 0; {
		select {
		case m := <-arrived:
			got[m]++
			if subject, _, _ := strings.Cut(m, " "); queued[subject] {
				missing--
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%d messages of %d incidents are lost", missing, len(queued))
		}
	}
	for m, n := range got {
		if n != 1 {
			t.Errorf("%s was sent %d times", m, n)
		}
	}
	t.Logf("%d incidents queued when the child was killed, %d messages delivered after it", len(queued), len(got))
}
