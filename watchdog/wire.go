package watchdog

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/alerts"
	"github.com/gestionale-fullstack/watchdog/replication"
	"github.com/gestionale-fullstack/watchdog/replication/pgdata"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/gossip"
	"github.com/gestionale-fullstack/watchdog/watchdog/observe"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// makeObserver sets up the probes of this node.
func (s *Service) makeObserver(o Options) error {
	c := s.cfg
	opt := observe.Options{Node: c.Node, Boot: s.boot, Program: s.version, Witness: c.Self().Witness,
		Edges: s.others.Names(), Edge: s.measureEdge, EdgePeriod: c.Probes.Edge, EdgeDeadline: c.Probes.EdgeDeadline,
		AppURL: c.App.HealthURL, AppPeriod: c.App.Period, AppDeadline: c.App.Timeout,
		CommitPeriod: c.Probes.Commit.Period,
		StateDir:     c.StateDir,
		Misses:       c.Probes.Misses, Now: s.now, Log: s.log}
	for _, name := range c.Servers() {
		opt.Servers = append(opt.Servers, observe.Server{Node: name, Watch: observe.PostgreSQL(c.Target(name), replication.WatchOptions{
			Period: c.Probes.Position, Deadline: c.Probes.PositionDeadline, SQLPeriod: c.Probes.SQL, SQLDeadline: c.Probes.SQLDeadline,
			Log: s.log.With(zap.String("node", name))})})
	}
	if c.App.HealthURL != "" {
		app, err := s.appProbe()
		if err != nil {
			return err
		}
		opt.App = app.Ask
	}
	if !opt.Witness {
		opt.DataDir, opt.ArchiveDir = c.Postgres.DataDir, c.Postgres.ArchiveDir
		opt.Processes = s.processes
		if c.Probes.Commit.Enabled {
			probe, err := replication.NewCommitProbe(c.ActTarget(), c.Probes.Commit.Deadline)
			if err != nil {
				return err
			}
			probe.Heartbeat(c.Node)
			opt.Commit, opt.MayCommit = probe, s.mayCommit
		}
	}
	var err error
	s.observer, err = observe.New(opt)
	return err
}

func (s *Service) measureEdge(ctx context.Context, node string) (observe.Edge, error) {
	c, err := s.others.client(node)
	if err != nil {
		return observe.Edge{}, err
	}
	pong, round, err := control.Ping(ctx, c)
	if err != nil {
		return observe.Edge{}, err
	}
	if pong.Node != node {
		return observe.Edge{}, fmt.Errorf("%s says that it is %q", node, pong.Node)
	}
	return observe.Edge{RTT: round.RTT, Skew: round.Skew}, nil
}

func (s *Service) processes() (int, error) {
	held, err := pgdata.Holders(s.cfg.Postgres.DataDir)
	return len(pgdata.Servers(held)), err
}

