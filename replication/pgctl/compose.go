package pgctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// Compose runs the server as a service of docker compose, whose container starts
// it through the boot gate. The watchdog must see the host's processes (on the
// host itself, or in a container with `pid: host`): a seal rests on them, and an
// engine that says "exited" is the second witness, not the first.
type Compose struct {
	Container string // PROJECT/SERVICE
	DataDir   string // as this process sees it
	// Restart is the restart policy that a start puts back after a stop switched
	// it off: one of RestartPolicies.
	Restart    string
	Privileged Privileged
}

var _ Driver = Compose{}

// ErrBlind is returned when the engine says that the server's container runs and
// none of its processes can be seen: then no proof can rest on processes.
var ErrBlind = errors.New("the processes of the container cannot be seen from here: run the watchdog on the host, or its container with `pid: host` and PostgreSQL's user id")

// Name implements Driver.
func (Compose) Name() string { return "compose" }

// Start implements Driver. The container's command is the gate, which decides
// how the server starts; so the restart policy may come back with it.
func (d Compose) Start(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("start container %s: %w", d.Container, err)
	}
	if _, err := d.Privileged.Do(ctx, ContainerStart, d.Container); err != nil {
		return fmt.Errorf("start container %s: %w", d.Container, err)
	}
	if _, err := d.Privileged.Do(ctx, KeepVerb(d.Restart), d.Container); err != nil {
		return fmt.Errorf("put back restart policy of container %s: %w", d.Container, err)
	}
	return nil
}

// Stop implements Driver. The restart policy goes first, durably in the engine:
// an engine that is restarted revives a stopped container whose policy is
// "always".
func (d Compose) Stop(ctx context.Context, m Mode) error {
	verb := ContainerFast
	switch m {
	case ModeFast:
	case ModeImmediate:
		verb = ContainerQuit
	default:
		return fmt.Errorf("stop container: unknown %v", m)
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("stop container %s: %w", d.Container, err)
	}
	if _, err := d.Privileged.Do(ctx, verb, d.Container); err != nil {
		return fmt.Errorf("stop container %s: %w", d.Container, err)
	}
	return nil
}

// engineSettles is how long the engine's word may lag behind what it does: for a
// moment after the last process of a container has ended it still runs, says the
// engine. engineLook is how often it is asked again.
const (
	engineSettles = 3 * time.Second
	engineLook    = 100 * time.Millisecond
)

// errUndecided is of an engine that is at something with the container.
var errUndecided = errors.New("wait until the engine has decided")

// Status implements Driver. It joins what the engine says with what /proc shows
// and fails where the two do not fit, after the engine had engineSettles to catch
// up. Errors: ErrBlind, ErrNoContainer, and ErrStillHeld when another container
// runs on the same volume.
func (d Compose) Status(ctx context.Context) (Status, error) {
	late := time.Now().Add(engineSettles)
	for {
		s, err := d.look(ctx)
		if !errors.Is(err, ErrBlind) && !errors.Is(err, errUndecided) {
			return s, err
		}
		rest := time.NewTimer(engineLook)
		select {
		case <-rest.C:
		case <-ctx.Done():
			rest.Stop()
			return s, err
		}
		if time.Now().After(late) {
			return s, err
		}
	}
}

func (d Compose) look(ctx context.Context) (Status, error) {
	if err := context.Cause(ctx); err != nil {
		return Status{}, fmt.Errorf("read status of container %s: %w", d.Container, err)
	}
	out, err := d.Privileged.Do(ctx, ContainerShow, d.Container)
	if err != nil {
		return Status{}, fmt.Errorf("read status of container %s: %w", d.Container, err)
	}
	var c ContainerState
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		return Status{}, fmt.Errorf("read status of container %s: %w", d.Container, err)
	}
	held, err := pgdata.Holders(d.DataDir)
	if err != nil {
		return Status{}, fmt.Errorf("read status of container %s: %w", d.Container, err)
	}
	return d.status(c, pgdata.Servers(held))
}

func (d Compose) status(c ContainerState, servers []pgdata.Process) (Status, error) {
	if !slices.Contains(RestartPolicies, c.Restart) && c.Restart != "" {
		return Status{}, fmt.Errorf("read status of container %s: unknown restart policy %q", d.Container, c.Restart)
	}
	if names := besideData(c.Mounts, d.DataDir); len(names) > 0 {
		return Status{}, fmt.Errorf("read status of container %s: %w by container %s on the same volume; stop it, or label it %s=true when it runs no PostgreSQL",
			d.Container, ErrStillHeld, strings.Join(names, ", "), LabelBeside)
	}
	s := Status{Restart: fmt.Sprintf("container %s, restart policy %s", c.Name, valueOr(c.Restart, "no"))}
	s.RestartsByItself = c.Restart != "" && c.Restart != "no"
	s.StartsAtBoot = s.RestartsByItself
	if p, whole := postmaster(servers); whole {
		s.Pids = append(s.Pids, p.PID)
	}
	for _, p := range servers {
		if !p.IsPostmaster {
			s.Pids = append(s.Pids, p.PID)
		}
	}
	switch c.Status {
	case "running", "paused":
		if len(servers) == 0 {
			// A gate that still asks its peer is no server yet, and does run: its
			// process must be visible all the same.
			if !visible("/proc", c) {
				return Status{}, fmt.Errorf("read status of container %s: %w", d.Container, ErrBlind)
			}
		}
		s.Running = true
	case "created", "exited", "dead":
		s.Running = len(servers) > 0
	default:
		return Status{}, fmt.Errorf("read status of container %s: it is %q; %w", d.Container, c.Status, errUndecided)
	}
	s.Detail = fmt.Sprintf("container %s is %s (exit code %d), %d server processes hold %s", c.Name, c.Status, c.Exit, len(servers), d.DataDir)
	return s, nil
}

// visible says whether the first process of a container can be seen in proc as
// what it is. Its number alone proves nothing: in another PID namespace it is
// somebody else's. A control group carries the container's id, however the engine
// arranges its groups and from whichever group it is read (cgroups(7)).
func visible(proc string, c ContainerState) bool {
	if len(c.ID) < shortID {
		return false
	}
	groups, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(c.PID), "cgroup"))
	return err == nil && strings.Contains(string(groups), c.ID)
}

// shortID is the length of a container's id as people see it.
const shortID = 12

// besideData names the containers that share the mount which holds the data
// directory, whether it is seen from inside a container or from the host. Where
// none can be told to hold it, all of them count.
func besideData(mounts []Mount, dir string) []string {
	holds := func(m Mount) bool { return within(dir, m.Destination) || within(dir, m.Source) }
	known := slices.ContainsFunc(mounts, holds)
	var names []string
	for _, m := range mounts {
		if !known || holds(m) {
			names = append(names, m.Beside...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
