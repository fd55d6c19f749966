package watchdog

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/gossip"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
	"github.com/gestionale-fullstack/watchdog/watchdog/view"
)

// Options is what a service is made from; all fields are needed save Failpoint.
type Options struct {
	Config   *config.Config
	Log      *zap.Logger
	Registry *prometheus.Registry
	Version  string
	Now      func() time.Time
	// Starter is the command that starts the local PostgreSQL through the boot
	// gate, for the pg_ctl driver.
	Starter []string
	// Failpoint is called at named points of an operation; test builds end the
	// process there.
	Failpoint func(point string)
}

// Service is one running watchdog: one node's.
type Service struct {
	cfg     *config.Config
	log     *zap.Logger
	version string
	boot    string // random id of this run
	now     func() time.Time
	started time.Time

	store     *state.Store
	ops       *ops
	server    *server
	driver    pgctl.Driver
	apps      *apps
	sealer    *sealer
	others    *others
	fencer    *fencer
	observer  *observe.Observer
	gossip    *gossip.Gossip
	engine    *alerts.Engine
	dbFault   error                       // why the engine works on a stand-in; nil when it does not
	limits    atomic.Pointer[view.Limits] // replaced by a reload
	rate      *rate
	lag       *lagKeeper
	partings  *partings
	readiness *readiness

	local *control.LocalServer
	node  *control.NodeServer
	web   *webPart // nil when it is switched off

	rejected  atomic.Uint64                 // reports of peers that made no sense
	unfit     map[string]string             // what was wrong with a peer's last report; gossip's goroutine only
	live      atomic.Pointer[config.Config] // newest configuration, for what a reload may change
	shared    atomic.Pointer[string]        // hash of what it has in common with the other nodes'
	reloadErr error                         // guarded by mu
	// reloadedAt is when the configuration was last read and applied; ready
	// that the first probes are done. Both guarded by mu.
	reloadedAt time.Time
	ready      bool

	actMu sync.Mutex // held while this node promotes or seals itself
	poke  chan struct{}
	undo  []func()

	mu       sync.Mutex
	board    *view.Board
	status   view.Status
	open     []alerts.Condition
	notified map[string][]string // marks of the other services, by node
	late     *lateSeal           // nil: never
	lastLoop time.Time
}

// New wires a service. Nothing is watched yet; Run does that. On an error
// everything that was acquired is given back.
func New(o Options) (*Service, error) {
	if o.Config == nil || o.Log == nil || o.Registry == nil || o.Now == nil {
		return nil, errors.New("make service: config, log, registry and clock are needed")
	}
	s := &Service{cfg: o.Config, log: o.Log, version: o.Version, boot: randomID(8), now: o.Now, started: o.Now(),
		store: state.Open(o.Config.StateDir, o.Config.Node), rate: &rate{}, readiness: newReadiness(),
		poke: make(chan struct{}, 1), notified: map[string][]string{}, unfit: map[string]string{}, lastLoop: o.Now(), reloadedAt: o.Now()}
	s.goLive(o.Config)
	l := o.Config.Limits()
	s.limits.Store(&l)
	if err := s.assemble(o); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Service) assemble(o Options) error {
	if err := os.MkdirAll(s.cfg.StateDir, 0o750); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	s.board = view.NewBoard(s.cfg.Cluster, s.cfg.Node, s.nodeInfos(), o.Now())
	for _, part := range []func(Options) error{s.makeServer, s.makeControl, s.makeApps, s.makeFencer, s.makeObserver, s.makeGossip, s.makeAlerts, s.makeOps, s.makePartings} {
		if err := part(o); err != nil {
			return err
		}
	}
	return s.makeWeb(o)
}

// later registers what undoes an acquisition; close walks it backwards.
func (s *Service) later(undo func()) { s.undo = append(s.undo, undo) }

func (s *Service) close() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
	s.undo = nil
}

