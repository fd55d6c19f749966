package gossip_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/gestionale-fullstack/watchdog/watchdog/gossip"
)

func TestInbox_NewestOfEachSender(t *testing.T) {
	const addr = "127.0.0.1:2"
	in := gossip.NewInbox(map[string]string{"b": addr})
	put := func(boot, seq uint64, body string) { in.Put(gossip.Envelope("b", addr, boot, seq, []byte(body))) }
	want := func(what string, bodies ...string) {
		t.Helper()
		if got := in.Take(); fmt.Sprint(got) != fmt.Sprint(bodies) {
			t.Errorf("%s: took %v, want %v", what, got, bodies)
		}
	}
	put(1, 5, "five")
	put(1, 5, "five again")
	put(1, 4, "four")
	want("repeated and older", "b:five")
	put(1, 6, "six")
	put(1, 7, "seven")
	want("overtaken", "b:seven")
	put(2, 1, "restarted")
	want("new boot", "b:restarted")
	put(1, 8, "late, of the former boot")
	want("late report of a former run")
	put(2, 2, "")
	want("empty report", "b:")
	if s := in.Stats(); s.Received != 5 || s.Stale != 3 || s.Overtaken != 1 {
		t.Errorf("stats = %+v", s)
	}
	buf := gossip.Envelope("b", addr, 2, 3, []byte("kept"))
	in.Put(buf)
	clear(buf) // memberlist reuses its buffers
	want("copied", "b:kept")
}

func FuzzEnvelope(f *testing.F) {
	f.Add(gossip.Envelope("a", "127.0.0.1:7946", 1, 2, []byte("{}")))
	f.Add(gossip.Envelope("a", "[fe80::1%eth0]:1", 0, 0, nil))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		from, body, err := gossip.Decode(b)
		if err != nil {
			return
		}
		if len(from) == 0 || len(body) > gossip.MaxReportBytes {
			t.Fatalf("from %q, %d bytes", from, len(body))
		}
		again, err := gossip.Reencode(b)
		if err != nil {
			t.Fatal(err)
		}
		// The address may be written in another way; the rest is the same.
		if f2, b2, err := gossip.Decode(again); err != nil || f2 != from || !bytes.Equal(b2, body) {
			t.Fatalf("round trip: %q %q %v", f2, b2, err)
		}
	})
}
