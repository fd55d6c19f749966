package config

import (
	"net"
	"regexp"
	"strconv"
	"time"
)

// The ports that the services use between nodes.
const (
	DefaultControlPort = 7947
	DefaultGossipPort  = 7946 // memberlist's own
	defaultPgPort      = 5432
)

// DefaultHelperSocket is where the packaged root helper listens.
const DefaultHelperSocket = "/run/pg-watchdog/helper.sock"

// DefaultEngineSocket is where Docker listens.
const DefaultEngineSocket = "/var/run/docker.sock"

// defaultContainerRestart survives a reboot of the host and respects a stop by
// hand.
const defaultContainerRestart = "unless-stopped"

// Off, as listen.web or helper.socket, does without.
const Off = "off"

// positionFloor is the shortest period of the position probe: below it the
// probe costs the server more than it tells.
const positionFloor = 100 * time.Millisecond

// Defaults gives the settings of an empty file (DESIGN section 3). It is not
// valid by itself: cluster, node, nodes and the data directory have no default.
func Defaults() *Config {
	return &Config{
		Version:  1,
		StateDir: "/var/lib/pg-watchdog",
		Listen:   Listen{Web: "127.0.0.1:8432", Socket: DefaultSocket},
		Keys: Keys{
			NodeKeyFile:   Secret{Name: "node.key"},
			GossipKeyFile: Secret{Name: "gossip.key"},
		},
		Postgres: Postgres{
			SocketDir: "/var/run/postgresql", Port: defaultPgPort, Database: "postgres",
			SSLMode: "prefer", Driver: DriverSystemd, SlotPrefix: "watchdog_",
			ContainerRestart: defaultContainerRestart,
			Monitor:          Login{User: "watchdog_mon"},
			Act:              Login{User: "watchdog_act"},
			Replication:      Login{User: "watchdog_repl"},
		},
		Probes: Probes{
			Position: 500 * time.Millisecond, PositionDeadline: 500 * time.Millisecond,
			SQL: 5 * time.Second, SQLDeadline: 2 * time.Second,
			Commit: Commit{Enabled: true, Period: 2 * time.Second, Deadline: 2 * time.Second},
			Misses: 3,
			Edge:   2 * time.Second, EdgeDeadline: time.Second,
			Readiness: time.Minute,
			ClockSkew: 2 * time.Second,
		},
		Gossip: Gossip{
			Probe: 500 * time.Millisecond, ProbeTimeout: 250 * time.Millisecond, Suspicion: 4,
			Report: 500 * time.Millisecond, Rejoin: 2 * time.Second,
		},
		App: App{Period: 5 * time.Second, Timeout: 2 * time.Second, Status: 200,
			ContainerRestart: defaultContainerRestart, HealthyWithin: time.Minute},
		Hold:       map[string]time.Duration{},
		Thresholds: defaultThresholds(),
		HoldDown:   2 * time.Minute,
		Alerts: Alerts{
			Log: true, TakeOver: 10 * time.Second,
			Email: Email{TLS: TLSStartTLS, Timeout: 30 * time.Second},
		},
		Gate:   Gate{PeerWait: time.Minute},
		Plan:   Plan{ValidFor: 5 * time.Minute},
		Helper: Helper{Engine: DefaultEngineSocket},
		Log:    Log{Level: "info", Format: "auto"},
	}
}

// Defaults of one fence device.
const (
	defaultOffLimit       = 60 * time.Second
	defaultStatusInterval = 5 * time.Minute
)

// debianData matches the data directory of Debian's postgresql-common, whose
// unit has a name that follows from it.
var debianData = regexp.MustCompile(`^/var/lib/postgresql/(\d+)/([A-Za-z0-9_.]+)/?$`)

// complete fills in what follows from other settings.
func (c *Config) complete() {
	for name, n := range c.Nodes {
		n.ControlPort = orInt(n.ControlPort, DefaultControlPort)
		n.GossipPort = orInt(n.GossipPort, DefaultGossipPort)
		if !n.Witness {
			n.Postgres.Port = orInt(n.Postgres.Port, c.Postgres.Port)
			if n.Postgres.Host == "" {
				n.Postgres.Host = n.Address
			}
		}
		for i := range n.Fence {
			n.Fence[i].complete()
		}
		c.Nodes[name] = n
	}
	self := c.Nodes[c.Node]
	if c.Listen.Control == "" {
		c.Listen.Control = net.JoinHostPort("0.0.0.0", strconv.Itoa(self.ControlPort))
	}
	if c.Listen.Gossip == "" {
		c.Listen.Gossip = net.JoinHostPort("0.0.0.0", strconv.Itoa(self.GossipPort))
	}
	if c.Helper.Socket == "" {
		c.Helper.Socket = Off
		if c.Postgres.Driver == DriverSystemd || c.Postgres.Driver == DriverCompose || len(c.App.Containers) > 0 {
			c.Helper.Socket = DefaultHelperSocket
		}
	}
	if c.Postgres.Unit == "" && c.Postgres.Driver == DriverSystemd {
		if m := debianData.FindStringSubmatch(c.Postgres.DataDir); m != nil {
			c.Postgres.Unit = "postgresql@" + m[1] + "-" + m[2] + ".service"
		}
	}
}

func (d *Device) complete() {
	if d.Type == "" && d.Agent != "" {
		d.Type = DeviceAgent
	}
	if d.Type == DeviceAgent && d.OffLimit == 0 {
		d.OffLimit = defaultOffLimit
	}
	if d.Type == DeviceAgent && d.StatusInterval == 0 {
		d.StatusInterval = defaultStatusInterval
	}
}

func orInt(v, fallback int) int {
	if v == 0 {
		return fallback
	}
	return v
}
