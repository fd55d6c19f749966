package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// recipients of every mail in the demo's configuration: each gets one of its own.
const recipients = 2

// lookEvery is the raster in which the status is asked for conditions; what is
// measured is late by this and the answer's way, never early.
const lookEvery = 5 * time.Millisecond

// BenchmarkDetection kills the primary of one site again and again, and after
// each round starts it through the boot gate, which lets it be primary again.
func BenchmarkDetection(b *testing.B) {
	s := newSite(b)
	defer closeSite(b, s)
	noPrimary := figure{name: "kill -9 -> NoPrimary known to the other node", unit: seconds}.below(0.1)
	down := figure{name: "kill -9 -> PostgresDown known to the other node", unit: seconds}.below(0.1)
	first := figure{name: "kill -9 -> first mail accepted, less the hold", unit: seconds}.below(1)
	last := figure{name: "kill -9 -> mail accepted for every recipient, less the hold", unit: seconds}.below(1)
	b.ResetTimer()
	for range *rounds {
		awaitHealthy(b, s.Nodes[0])
		awaitHealthy(b, s.Nodes[1])
		known, mails := detect(b, s)
		noPrimary.took(known[alerts.CodeNoPrimary])
		down.took(known[alerts.CodePostgresDown])
		first.took(mails[0] - hold)
		last.took(mails[recipients-1] - hold)
		bringBack(b, s)
	}
	write(os.Stdout, fmt.Sprintf("Detection (asynchronous pair, hold %s, status asked every %s)", hold, lookEvery), noPrimary, down, first, last)
}

// detect kills the primary and gives the times from the first signal: until
// each condition stood in the other node's status, and until the sink accepted
// each mail, in order.
func detect(b *testing.B, s *demo.Site) (known map[string]time.Duration, mails []time.Duration) {
	b.Helper()
	c := control.NewLocalClient(s.Nodes[1].Socket)
	defer c.Close()
	if _, err := status(b.Context(), c); err != nil { // the connection is made before the clock runs
		b.Fatal(err)
	}
	server := s.Pair.Servers[0]
	began := kill(b, server)
	known = map[string]time.Duration{}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for known[alerts.CodeNoPrimary] == 0 || known[alerts.CodePostgresDown] == 0 {
		st, err := status(b.Context(), c)
		at := time.Since(began)
		if err != nil || at > 30*time.Second {
			b.Fatalf("conditions after %s: %v, %v, open %+v", at, known, err, st.Open)
		}
		for _, open := range st.Open {
			if known[open.Code] == 0 {
				known[open.Code] = at
			}
		}
		<-look.C
	}
	reap(b, server)
	testenv.Wait(b, 30*time.Second, "mails about NoPrimary", func() (bool, string) {
		mails = mailTimes(b, s, "[PAGE] NoPrimary", began)
		return len(mails) >= recipients, fmt.Sprintf("%d mails", len(mails))
	})
	return known, mails
}

// mailTimes gives when the sink accepted the mails that it got since and whose
// subject begins so. The sink puts the time into the file's name; that of the
// file system is too coarse.
func mailTimes(b *testing.B, s *demo.Site, subject string, since time.Time) []time.Duration {
	b.Helper()
	all, err := demo.ReadMail(s.MailDir)
	if err != nil {
		b.Fatal(err)
	}
	var times []time.Duration
	for _, m := range all {
		text, _, _ := strings.Cut(filepath.Base(m.File), ".")
		nanos, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			b.Fatalf("name of mail %q: %v", m.File, err)
		}
		if at := time.Unix(0, nanos); at.After(since) && strings.HasPrefix(m.Subject, subject) {
			times = append(times, at.Sub(since))
		}
	}
	slices.Sort(times)
	return times
}

// bringBack starts the killed primary through its gate and waits until the end
// of the incident was told too, so that the next round begins with a quiet site.
func bringBack(b *testing.B, s *demo.Site) {
	b.Helper()
	began := time.Now()
	if out, err := s.StartThroughGate(b.Context(), s.Nodes[0]); err != nil {
		b.Fatalf("start of %s: %v: %s", s.Nodes[0].Name, err, out)
	}
	testenv.Wait(b, time.Minute, "mails about the end of NoPrimary", func() (bool, string) {
		n := len(mailTimes(b, s, "", began))
		return n >= recipients, fmt.Sprintf("%d mails", n)
	})
}
