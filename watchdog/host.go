package watchdog

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/fence/device"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
)

// sealer builds the local seal anew each time: the system identifier that it
// insists on is what the state knows at that moment.
type sealer struct{ s *Service }

// Seal seals this node under the order.
func (x *sealer) Seal(ctx context.Context, o fence.Order) fence.Outcome {
	d, err := x.s.store.Read()
	if err != nil {
		return fence.Outcome{Node: x.s.cfg.Node, Device: "local", Result: fence.ResultNotDone, Problem: err.Error()}
	}
	seal := &device.Sealer{Node: x.s.cfg.Node, DataDir: x.s.cfg.Postgres.DataDir, SystemID: d.SystemID, Driver: x.s.driver,
		Markers: x.s.store, Limits: pgctl.DefaultLimits(), Now: x.s.now, Log: x.s.log}
	return seal.Seal(ctx, o)
}

// host lets an operation start the own PostgreSQL and bind its state.
type host Service

// Start implements runbooks.Host: through the driver, whose command is the gate.
func (h *host) Start(ctx context.Context) error {
	s := (*Service)(h)
	if err := s.driver.Start(ctx); err != nil {
		return err
	}
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		if _, err := s.server.InRecovery(ctx); err == nil {
			return nil
		} else if ctx.Err() != nil {
			return fmt.Errorf("wait until PostgreSQL answers: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}

// Bind implements runbooks.Host.
func (h *host) Bind(context.Context) error { return (*Service)(h).bind() }

// systemID reads the identifier of the own data directory.
func (s *Service) systemID() (replication.SystemID, bool) {
	if s.cfg.Self().Witness {
		return 0, false
	}
	c, err := pgdata.ReadControl(s.cfg.Postgres.DataDir)
	return c.SystemID, err == nil
}

func (s *Service) bootRecord() fence.BootRecord {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fence.BootRecord{At: time.Now()}
	}
	return fence.BootRecord{KernelBootID: strings.TrimSpace(string(b)), At: time.Now()}
}
