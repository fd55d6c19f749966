package pgctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// Systemd runs the server as a systemd unit. It never calls pg_ctl: a server
// started by it would land in our own unit's control group and die with it.
type Systemd struct {
	Unit       string // "postgresql@15-main.service"
	Privileged Privileged
}

var _ Driver = Systemd{}

// Name implements Driver.
func (Systemd) Name() string { return "systemd" }

// Start implements Driver. Debian's unit ignores a failed start, so success says
// little: read the status.
func (d Systemd) Start(ctx context.Context) error {
	if _, err := d.Privileged.Do(ctx, UnitStart, d.Unit); err != nil {
		return fmt.Errorf("start unit %s: %w", d.Unit, err)
	}
	return nil
}

// Stop implements Driver. A manager knows only one way to stop a unit, the one
// that its file names (fast, as Debian has it). For an immediate stop the unit's
// stop is asked for first, so that the manager does not take the end for a crash
// and restart the server, and then the main process gets SIGQUIT from us: it is
// of our own user.
func (d Systemd) Stop(ctx context.Context, m Mode) error {
	sig, err := m.signal()
	if err != nil {
		return err
	}
	if _, err = d.Privileged.Do(ctx, UnitStop, d.Unit); err != nil {
		err = fmt.Errorf("stop unit %s: %w", d.Unit, err)
	}
	if m == ModeFast {
		return err
	}
	return errors.Join(err, d.signalMain(ctx, sig))
}

// signalMain signals the unit's main process, if it has one and that is a
// PostgreSQL server.
func (d Systemd) signalMain(ctx context.Context, sig syscall.Signal) error {
	u, err := d.show(ctx)
	if err != nil || u.mainPID == 0 {
		return err
	}
	p, err := pgdata.ReadProcess(u.mainPID)
	if err == nil && !p.Server {
		return fmt.Errorf("stop unit %s: its main process %s is no PostgreSQL server", d.Unit, p)
	}
	var h *handle
	if err == nil {
		h, err = hold(p)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop unit %s: %w", d.Unit, err)
	}
	defer h.close()
	return h.signal(sig)
}

// Status implements Driver. Error: ErrNoUnit when the manager does not know it.
func (d Systemd) Status(ctx context.Context) (Status, error) {
	u, err := d.show(ctx)
	if err != nil {
		return Status{}, err
	}
	return u.status(d.Unit)
}

func (d Systemd) show(ctx context.Context) (unit, error) {
	out, err := d.Privileged.Do(ctx, UnitShow, d.Unit)
	if err != nil {
		return unit{}, fmt.Errorf("read status of unit %s: %w", d.Unit, err)
	}
	return parseUnit(out)
}

// unit is what `systemctl show` says of one.
type unit struct {
	load, active, sub, restart, file, result string
	mainPID                                  int
}

func parseUnit(text string) (unit, error) {
	var u unit
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "LoadState":
			u.load = value
		case "ActiveState":
			u.active = value
		case "SubState":
			u.sub = value
		case "Restart":
			u.restart = value
		case "UnitFileState":
			u.file = value
		case "Result":
			u.result = value
		case "MainPID":
			pid, err := strconv.Atoi(value)
			if err != nil {
				return unit{}, fmt.Errorf("read status of unit: main process %q", value)
			}
			u.mainPID = pid
		}
	}
	return u, nil
}

// status judges by properties. What is not said is unknown, and an error.
func (u unit) status(name string) (Status, error) {
	switch {
	case u.load == "not-found":
		return Status{}, fmt.Errorf("read status of unit %s: %w: compare with systemctl list-units 'postgresql*'", name, ErrNoUnit)
	case u.active == "" || u.restart == "":
		return Status{}, fmt.Errorf("read status of unit %s: the manager does not say whether it is active and restarts", name)
	}
	s := Status{
		// Only "inactive" and "failed" say that nothing of it runs.
		Running:          u.active != "inactive" && u.active != "failed",
		Restart:          fmt.Sprintf("Restart=%s, %s", u.restart, valueOr(u.file, "no unit file")),
		RestartsByItself: u.restart != "no",
		StartsAtBoot:     strings.HasPrefix(u.file, "enabled"),
		Detail:           fmt.Sprintf("%s is %s (%s), result %s", name, u.active, u.sub, u.result),
	}
	if u.mainPID != 0 {
		s.Pids = []int{u.mainPID}
	}
	return s, nil
}

func valueOr(s, none string) string {
	if s == "" {
		return none
	}
	return s
}
