package watchdog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// ship is an engine with containers that obey, unless stuck.
type ship struct {
	asked []string
	state map[string]*pgctl.ContainerState
	stuck bool
}

func (s *ship) Do(_ context.Context, verb pgctl.Verb, name string) (string, error) {
	s.asked = append(s.asked, string(verb)+" "+name)
	c := s.state[name]
	if c == nil {
		return "", pgctl.ErrNoContainer
	}
	switch {
	case verb == pgctl.ContainerShow:
		b, err := json.Marshal(c)
		return string(b), err
	case s.stuck:
	case verb == pgctl.ContainerStart:
		c.Status = "running"
	case verb == pgctl.ContainerStop:
		c.Status, c.Restart = "exited", "no"
	default:
		c.Restart = strings.TrimPrefix(string(verb), "container-keep-")
	}
	return "", nil
}

func newShip() *ship {
	return &ship{state: map[string]*pgctl.ContainerState{"shop/web": {Status: "running", Restart: "always"}, "shop/worker": {Status: "running", Restart: "always"}}}
}

func appsOn(s *ship) *apps {
	return &apps{self: "db1", containers: []string{"shop/web", "shop/worker"}, restart: "unless-stopped", privileged: s, log: zap.NewNop()}
}

func TestApps_StopAndStart_InOppositeOrdersAndReadBack(t *testing.T) {
	s := newShip()
	a := appsOn(s)
	if err := a.Stop(t.Context(), "db1", "op"); err != nil {
		t.Fatal(err)
	}
	want := []string{"container-stop shop/worker", "container-show shop/worker", "container-stop shop/web", "container-show shop/web"}
	if !slices.Equal(s.asked, want) {
		t.Errorf("asked %v, want %v", s.asked, want)
	}
	if err := a.Start(t.Context(), "db1", "op"); err != nil {
		t.Fatal(err)
	}
	for name, c := range s.state {
		if c.Status != "running" || c.Restart != "unless-stopped" {
			t.Errorf("%s after the start: %+v", name, c)
		}
	}
	if s.asked[4] != "container-start shop/web" {
		t.Errorf("started first: %s", s.asked[4])
	}
}

func TestApps_EngineSaysDoneAndNothingHappened_IsNotBelieved(t *testing.T) {
	s := newShip()
	s.stuck = true
	if err := appsOn(s).Stop(t.Context(), "db1", "op"); err == nil || !strings.Contains(err.Error(), "is running after it was stopped") {
		t.Errorf("stop: %v", err)
	}
	s.state["shop/web"].Status = "exited"
	if err := appsOn(s).Start(t.Context(), "db1", "op"); err == nil || !strings.Contains(err.Error(), "is exited after it was started") {
		t.Errorf("start: %v", err)
	}
	delete(s.state, "shop/worker")
	if err := appsOn(s).Stop(t.Context(), "db1", "op"); !errors.Is(err, pgctl.ErrNoContainer) {
		t.Errorf("absent: %v", err)
	}
}

func TestApps_SilentHost_IsNotReachedAndNothingElse(t *testing.T) {
	a := appsOn(newShip())
	a.others = &others{clients: map[string]*control.Client{}}
	if err := a.Stop(t.Context(), "db2", "op"); !errors.Is(err, runbooks.ErrNotReached) {
		t.Errorf("%v", err)
	}
}

func TestApps_Healthy_WaitsAndTellsTheLastAnswer(t *testing.T) {
	n := 0
	a := &apps{healthy: func(context.Context) observe.AppAnswer {
		n++
		return observe.AppAnswer{OK: n > 2, Status: 503, Reason: fmt.Sprintf("answer %d", n)}
	}}
	if err := a.Healthy(t.Context()); err != nil || n != 3 {
		t.Errorf("after %d answers: %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n = -10
	if err := a.Healthy(ctx); err == nil || !strings.Contains(err.Error(), "status 503, answer -9") {
		t.Errorf("%v", err)
	}
	if err := (&apps{}).Healthy(ctx); err != nil {
		t.Errorf("without an endpoint: %v", err)
	}
}

// Rule 14: a node may have the application stopped or started elsewhere only for
// an operation of its own that is open there.
func TestAppActRule14_OnlyTheOwnerOfAnOpenOperationIsObeyed(t *testing.T) {
	store := state.Open(t.TempDir(), "db1")
	epoch := fence.Epoch{Number: 2, ID: "two", Primary: "db2"}
	if err := store.Apply(fence.Notice{Intent: &fence.Intent{Operation: "promote-X", Kind: "promote", Owner: "db2", Target: "db2", Epoch: epoch}}); err != nil {
		t.Fatal(err)
	}
	ship := newShip()
	s := &Service{store: store, cfg: &config.Config{App: config.App{Containers: []string{"shop/web"}}}, apps: appsOn(ship)}
	for _, c := range []struct{ by, operation string }{{"witness", "promote-X"}, {"db2", "promote-Y"}, {"db2", ""}} {
		var ref *runbooks.Refusal
		if err := s.appAct(t.Context(), c.by, control.AppAct{Operation: c.operation}); !errors.As(err, &ref) || ref.Rule != "14" || len(ship.asked) > 0 {
			t.Errorf("%s for %q: %v, asked %v", c.by, c.operation, err, ship.asked)
		}
	}
	if err := s.appAct(t.Context(), "db2", control.AppAct{Operation: "promote-X"}); err != nil || ship.state["shop/web"].Status != "exited" {
		t.Errorf("the owner: %v, %+v", err, ship.state["shop/web"])
	}
	closed := fence.Closed{Operation: "promote-X", Result: fence.ResultDone}
	if err := store.Apply(fence.Notice{Closed: &closed}); err != nil {
		t.Fatal(err)
	}
	if err := s.appAct(t.Context(), "db2", control.AppAct{Operation: "promote-X", Start: true}); err == nil {
		t.Error("an operation that has ended still moves the application")
	}
}
