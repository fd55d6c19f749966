package watchdog

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// TestRule2_RefusalByAnotherMachine_IsSignOfLife attacks "unreachable is not
// fenced" from the other side: what was stated or read as off must not answer
// with a refusal either.
func TestRule2_RefusalByAnotherMachine_IsSignOfLife(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	another := func(net.IP) bool { return false }
	if alive, how := kernelLives(t.Context(), addr, another); !alive {
		t.Errorf("a port that takes connections shows no life (%q)", how)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if alive, _ := kernelLives(t.Context(), addr, another); !alive {
		t.Error("a refusal by another machine shows no life")
	}
	if alive, how := kernelLives(t.Context(), addr, ownAddress); alive {
		t.Errorf("a refusal by this very machine counts as life of another one: %s", how)
	}
}

// Only this node is cut off: what the witness sees at this moment contradicts a
// device, or an operator, that says off. What it saw earlier, or last, does not.
func TestRule2_LifeThatAnotherNodeSees_OnlyOfThisMoment(t *testing.T) {
	server := func(v replication.Verdict, age time.Duration) view.Report {
		return view.Report{Servers: []view.ServerReport{{Node: "db2", Verdict: replication.VerdictHealthy}, {Node: "db1", Verdict: v, Age: age}}}
	}
	edge := func(ok bool, answered time.Duration) view.Report {
		return view.Report{Edges: []view.EdgeReport{{Node: "db1", OK: ok, Answered: answered}}}
	}
	for name, c := range map[string]struct {
		sees  view.Report
		lives bool
	}{
		"its server is healthy":          {server(replication.VerdictHealthy, 300*time.Millisecond), true},
		"its server refuses to log in":   {server(replication.VerdictAuthRefused, 0), true},
		"its server was healthy":         {server(replication.VerdictHealthy, 3*time.Second), false},
		"never probed":                   {server(replication.VerdictUnknown, -1), false},
		"its server cannot be reached":   {server(replication.VerdictUnreachable, 0), false},
		"its service answers":            {edge(true, 300*time.Millisecond), true},
		"its service answered":           {edge(false, 5*time.Second), false},
		"its service is long not asked":  {edge(true, 5*time.Second), false},
		"its service has never answered": {edge(false, -1), false},
		"it says nothing of it":          {view.Report{}, false},
	} {
		s := witnessed(t, c.sees)
		alive, ev := s.stillAnswers(t.Context(), "db1")
		if alive != c.lives || (alive && ev.Observer != "wit") {
			t.Errorf("%s: alive %t, %+v", name, alive, ev)
		}
	}
}

// witnessed is db2, which sees nothing of db1; the witness answers with a report.
func witnessed(t *testing.T, sees view.Report) *Service {
	t.Helper()
	ob, err := observe.New(observe.Options{Node: "db2", Boot: "b"})
	if err != nil {
		t.Fatal(err)
	}
	r := control.NewRouter(zap.NewNop())
	control.Handle(r, control.NodeFacts, func(context.Context, control.Caller, string, control.None) (control.Facts, error) {
		return control.Facts{Node: "wit", Witness: true, Report: &sees}, nil
	})
	here := config.Node{Address: "127.0.0.1", ControlPort: 1} // a refusal by this very machine says nothing
	here.Postgres.Host, here.Postgres.Port = "127.0.0.1", 1
	return &Service{cfg: &config.Config{Node: "db2", Nodes: map[string]config.Node{"db1": here}}, now: time.Now, observer: ob, others: answering(t, "wit", r)}
}
