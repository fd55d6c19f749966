package device

import (
	"context"
	"testing"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/testenv"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

// answers is the second look of the chain: does the node's database answer?
func answers(s *demo.Server) func(context.Context) (bool, fence.Evidence) {
	return func(ctx context.Context) (bool, fence.Evidence) {
		conn, err := s.Connect(ctx, "postgres")
		if err != nil {
			return false, fence.Evidence{Observer: "db2", Text: "no session on " + s.Name, At: time.Now()}
		}
		_ = conn.Close(ctx)
		return true, fence.Evidence{Observer: "db2", Text: "a new session on " + s.Name, At: time.Now()}
	}
}

func powerChain(t *testing.T, power *testenv.ShamPower, plug string, s *demo.Server) fence.Chain {
	return fence.Chain{Node: "db1", Observer: "db2", Now: time.Now, StillAnswers: answers(s),
		Links: []fence.Link{{Device: plugged(t, power, plug), Grade: fence.GradePower, Limit: 8 * time.Second}}}
}

// In this order, since the last one cuts the power for good.
func TestAgent_RealServerBehindTheSwitch(t *testing.T) {
	p := testenv.NewPair(t)
	s := p.Servers[0]
	power := testenv.NewShamPower(t, testenv.ShamLie, p)
	power.Plug("printer", nil)
	c := newCommitter(t, s)

	t.Run("a switch that lies", func(t *testing.T) {
		out := powerChain(t, power, "db1", s).Fence(t.Context(), agentOrder)
		refuted(t, out, []fence.Result{fence.ResultUnknown})
	})
	power.SetMode(testenv.ShamOK)
	t.Run("the wrong plug, honestly off", func(t *testing.T) {
		out := powerChain(t, power, "printer", s).Fence(t.Context(), agentOrder)
		if !power.IsOff("printer") {
			t.Fatal("the plug is on: nothing is tested")
		}
		refuted(t, out, []fence.Result{fence.ResultUnknown})
		if best := fence.Best(powerChain(t, power, "printer", s).Ready(t.Context())); best != fence.GradeNone {
			t.Errorf("readiness promises %s from the wrong plug", best)
		}
	})
	stillWrites(t, s)
	t.Run("the right plug", func(t *testing.T) {
		if best := fence.Best(powerChain(t, power, "db1", s).Ready(t.Context())); best != fence.GradePower {
			t.Errorf("readiness gives %s", best)
		}
		out := powerChain(t, power, "db1", s).Fence(t.Context(), agentOrder)
		if out.Result != fence.ResultDone || out.Grade != fence.GradePower || s.Running() {
			t.Fatalf("got %s/%s, running %t: %s", out.Result, out.Grade, s.Running(), out.Problem)
		}
		c.mustHaveEnded(t)
	})
}
