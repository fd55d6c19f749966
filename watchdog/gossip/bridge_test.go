package gossip_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gestionale-fullstack/watchdog/watchdog/gossip"
)

// bridged runs f beside a running bridge, in a bubble.
func bridged(t *testing.T, f func(b gossip.Bridge, logs *observer.ObservedLogs)) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zapcore.DebugLevel)
		b := gossip.NewBridge()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { b.Run(ctx, zap.New(core)); close(done) }()
		f(b, logs)
		cancel()
		<-done
	})
}

func TestBridge_LevelsComeFromThePrefix_DebugIsHidden(t *testing.T) {
	bridged(t, func(b gossip.Bridge, logs *observer.ObservedLogs) {
		l := b.Logger()
		l.Print("[DEBUG] memberlist: Stream connection from=127.0.0.1:1")
		l.Print("[INFO] memberlist: Suspect b has failed, no acks received")
		l.Print("[WARN] memberlist: handler queue full, dropping message (3)")
		l.Print("[ERR] memberlist: Failed to send ack: x from=127.0.0.1:1")
		l.Print("Err: Could not set the deadline: x")
		l.Print("something without a prefix")
		synctest.Wait()
		var got []string
		for _, e := range logs.All() {
			got = append(got, e.Level.String()+" "+e.Message)
		}
		want := []string{
			"info Suspect b has failed, no acks received",
			"warn handler queue full, dropping message (3)",
			"warn Failed to send ack: x from=127.0.0.1:1",
			"warn Could not set the deadline: x",
			"warn something without a prefix",
		}
		if len(got) != len(want) {
			t.Fatalf("logged %q", got)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("line %d is %q, want %q", i, got[i], want[i])
			}
		}
	})
}

func TestBridge_OneLinePerShapeAndMinute_WithTheCount(t *testing.T) {
	bridged(t, func(b gossip.Bridge, logs *observer.ObservedLogs) {
		l := b.Logger()
		for i := range 100 {
			l.Printf("[ERR] memberlist: Failed to send gossip to 127.0.0.1:%d: timeout", i)
		}
		synctest.Wait()
		if logs.Len() != 1 {
			t.Fatalf("logged %d lines at once", logs.Len())
		}
		time.Sleep(time.Minute - time.Nanosecond)
		synctest.Wait()
		if logs.Len() != 1 {
			t.Fatalf("logged %d lines before the minute was over", logs.Len())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		all := logs.TakeAll()
		if len(all) != 2 || all[1].ContextMap()["repeated"] != int64(99) {
			t.Fatalf("after a minute: %+v", all)
		}
		time.Sleep(2 * time.Minute) // quiet: the shape is forgotten
		l.Print("[ERR] memberlist: Failed to send gossip to 127.0.0.1:1: timeout")
		synctest.Wait()
		if logs.Len() != 1 {
			t.Errorf("a new occurrence was not logged at once: %+v", logs.All())
		}
	})
}

func TestBridge_WrongKeyIsSaidOncePerHost_UntilForgotten(t *testing.T) {
	bridged(t, func(b gossip.Bridge, logs *observer.ObservedLogs) {
		l := b.Logger()
		flood := func() {
			for i := range 50 {
				l.Printf("[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.1:%d", i)
				l.Printf("[ERR] memberlist: failed to receive: no installed keys could decrypt the message from=10.0.0.2:%d", i)
				// A probe of ours names nobody: it is no third one to tell of.
				l.Print("[ERR] memberlist: Failed fallback TCP ping: no installed keys could decrypt the message")
			}
			synctest.Wait()
		}
		flood()
		if n := logs.FilterMessage(wrongKeyLine).Len(); n != 2 || logs.Len() != 2 {
			t.Errorf("said %d times: %+v", n, logs.All())
		}
		if n := b.Stats().WrongKey; n != 150 {
			t.Errorf("counted %d", n)
		}
		b.Forget()
		flood()
		if n := logs.FilterMessage(wrongKeyLine).Len(); n != 4 {
			t.Errorf("after a peer was in again: said %d times", n)
		}
	})
}

// Lines come under memberlist's locks: a log that hangs must not hold those.
func TestBridge_NobodyReads_WritesDoNotBlock(t *testing.T) {
	b := gossip.NewBridge()
	l := b.Logger()
	for range 1000 {
		l.Print("[WARN] memberlist: x")
	}
	if n := b.Stats().LogDropped; n == 0 {
		t.Error("a full queue dropped nothing")
	}
}

// What a member remembers of our former run comes under our own name, and is
// nobody's business; that one takes us for gone now is.
func TestBridge_Refutations_CountedAndToldInOurWords(t *testing.T) {
	bridged(t, func(b gossip.Bridge, logs *observer.ObservedLogs) {
		l := b.Logger()
		l.Print("[WARN] memberlist: Refuting a suspect message (from: a)") // our own, at the start
		if n := b.Stats().Refuted; n != 0 {
			t.Errorf("counted our own accusation %d times", n)
		}
		l.Print("[WARN] memberlist: Refuting a dead message (from: a)")
		l.Print("[WARN] memberlist: Refuting an alive message for 'a' (127.0.0.1:1) meta:([] VS []), vsn:([] VS [])")
		synctest.Wait()
		if n := b.Stats().Refuted; n != 2 || logs.Len() != 0 {
			t.Errorf("counted %d, said %+v", n, logs.All())
		}
		for range 3 {
			l.Print("[WARN] memberlist: Refuting a suspect message (from: b)")
		}
		synctest.Wait()
		all := logs.TakeAll()
		if len(all) != 1 || all[0].Level != zapcore.InfoLevel || all[0].Message != "gossip member b took this node for gone and was told otherwise" {
			t.Errorf("said %+v", all)
		}
	})
}