func randomID(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// makeServer prepares acting on the own PostgreSQL; a witness has none.
func (s *Service) makeServer(o Options) error {
	if s.cfg.Self().Witness {
		return nil
	}
	s.server = &server{target: s.cfg.ActTarget(), store: s.store}
	switch s.cfg.Postgres.Driver {
	case config.DriverSystemd:
		s.driver = pgctl.Systemd{Unit: s.cfg.Postgres.Unit, Privileged: s.privileged()}
	case config.DriverCompose:
		s.driver = pgctl.Compose{Container: s.cfg.Postgres.Container, DataDir: s.cfg.Postgres.DataDir,
			Restart: s.cfg.Postgres.ContainerRestart, Privileged: s.privileged()}
	default:
		start := s.cfg.Postgres.StartCommand
		if len(start) == 0 {
			start = o.Starter
		}
		s.driver = pgctl.PgCtl{BinDir: s.cfg.Postgres.BinDir, DataDir: s.cfg.Postgres.DataDir, StartCommand: start, LogFile: s.cfg.Postgres.LogFile}
	}
	s.sealer = &sealer{s: s}
	return nil
}

// privileged is the one way to what needs root.
func (s *Service) privileged() pgctl.Privileged {
	if path := s.cfg.Helper.Path(); path != "" {
		return pgctl.HelperClient{Socket: path}
	}
	return pgctl.InProcess{Engine: s.cfg.Helper.Engine}
}

// makeApps prepares stopping and starting the application.
func (s *Service) makeApps(Options) error {
	s.apps = &apps{self: s.cfg.Node, containers: s.cfg.App.Containers, restart: s.cfg.App.ContainerRestart,
		privileged: s.privileged(), others: s.others, log: s.log}
	if s.cfg.App.HealthURL == "" {
		return nil
	}
	probe, err := s.appProbe()
	if err == nil {
		s.apps.healthy = probe.Ask
	}
	return err
}

func (s *Service) appProbe() (*observe.AppProbe, error) {
	a := s.cfg.App
	return observe.NewAppProbe(observe.AppOptions{URL: a.HealthURL, Status: a.Status, BodyContains: a.BodyContains})
}

// makeControl opens both control servers and the clients to the other nodes.
func (s *Service) makeControl(Options) error {
	key, err := control.LoadNodeKey(s.cfg.Keys.NodeKeyFile.Path)
	if err != nil {
		return err
	}
	pins, err := Pins(s.cfg)
	if err != nil {
		return err
	}
	opt := control.NodeOptions{Node: s.cfg.Node, Listen: s.cfg.Listen.Control, Key: key, Pins: pins, Log: s.log}
	s.others = &others{clients: map[string]*control.Client{}}
	for _, p := range s.cfg.Peers() {
		if p.Key == "" {
			continue
		}
		c, err := control.NewNodeClient(opt, p.Name, p.Control)
		if err != nil {
			return err
		}
		s.others.clients[p.Name] = c
	}
	s.later(s.others.close)
	nr, lr := control.NewRouter(s.log), control.NewRouter(s.log)
	s.nodeAPI(nr)
	s.localAPI(lr)
	if s.node, err = control.ListenNode(opt, nr); err != nil {
		return err
	}
	s.later(s.node.Close)
	s.local, err = control.ListenLocal(control.LocalOptions{Path: s.cfg.Listen.Socket, Group: s.cfg.Listen.SocketGroup, Log: s.log}, lr)
	if err != nil {
		return err
	}
	s.later(s.local.Close)
	return nil
}

// Pins gives the public keys of the other nodes. A node may have two during a
// rotation, separated by a comma.
func Pins(cfg *config.Config) (*control.Pins, error) {
	nodes := map[string][]control.PublicKey{}
	for name, n := range cfg.Nodes {
		for _, text := range strings.FieldsFunc(n.Key, func(r rune) bool { return r == ',' || r == ' ' }) {
			k, err := control.ParsePublicKey(text)
			if err != nil {
				return nil, fmt.Errorf("key of node %s: %w", name, err)
			}
			nodes[name] = append(nodes[name], k)
		}
	}
	return control.NewPins(nodes)
}

func (s *Service) makeFencer(Options) error {
	agents, err := newAgents(s.cfg, s.now)
	if err != nil {
		return err
	}
	s.fencer = &fencer{self: s.cfg.Node, others: s.others, agents: agents, every: statusIntervals(s.cfg), now: s.now, local: s.sealSelf, answers: s.stillAnswers}
	return nil
}

// makeOps builds the host of operations and reads the journal.
func (s *Service) makeOps(o Options) error {
	journal := state.OpenJournal(s.cfg.StateDir)
	s.ops = newOps(journal, s.log, s.now)
	s.ops.deps = runbooks.Deps{Self: s.cfg.Node, State: s.store, Others: s.others, Fencer: s.fencer, Server: s.server,
		Promoted: s.server, Host: (*host)(s), Apps: s.apps, Now: s.now, Random: func() string { return randomID(8) },
		Exclusive: s.exclusive, SlotName: s.cfg.SlotFor}
	s.ops.runner = &runbooks.Runner{Journal: journal, Now: s.now, Notify: s.ops.notify, Failpoint: o.Failpoint, Close: s.ops.deps.Closer()}
	s.ops.finished, s.ops.recovering = s.settled, s.recovering
	s.ops.load()
	s.forgetFormerUpstream()
	return nil
}

// settled forgets what only an open operation needs.
func (s *Service) settled(op *runbooks.Operation) {
	if result, closed := op.Closed(); closed && result == fence.ResultDone {
		if err := s.store.ForgetReceiving(); err != nil {
			s.log.Warn("forget upstream", zap.Error(err))
		}
	}
	s.awaitOwnRole(op)
	s.wake()
	s.readiness.again()
}

// roleSeenWithin is how long the end of an operation is held back until this
// node's own probe sees what it did: one probe period is usual.
const roleSeenWithin = 2 * time.Second

// awaitOwnRole lets the probes catch up with an operation that made this node
// primary, so that a status asked right after it does not tell of the minute
// before.
func (s *Service) awaitOwnRole(op *runbooks.Operation) {
	if result, closed := op.Closed(); !closed || result != fence.ResultDone || op.Plan.Target != s.cfg.Node || op.Plan.Kind == runbooks.KindFence {
		return
	}
	deadline := time.NewTimer(roleSeenWithin)
	defer deadline.Stop()
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for !s.seesOwnPrimary() {
		select {
		case <-deadline.C:
			return
		case <-t.C:
		}
	}
	s.wake()
	<-t.C // one more tick: the loop takes the sample into the status
}

func (s *Service) seesOwnPrimary() bool {
	for _, sr := range s.observer.Report().Servers {
		if sr.Node == s.cfg.Node {
			return sr.Role == replication.RolePrimary && sr.Verdict == replication.VerdictHealthy
		}
	}
	return false
}

func (s *Service) exclusive() func() {
	s.actMu.Lock()
	return s.actMu.Unlock
}

// wake makes the loop look at once.
func (s *Service) wake() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// heard says whether a node's service was heard of lately.
func (s *Service) heard(node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, known := s.board.View(s.now()).Reports[node]
	return known && h.Heard <= s.lim().PeerSilence
}

func (s *Service) lim() view.Limits { return *s.limits.Load() }
