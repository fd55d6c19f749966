package observe_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// duo is a primary and its standby as one observer sees them.
type duo struct {
	*observe.Observer
	db1, db2 fake
}

func watched(t *testing.T) (*duo, func()) {
	t.Helper()
	d := &duo{}
	var stop func()
	d.Observer, stop = run(t, observe.Options{Servers: []observe.Server{d.db1.server("db1"), d.db2.server("db2")}})
	return d, stop
}

// applied is the standby's answer.
func (d *duo) applied(received, replayed replication.LSN) {
	d.db2.hooks.OnSample(replication.Sample{At: time.Now(), Verdict: replication.VerdictHealthy, SystemID: 7,
		Role: replication.RoleStandby, Timeline: 2, Position: received, Replay: replayed})
}

func (d *duo) standby() view.ServerReport { return d.Report().Servers[1] }

func (d *duo) want(t *testing.T, want *view.Behind) {
	t.Helper()
	got := d.standby().Behind
	if (got == nil) != (want == nil) || got != nil && *got != *want {
		t.Errorf("behind %+v, want %+v", got, want)
	}
}

func TestBehind_IdlePrimary_IsZeroForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, stop := watched(t)
		defer stop()
		for range 100 {
			d.db1.healthy(replication.RolePrimary, 500)
			d.applied(500, 500)
			d.want(t, &view.Behind{Primary: "db1"})
			pass(10 * time.Second)
		}
		if s := d.standby(); s.Stuck != 0 || s.Replay != 500 || s.Reached != 500 {
			t.Errorf("%+v", s)
		}
	})
}

func TestBehind_ReplayPausedWithWALPending_GrowsAlthoughThePrimaryIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, stop := watched(t)
		defer stop()
		d.db1.healthy(replication.RolePrimary, 500)
		d.applied(500, 500)
		pass(500 * ms)
		d.db1.healthy(replication.RolePrimary, 600)
		d.applied(600, 500)
		for i := range 20 {
			pass(500 * ms)
			d.db1.healthy(replication.RolePrimary, 600)
			d.applied(600, 500)
			d.want(t, &view.Behind{Primary: "db1", Time: time.Duration(i+2) * 500 * ms})
		}
		if got := d.standby().Stuck; got != 10*time.Second {
			t.Errorf("stuck for %s", got)
		}
		d.applied(600, 550)
		if got := d.standby().Stuck; got != 0 {
			t.Errorf("stuck for %s although it moved", got)
		}
		d.applied(600, 600)
		pass(time.Minute)
		d.want(t, &view.Behind{Primary: "db1"})
		if got := d.standby().Stuck; got != 0 {
			t.Errorf("stuck for %s with nothing waiting", got)
		}
	})
}

func TestBehind_PrimaryMissed_IsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, stop := watched(t)
		defer stop()
		d.applied(500, 500)
		d.want(t, nil) // nobody is primary yet
		d.db1.healthy(replication.RolePrimary, 500)
		d.want(t, &view.Behind{Primary: "db1"})
		d.db1.miss(replication.VerdictUnreachable)
		d.want(t, nil)
		pass(time.Minute)
		d.db1.healthy(replication.RolePrimary, 900)
		d.applied(600, 600)
		d.want(t, &view.Behind{Primary: "db1", AtLeast: true}) // it passed 600 at some time of that minute
		pass(3 * time.Second)
		d.applied(600, 600)
		d.want(t, &view.Behind{Primary: "db1", Time: 3 * time.Second, AtLeast: true})
		d.applied(900, 900)
		d.want(t, &view.Behind{Primary: "db1"})
	})
}

func TestBehind_ReplayNotToldOrOtherData_IsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, stop := watched(t)
		defer stop()
		d.db1.healthy(replication.RolePrimary, 500)
		d.applied(500, 0)
		d.want(t, nil)
		d.db2.hooks.OnSample(replication.Sample{At: time.Now(), Verdict: replication.VerdictHealthy, SystemID: 8,
			Role: replication.RoleStandby, Timeline: 2, Position: 500, Replay: 500})
		d.want(t, nil)
	})
}

func TestBehind_Promotion_NewRingIsOnlyALowerBoundForWhatWasBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, stop := watched(t)
		defer stop()
		d.db1.healthy(replication.RolePrimary, 500)
		d.db1.miss(replication.VerdictDown)
		d.applied(500, 500)
		pass(time.Second)
		d.db2.hooks.OnSample(replication.Sample{At: time.Now(), Verdict: replication.VerdictHealthy, SystemID: 7,
			Role: replication.RolePrimary, Timeline: 3, Position: 600})
		pass(2 * time.Second)
		d.db1.hooks.OnSample(replication.Sample{At: time.Now(), Verdict: replication.VerdictHealthy, SystemID: 7,
			Role: replication.RoleStandby, Timeline: 3, Position: 550, Replay: 550})
		if got := d.Report().Servers[0].Behind; got == nil || *got != (view.Behind{Primary: "db2", Time: 2 * time.Second, AtLeast: true}) {
			t.Errorf("behind %+v", got)
		}
		if got := d.standby(); got.Behind != nil || got.Reached != 0 || got.Stuck != 0 {
			t.Errorf("the new primary: %+v", got)
		}
	})
}

func TestReached_RestartedStandby_SaysLessUntilItStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, stop := watched(t)
		defer stop()
		d.applied(900, 900)
		d.db2.miss(replication.VerdictStarting)
		d.applied(512, 512) // the receiver begins at the start of a segment
		if s := d.standby(); s.Position != 512 || s.Reached != 900 {
			t.Errorf("position %s, reached %s", s.Position, s.Reached)
		}
		d.db2.hooks.OnStatus(replication.Status{At: time.Now(), InRecovery: true})
		if s := d.standby(); s.Reached != 900 {
			t.Errorf("reached %s without a receiver", s.Reached)
		}
		d.db2.hooks.OnStatus(replication.Status{At: time.Now(), InRecovery: true, Receiver: &replication.ReceiverRow{Status: "streaming"}})
		if s := d.standby(); s.Reached != 512 {
			t.Errorf("reached %s after it streamed", s.Reached)
		}
	})
}
