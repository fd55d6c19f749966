package observe_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
)

// session plays the own server's commits.
type session struct {
	opened, open  box[int]
	local, normal box[error] // nil: at once; ErrStalled: at the deadline
	dial          error
}

func commits(local, normal, dial error) *session {
	s := &session{dial: dial}
	s.local.set(local)
	s.normal.set(normal)
	return s
}

func (s *session) dialled(context.Context) (observe.Committer, error) {
	if s.dial != nil {
		return nil, s.dial
	}
	s.opened.set(s.opened.get() + 1)
	s.open.set(s.open.get() + 1)
	return s, nil
}

func (s *session) do(ctx context.Context, err error) error {
	if errors.Is(err, replication.ErrStalled) {
		<-ctx.Done()
	}
	return err
}

func (s *session) CommitLocal(ctx context.Context) error  { return s.do(ctx, s.local.get()) }
func (s *session) CommitNormal(ctx context.Context) error { return s.do(ctx, s.normal.get()) }
func (s *session) Close()                                 { s.open.set(s.open.get() - 1) }

func refusal(v replication.Verdict, cause string) error {
	return &replication.StateError{Act: "commit locally", Verdict: v, Cause: cause, Err: errors.New("refused")}
}

func TestCommit_ThePairTellsWhatStalls(t *testing.T) {
	for name, c := range map[string]struct {
		s    *session
		want replication.Verdict
	}{
		"both end":          {commits(nil, nil, nil), replication.VerdictHealthy},
		"local stalls":      {commits(replication.ErrStalled, nil, nil), replication.VerdictStorageStalled},
		"normal stalls":     {commits(nil, replication.ErrStalled, nil), replication.VerdictSyncStalled},
		"read only":         {commits(refusal(replication.VerdictReadOnly, "25006"), nil, nil), replication.VerdictReadOnly},
		"disk full":         {commits(refusal(replication.VerdictUnknown, "53100"), nil, nil), replication.VerdictStorageStalled},
		"I/O error":         {commits(refusal(replication.VerdictUnknown, "58030"), nil, nil), replication.VerdictStorageStalled},
		"no slot":           {commits(nil, nil, refusal(replication.VerdictSaturated, "53300")), replication.VerdictSaturated},
		"login refused":     {commits(nil, nil, refusal(replication.VerdictAuthRefused, "28P01")), replication.VerdictHealthy},
		"connection broken": {commits(refusal(replication.VerdictDown, "closed"), nil, nil), replication.VerdictHealthy},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{}
				ob, stop := run(t, observe.Options{Servers: []observe.Server{f.server("db1")}, Commit: c.s.dialled, MayCommit: func() bool { return true }})
				defer stop()
				f.healthy(replication.RolePrimary, 1)
				signalled(ob)
				pass(30 * time.Second)
				f.healthy(replication.RolePrimary, 1)
				if s := ob.Report().Servers[0]; s.Verdict != c.want || s.Role != replication.RolePrimary || s.Answered != 0 {
					t.Errorf("%+v, want %s", s, c.want)
				}
				if (c.want != replication.VerdictHealthy) != signalled(ob) {
					t.Error("signal does not fit the verdict")
				}
			})
		})
	}
}

func TestCommit_CountsAfterThreeMissesAndRecoversAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := commits(nil, replication.ErrStalled, nil)
		f := &fake{}
		ob, stop := run(t, observe.Options{Servers: []observe.Server{f.server("db1")}, Commit: s.dialled, MayCommit: func() bool { return true }})
		defer stop()
		f.healthy(replication.RolePrimary, 1)
		pass(7900 * ms) // probes begin at 2, 4 and 6 s and each stalls for 2 s
		if got := ob.Report().Servers[0].Verdict; got != replication.VerdictHealthy {
			t.Errorf("%s after two misses", got)
		}
		pass(200 * ms)
		if got := ob.Report().Servers[0]; got.Verdict != replication.VerdictSyncStalled || got.Since > 200*ms {
			t.Errorf("%+v after three misses", got)
		}
		f.miss(replication.VerdictDown)
		if got := ob.Report().Servers[0].Verdict; got != replication.VerdictDown {
			t.Errorf("%s: what the position probe sees comes first", got)
		}
		s.normal.set(nil)
		f.healthy(replication.RolePrimary, 2)
		pass(4 * time.Second)
		if got := ob.Report().Servers[0].Verdict; got != replication.VerdictHealthy {
			t.Errorf("%s after a commit", got)
		}
	})
}

func TestCommit_IsTriedOnlyByAPrimaryThatMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var may box[bool]
		s := commits(replication.ErrStalled, nil, nil)
		f := &fake{}
		ob, stop := run(t, observe.Options{Servers: []observe.Server{f.server("db1")}, Commit: s.dialled, MayCommit: may.get})
		defer stop()
		f.healthy(replication.RolePrimary, 1)
		pass(10 * time.Second)
		if s.opened.get() != 0 {
			t.Errorf("%d sessions without leave", s.opened.get())
		}
		may.set(true)
		pass(20 * time.Second)
		if got := ob.Report().Servers[0].Verdict; got != replication.VerdictStorageStalled {
			t.Errorf("verdict %s", got)
		}
		f.healthy(replication.RoleStandby, 1)
		pass(4 * time.Second)
		before := s.opened.get()
		pass(10 * time.Second)
		if got := ob.Report().Servers[0].Verdict; s.opened.get() != before || got != replication.VerdictHealthy || s.open.get() != 0 {
			t.Errorf("standby: %d new sessions, %d left open, verdict %s", s.opened.get()-before, s.open.get(), got)
		}
	})
}