// mayCommit holds the conditions of the commit probe: this node holds the
// current epoch, with no marker, intent or contradiction.
func (s *Service) mayCommit() bool {
	d, err := s.store.Read()
	if err != nil || d.Marker != nil || len(d.Intents) > 0 || d.Epoch.Zero() || d.Role != replication.RolePrimary {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.board.View(s.now()).Epoch().Same(d.Epoch)
}

// makeGossip prepares gossip; host names are resolved once, here.
func (s *Service) makeGossip(Options) error {
	keys, err := control.LoadGossipKeys(s.cfg.Keys.GossipKeyFile.Path)
	if err != nil {
		return err
	}
	peers := map[string]string{}
	for _, p := range s.cfg.Peers() {
		addr, err := resolve(p.Gossip)
		if err != nil {
			return fmt.Errorf("find address of node %s: %w", p.Name, err)
		}
		peers[p.Name] = addr
	}
	self, err := resolve(net.JoinHostPort(s.cfg.Self().Address, strconv.Itoa(s.cfg.Self().GossipPort)))
	if err != nil {
		return fmt.Errorf("find own address: %w", err)
	}
	s.gossip, err = gossip.New(gossip.Options{Node: s.cfg.Node, Label: s.cfg.Cluster, Key: keys[0], OlderKeys: keys[1:],
		Bind: s.cfg.Listen.Gossip, Advertise: self, Peers: peers, OnReport: s.onReport, OnMember: s.onMember,
		ProbeInterval: s.cfg.Gossip.Probe, ProbeTimeout: s.cfg.Gossip.ProbeTimeout, SuspicionMult: s.cfg.Gossip.Suspicion,
		RejoinEvery: s.cfg.Gossip.Rejoin, Log: s.log})
	return err
}

// resolve turns HOST:PORT into IP:PORT.
func resolve(hostPort string) (string, error) {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return "", err
	}
	if net.ParseIP(host) != nil {
		return hostPort, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(ips[0], port), nil
}

// standInDB is used while the database is damaged.
const standInDB = "watchdog-standin.db"

// makeAlerts opens the database and builds the alert engine with its channels. A
// damaged one is left as it is, for somebody to look at; incidents and messages
// then go into a stand-in, because a service that does not start tells nobody.
func (s *Service) makeAlerts(Options) error {
	var routes []alerts.Route
	if s.cfg.Alerts.Log {
		routes = append(routes, alerts.Route{Sink: alerts.NewLogSink(s.log), To: []alerts.Recipient{{Address: "log"}}, Local: true})
	}
	if mail, err := s.mailRoute(); err != nil {
		return err
	} else if mail != nil {
		routes = append(routes, *mail)
	}
	standIn := filepath.Join(s.cfg.StateDir, standInDB)
	err := s.makeEngine(filepath.Join(s.cfg.StateDir, state.DBFile), routes)
	switch {
	case err == nil:
		if err := os.Remove(standIn); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("remove stand-in of an earlier run", zap.Error(err))
		}
	case errors.Is(err, state.ErrDamaged), errors.Is(err, alerts.ErrStoreCorrupt):
		s.log.Error("incidents and messages go into a stand-in", zap.String("path", standIn), zap.Error(err))
		s.dbFault = err
		err = s.makeEngine(standIn, routes)
	}
	return err
}

func (s *Service) makeEngine(path string, routes []alerts.Route) error {
	db, err := state.OpenDB(path)
	if err != nil {
		return err
	}
	engine, err := alerts.NewEngine(alerts.Options{Node: s.cfg.Node, Cluster: s.cfg.Cluster, Identity: s.cfg.Cluster, DB: db, Log: s.log,
		Routes: routes, Catalogue: alerts.English(), Now: s.now, Details: s.details, HoldDownMin: s.cfg.HoldDown,
		InhibitLinger: inhibitLinger(s.cfg), TakeOver: s.cfg.Alerts.TakeOver})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	s.later(func() { _ = db.Close() })
	s.engine = engine
	s.lag = &lagKeeper{history: state.NewLagHistory(db), status: s.Status, now: s.now, log: s.log}
	return nil
}

// receiverRetry is how long a standby waits before it connects again
// (wal_retrieve_retry_interval, PostgreSQL's default).
const receiverRetry = 5 * time.Second

// maxLinger keeps an application that is asked rarely from holding up the rest.
const maxLinger = time.Minute

// inhibitLinger is how long it takes after the primary is back until it shows in
// everything else: the standby connects again, then the slowest probe looks.
func inhibitLinger(c *config.Config) time.Duration {
	return min(receiverRetry+max(c.Probes.SQL+c.Probes.SQLDeadline, c.App.Period+c.App.Timeout), maxLinger)
}

// mailRoute builds the mail channel; nil when no recipient is configured.
func (s *Service) mailRoute() (*alerts.Route, error) {
	m := s.cfg.Alerts.Email
	if len(m.To) == 0 {
		return nil, nil //nolint:nilnil // no channel is no error
	}
	host, portText, err := net.SplitHostPort(m.SMTP)
	if err != nil {
		return nil, fmt.Errorf("read alerts.email.smtp: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("read port of alerts.email.smtp: %w", err)
	}
	opt := alerts.MailOptions{Host: host, Port: port, Username: m.Username, PasswordFile: m.PasswordFile.Path, From: m.From, Timeout: m.Timeout}
	if m.TLS == config.TLSNone {
		opt.TLS = alerts.MailLoopbackPlain
	}
	if m.CAFile != "" {
		pem, err := os.ReadFile(m.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read alerts.email.ca_file: %w", err)
		}
		opt.RootCAs = x509.NewCertPool()
		if !opt.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read alerts.email.ca_file %s: it holds no certificate", m.CAFile)
		}
	}
	sink, err := alerts.NewMailSink(opt)
	if err != nil {
		return nil, err
	}
	route := alerts.Route{Sink: sink}
	for _, to := range m.To {
		r, err := alerts.ParseRecipients(to)
		if err != nil {
			return nil, err
		}
		route.To = append(route.To, r...)
	}
	return &route, nil
}
