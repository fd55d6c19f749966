package observe_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
)

// commits plays the commit probe of the own server.
type commits struct {
	verdict box[replication.Verdict]
	takes   box[time.Duration]
	tried   box[int]
	closed  box[int]
}

func (c *commits) Probe(ctx context.Context) replication.CommitResult {
	c.tried.set(c.tried.get() + 1)
	t := time.NewTimer(c.takes.get())
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
	return replication.CommitResult{Verdict: c.verdict.get(), Cause: "cause"}
}

func (c *commits) Close() { c.closed.set(c.closed.get() + 1) }

func observing(f *fake, c *commits, may func() bool) observe.Options {
	return observe.Options{Servers: []observe.Server{f.server("db1")}, Commit: c, MayCommit: may}
}

func always() bool { return true }

func TestCommit_OnlyVerdictsOnCommitsCount(t *testing.T) {
	for verdict, want := range map[replication.Verdict]replication.Verdict{
		replication.VerdictHealthy:        replication.VerdictHealthy,
		replication.VerdictStorageStalled: replication.VerdictStorageStalled,
		replication.VerdictSyncStalled:    replication.VerdictSyncStalled,
		replication.VerdictReadOnly:       replication.VerdictReadOnly,
		replication.VerdictSaturated:      replication.VerdictSaturated,
		replication.VerdictAuthRefused:    replication.VerdictHealthy,
		replication.VerdictDown:           replication.VerdictHealthy,
		replication.VerdictUnknown:        replication.VerdictHealthy,
	} {
		t.Run(verdict.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f := &commits{}, &fake{}
				c.verdict.set(verdict)
				ob, stop := run(t, observing(f, c, always))
				defer stop()
				f.healthy(replication.RolePrimary, 1)
				signalled(ob)
				pass(30 * time.Second)
				f.healthy(replication.RolePrimary, 1)
				if s := ob.Report().Servers[0]; s.Verdict != want || s.Role != replication.RolePrimary || s.Answered != 0 {
					t.Errorf("%+v, want %s", s, want)
				}
				if (want != replication.VerdictHealthy) != signalled(ob) {
					t.Error("signal does not fit the verdict")
				}
			})
		})
	}
}

func TestCommit_CountsAfterThreeMissesAndRecoversAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f := &commits{}, &fake{}
		c.verdict.set(replication.VerdictSyncStalled)
		c.takes.set(2 * time.Second)
		ob, stop := run(t, observing(f, c, always))
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
		c.verdict.set(replication.VerdictHealthy)
		c.takes.set(0)
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
		c, f := &commits{}, &fake{}
		c.verdict.set(replication.VerdictStorageStalled)
		ob, stop := run(t, observing(f, c, may.get))
		defer stop()
		f.healthy(replication.RolePrimary, 1)
		pass(10 * time.Second)
		if c.tried.get() != 0 {
			t.Errorf("%d tries without leave", c.tried.get())
		}
		may.set(true)
		pass(20 * time.Second)
		if got := ob.Report().Servers[0].Verdict; got != replication.VerdictStorageStalled {
			t.Errorf("verdict %s", got)
		}
		f.healthy(replication.RoleStandby, 1)
		pass(4 * time.Second)
		before := c.tried.get()
		pass(10 * time.Second)
		if got := ob.Report().Servers[0].Verdict; c.tried.get() != before || got != replication.VerdictHealthy || c.closed.get() == 0 {
			t.Errorf("standby: %d new tries, closed %d times, verdict %s", c.tried.get()-before, c.closed.get(), got)
		}
	})
}
