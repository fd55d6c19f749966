package device

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// Status reads the seal back without changing anything: off when this node is
// sealed, on when no marker is set, and an error when it is neither.
func (s *Sealer) Status(ctx context.Context, node string) (fence.PowerState, fence.Evidence, error) {
	r := &sealing{Sealer: s, order: fence.Order{Node: node, Operation: "status"}, out: fence.Outcome{Node: s.Node}}
	if err := r.admit(ctx); err != nil {
		return fence.PowerUnknown, fence.Evidence{}, err
	}
	m, err := s.Markers.Marker()
	if err != nil {
		return fence.PowerUnknown, fence.Evidence{}, fmt.Errorf("read the marker: %w", err)
	}
	if m == nil {
		return fence.PowerOn, fence.Evidence{Observer: s.Node, Text: "no marker is set", At: s.Now()}, nil
	}
	err = r.readBack(ctx)
	var texts []string
	for _, e := range r.out.Evidence {
		texts = append(texts, e.Text)
	}
	ev := fence.Evidence{Observer: s.Node, Text: strings.Join(texts, "; "), At: s.Now()}
	if err != nil {
		return fence.PowerUnknown, ev, err
	}
	return fence.PowerOff, ev, nil
}

// readBack proves the seal from the disk and from /proc, whatever was done
// before: marker, standby.signal, control file, processes, restart policy.
func (r *sealing) readBack(ctx context.Context) error {
	m, err := r.Markers.Marker()
	if err != nil {
		return fmt.Errorf("read the marker back: %w", err)
	}
	if m == nil {
		return errors.New("the marker is gone; next: watchdog status")
	}
	if err := r.bound(*m); err != nil {
		return err
	}
	running, err := r.processes()
	if err != nil {
		return err
	}
	st, err := r.Driver.Status(ctx)
	if err != nil {
		return fmt.Errorf("read the restart policy: %w; next: watchdog status", err)
	}
	if st.RestartsByItself {
		return fmt.Errorf("the server restarts by itself (%s): %s; next: switch automatic restarts off and fence again", r.Driver.Name(), clean(st.Restart))
	}
	r.saw("marker of operation %s (epoch %d) and standby.signal are in place, system identifier %s", m.Operation, m.Epoch.Number, r.id)
	r.saw("%s", running)
	r.saw("restart policy (%s): %s", r.Driver.Name(), clean(st.Restart))
	return nil
}

// processes looks at the holders of the data directory between two looks at the
// files that decide how a server starts.
func (r *sealing) processes() (string, error) {
	if _, err := r.files(); err != nil {
		return "", err
	}
	held, err := pgdata.Holders(r.DataDir)
	if err != nil {
		return "", fmt.Errorf("read the processes that hold %s: %w", r.DataDir, err)
	}
	servers := pgdata.Servers(held)
	c, err := r.files()
	if err != nil {
		return "", err
	}
	if len(servers) == 0 {
		return "no process of a server holds " + r.dir, nil
	}
	if err := inRecovery(servers, c); err != nil {
		return "", fmt.Errorf("%w; next: watchdog fence %s", err, r.Node)
	}
	return fmt.Sprintf("the server (postmaster %d) runs in recovery, all of its %d processes are its own", postmasterOf(servers), len(servers)), nil
}

// files demands standby.signal and a control file of the right system.
func (r *sealing) files() (pgdata.Control, error) {
	s, err := pgdata.ReadSignals(r.DataDir)
	if err != nil && !errors.Is(err, pgdata.ErrBadPIDFile) {
		return pgdata.Control{}, fmt.Errorf("read signal files: %w", err)
	}
	if !s.Standby {
		return pgdata.Control{}, fmt.Errorf("standby.signal is gone from %s; next: watchdog fence %s", r.DataDir, r.Node)
	}
	c, err := pgdata.ReadControl(r.DataDir)
	if err != nil {
		return pgdata.Control{}, err
	}
	if c.SystemID != r.id {
		return pgdata.Control{}, fmt.Errorf("system identifier is now %s, it was %s", c.SystemID, r.id)
	}
	return c, nil
}

