package watchdog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/audit"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Limits of an audit, which runs on demand alone: of asking one server, the fence
// devices, and one node for all that it finds. An agent that hangs gets its time
// to wind up before its node counts as silent, and all of it fits into the
// timeout of the command (15 s).
const (
	auditServerLimit = 5 * time.Second
	auditDeviceLimit = 8 * time.Second
	auditNodeLimit   = 12 * time.Second
)

// doctor audits the whole cluster: every service is asked for what it finds on
// its own machine, and all of it is judged here.
func (s *Service) doctor(ctx context.Context) audit.Document {
	f := audit.Facts{Asked: s.cfg.Node, SkewLimit: s.live.Load().Probes.ClockSkew, Nodes: make([]audit.Node, len(s.cfg.NodeNames()))}
	report := s.observer.Report()
	var wg sync.WaitGroup
	for i, name := range s.cfg.NodeNames() {
		f.Nodes[i] = audit.Node{Name: name, Witness: s.cfg.Nodes[name].Witness, Slot: s.cfg.SlotFor(name),
			Keyed: name == s.cfg.Node || s.others.clients[name] != nil, Skew: skewOf(report, name)}
		wg.Go(func() { s.auditNode(ctx, &f.Nodes[i]) })
	}
	wg.Wait()
	return audit.Document{V: 1, Cluster: s.cfg.Cluster, AskedOn: s.cfg.Node, At: s.now(), Checks: audit.Judge(f)}
}

// auditNode fills in what one node says of itself.
func (s *Service) auditNode(ctx context.Context, n *audit.Node) {
	if n.Name == s.cfg.Node {
		l := s.auditLocal(ctx)
		n.Local = &l
		return
	}
	ctx, cancel := context.WithTimeout(ctx, auditNodeLimit)
	defer cancel()
	l, err := call(ctx, s.others, n.Name, control.NodeAudit, "", control.None{})
	switch {
	case errors.Is(err, runbooks.ErrNotReached):
		n.Silence = err.Error()
	case err != nil:
		n.Refused = err.Error()
	case l.Node != n.Name:
		n.Silence = "it says that it is " + l.Node
	default:
		n.Local = &l
	}
}

// skewOf gives how far a node's clock is from ours, as the edge probe measured.
func skewOf(r view.Report, node string) *time.Duration {
	for _, e := range r.Edges {
		if e.Node == node && e.OK && e.Answered >= 0 {
			return &e.Skew
		}
	}
	return nil
}

// auditLocal gathers what only this node can see of itself.
func (s *Service) auditLocal(ctx context.Context) audit.Local {
	c := s.live.Load()
	l := audit.Local{Node: s.cfg.Node, Program: s.version, Warnings: c.Warnings, Alerts: audit.Alerts{Recipients: len(c.Alerts.Email.To)}}
	l.Secrets, l.SecretFaults = c.SecretFaults()
	for _, f := range s.engine.ChannelFaults() {
		l.Alerts.Faults = append(l.Alerts.Faults, f.Subject()+": "+f.Err.Error())
	}
	own, err := s.store.Read()
	if err != nil && !errors.Is(err, state.ErrAbsent) {
		l.StateFault = err.Error()
	}
	if s.cfg.Self().Witness {
		l.Host = observe.Machine(c.StateDir, "")
		return l
	}
	l.Host = observe.Machine(c.StateDir, c.Postgres.DataDir)
	var wg sync.WaitGroup
	wg.Go(func() { l.Boot = s.auditBoot(ctx, c); l.Boot.Adopted = err == nil && !own.Epoch.Zero() })
	wg.Go(func() { l.Server, l.ServerProblem = s.auditServer(ctx) })
	wg.Go(func() { l.Streams = s.tryStreams(ctx) })
	wg.Go(func() { l.Devices = s.auditDevices(ctx) })
	for _, d := range c.Self().Fence {
		if d.Type != audit.PeerDevice {
			l.DevicesSet++
		}
	}
	wg.Wait()
	return l
}

// auditServer reads the own server; why not, when it cannot.
func (s *Service) auditServer(ctx context.Context) (*replication.Audit, string) {
	ctx, cancel := context.WithTimeout(ctx, auditServerLimit)
	defer cancel()
	a, err := replication.ReadAudit(ctx, s.cfg.Target(s.cfg.Node))
	var refused *replication.StateError
	switch {
	case err == nil:
		return &a, ""
	case errors.As(err, &refused) && refused.Verdict == replication.VerdictAuthRefused:
		return nil, said(refused) // only the server's words say what it wants
	case errors.As(err, &refused):
		return nil, fmt.Sprintf("it is %s (%s)", refused.Verdict, refused.Cause)
	}
	return nil, err.Error()
}

// said gives the server's or the kernel's own words, without what was tried.
func said(e *replication.StateError) string { return strings.TrimPrefix(e.Error(), e.Act+": ") }

// tryStreams opens a replication session on every other server, as this node's
// PostgreSQL would as its standby.
func (s *Service) tryStreams(ctx context.Context) []audit.Stream {
	ctx, cancel := context.WithTimeout(ctx, auditServerLimit)
	defer cancel()
	login := s.cfg.Postgres.Replication
	var out []audit.Stream
	for _, name := range s.cfg.Servers() {
		if name == s.cfg.Node {
			continue
		}
		t := audit.Stream{To: name, Role: login.User, Secret: login.PassFile.Set()}
		err := replication.TryReplication(ctx, s.cfg.ReplicationTarget(name))
		var refused *replication.StateError
		switch {
		case err == nil:
			t.OK, t.Verdict = true, replication.VerdictHealthy
		case errors.As(err, &refused):
			t.Verdict, t.Cause, t.Detail = refused.Verdict, refused.Cause, said(refused)
		default:
			t.Detail = err.Error()
		}
		out = append(out, t)
	}
	return out
}

// auditBoot says how the own PostgreSQL starts.
func (s *Service) auditBoot(ctx context.Context, c *config.Config) audit.Boot {
	b := audit.Boot{Driver: s.driver.Name(), Unit: c.Postgres.Unit}
	ctx, cancel := context.WithTimeout(ctx, auditServerLimit)
	defer cancel()
	st, err := s.driver.Status(ctx)
	if err != nil {
		b.Problem = err.Error()
	} else {
		b.Known, b.StartsAtBoot, b.RestartsByItself, b.Restart = true, st.StartsAtBoot, st.RestartsByItself, st.Restart
	}
	if c.Postgres.Driver != config.DriverSystemd {
		return b
	}
	if b.Hook, err = pgctl.GateHook("/", c.Postgres.Unit); err != nil {
		b.Problem = err.Error()
	}
	return b
}

// auditDevices asks the fence devices of the other servers for their status.
func (s *Service) auditDevices(ctx context.Context) []audit.Device {
	ctx, cancel := context.WithTimeout(ctx, auditDeviceLimit)
	defer cancel()
	var out []audit.Device
	for _, name := range s.cfg.Servers() {
		if name == s.cfg.Node {
			continue
		}
		for _, d := range s.fencer.ready(ctx, name) {
			out = append(out, audit.Device{Node: name, Name: d.Name, Ready: d.Ready, Grade: d.Grade.String(), Text: d.Text})
		}
	}
	return out
}

// ClockSynced asks the kernel of this machine whether its clock is synchronised;
// known is false where it may not be asked. The command asks it too, because the
// service's unit may not.
func ClockSynced() (synced, known bool) { return observe.ClockSynced() }
