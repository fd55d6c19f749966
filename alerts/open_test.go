package alerts

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// openAtB is a pair whose node-b was alone when the primary failed, and has told
// it: then the service of node-a starts, and sees the primary come back at once.
func openAtB(t *testing.T, sink *fakeSink) pair {
	t.Helper()
	p := newPair(t, sink, nil)
	for range 40 {
		p.b.observe(PeerView{Alive: []string{"node-b"}}, noPrimary(), postgresDown(), appFailing())
		time.Sleep(500 * time.Millisecond)
	}
	wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
	both := []Condition{noPrimary(), postgresDown(), appFailing()}
	p.watch(1500*time.Millisecond, both, both)
	return p
}

func TestOpenAtPeer_ServiceStartsWhileTheCauseGoes_NothingElseIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := openAtB(t, sink)
		rest := []Condition{appFailing()}
		p.watch(20*time.Second, rest, rest) // longer than the linger, within the hold-down of 30 s
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org")
		in, err := p.a.engine.Find(CodeAppHealthFailing, "app")
		if err != nil || in.State != StateInhibited || in.Root != CodeNoPrimary {
			t.Errorf("the effect is %s under %q (%v), want inhibited under NoPrimary", in.State, in.Root, err)
		}
		p.watch(time.Minute, nil, nil)
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org", "resolved NoPrimary ann@example.org")
		p.a.halt()
		p.b.halt()
	})
}

func TestOpenAtPeer_EffectOutlastsIt_ToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := openAtB(t, sink)
		rest := []Condition{appFailing()}
		p.watch(time.Minute, rest, rest)
		told := sink.told()
		slices.Sort(told)
		wantTold(t, told, "firing AppHealthFailing ann@example.org",
			"firing NoPrimary ann@example.org", "resolved NoPrimary ann@example.org")
		p.a.halt()
		p.b.halt()
	})
}

// What a dead service had open explains nothing: it can tell nobody any more.
func TestOpenAtPeer_PeerDies_EffectIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{name: "mail"}
		p := openAtB(t, sink)
		rest := []Condition{appFailing()}
		p.watch(5*time.Second, rest, rest)
		p.b.halt()
		for range 30 {
			p.a.observe(PeerView{Alive: []string{"node-a"}, Configured: []string{"node-a", "node-b"}}, rest...)
			time.Sleep(500 * time.Millisecond)
		}
		wantTold(t, sink.told(), "firing NoPrimary ann@example.org", "firing AppHealthFailing ann@example.org")
		p.a.halt()
	})
}

func TestOpenAtPeers_OnlyWhatWeWrite_IsRead(t *testing.T) {
	got := openAtPeers([]string{
		"open.page:NoPrimary", "open.warning:NoPrimary", "open.warning:PostgresDown",
		"open.info:AppHealthFailing", "open.loud:AppHealthFailing", "open.page:", "open.page", "open:NoPrimary",
		"open.page:" + strings.Repeat("x", maxCode+1), "0123456789abcdef:firing.1", "",
	})
	if want := (openCodes{CodeNoPrimary: SeverityPage, CodePostgresDown: SeverityWarning}); !maps.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
	if got.explain(CodePostgresDown, Condition{Severity: SeverityPage, InhibitedBy: []string{CodePostgresDown}}) {
		t.Error("a mail at the peer swallows a page here")
	}
	if got.explain(CodeNoPrimary, Condition{Severity: SeverityPage}) {
		t.Error("an incident at the peer swallows what it does not explain")
	}
}