// heldInRecovery is true when a marker is set already and the server runs in
// recovery under it: then there is nothing to stop. Anything that cannot be
// told counts as "not held", and the server is stopped; so does a manager that
// would start it by itself, for that is what its stop ends.
func (r *sealing) heldInRecovery(ctx context.Context) (bool, error) {
	m, err := r.Markers.Marker()
	if err != nil {
		return false, fmt.Errorf("read the marker: %w; nothing was changed", err)
	}
	if m == nil || r.bound(*m) != nil {
		return false, nil
	}
	c, err := r.files()
	if err != nil {
		return false, nil
	}
	held, err := pgdata.Holders(r.DataDir)
	servers := pgdata.Servers(held)
	if err != nil || len(servers) == 0 || inRecovery(servers, c) != nil {
		return false, nil
	}
	st, err := r.Driver.Status(ctx)
	return err != nil || !st.RestartsByItself, nil
}

// inRecovery demands that the control file says so and that every server process
// is the one postmaster or its child: the backend of an earlier, killed
// postmaster would still be writing as a primary, and has another parent.
func inRecovery(servers []pgdata.Process, c pgdata.Control) error {
	if c.State != pgdata.StateArchiveRecovery {
		return fmt.Errorf("server processes run and the control file says %q", c.State)
	}
	boss := postmasterOf(servers)
	for _, p := range servers {
		if boss == 0 || (p.PID != boss && p.PPID != boss) {
			return fmt.Errorf("process %s is not of the server that runs in recovery", clean(p.String()))
		}
	}
	return nil
}

func postmasterOf(servers []pgdata.Process) int {
	i := slices.IndexFunc(servers, func(p pgdata.Process) bool { return p.IsPostmaster })
	if i < 0 {
		return 0
	}
	return servers[i].PID
}

// endOfWAL reads where WAL ends, and its tail once more: an end that moves is
// being written, and that is the one thing a sealed node must not do.
func (r *sealing) endOfWAL() error {
	tli, err := r.timeline()
	if err != nil {
		r.saw("the end of WAL cannot be read: %v", err)
		return nil
	}
	first, err := pgdata.EndOfWAL(r.DataDir, tli, 0, 0)
	if err != nil {
		r.saw("the end of WAL cannot be read: %v", err)
		return nil
	}
	from := first.LastRecord
	if from == 0 {
		from = first.From
	}
	again, err := pgdata.EndOfWAL(r.DataDir, tli, from, 0)
	if err != nil {
		return fmt.Errorf("read the end of WAL again: %w", err)
	}
	if again.LSN != first.LSN || again.Timeline != first.Timeline {
		return fmt.Errorf("the end of WAL moves: %s, then %s: something still writes; next: watchdog fence %s", first.LSN, again.LSN, r.Node)
	}
	r.saw("WAL ends at %s on timeline %d, read twice (%s)", first.LSN, first.Timeline, clean(first.Reason))
	r.out.EndOfWAL = &fence.EndOfWAL{Timeline: first.Timeline, LSN: first.LSN, Commits: first.Commits,
		From: first.From, Shutdown: first.ShutdownCheckpoint}
	return nil
}

// timeline is the newest of which this disk knows. The control file's is that
// of the last checkpoint, which after a promotion is still the old one.
func (r *sealing) timeline() (replication.Timeline, error) {
	c, err := pgdata.ReadControl(r.DataDir)
	if err != nil {
		return 0, err
	}
	h, err := pgdata.NewestHistory(r.DataDir)
	if err != nil {
		return 0, err
	}
	return max(c.Timeline, h.Timeline), nil
}

// clean makes text from outside (process titles, a manager's words) fit to be
// shown, logged and mailed.
func clean(s string) string {
	return presentable(&capped{buf: []byte(s), limit: len(s)}, nil, outputBytes)
}

var _ fence.Device = (*Sealer)(nil)
