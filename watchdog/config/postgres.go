package config

import "time"

// Drivers of the local PostgreSQL.
const (
	DriverSystemd = "systemd"
	DriverPgCtl   = "pg_ctl"
	DriverCompose = "compose"
)

// Postgres is the local server and how its roles log in. It is the same on
// both servers, as pg_basebackup and one configuration file want it.
type Postgres struct {
	// DataDir is the data directory.
	DataDir string `yaml:"data_dir"`
	// ArchiveDir is where this node sees the archived segments as plain files,
	// compressed or not: holes in them are looked for. Empty where there is none.
	ArchiveDir string `yaml:"archive_dir"`
	// BinDir holds pg_ctl and friends; empty: PATH, pg_config, then Debian's
	// directories.
	BinDir string `yaml:"bin_dir"`
	// SocketDir is where the local server's unix socket is; used for the
	// local server alone.
	SocketDir string `yaml:"socket_dir"`
	// Host replaces SocketDir for a local server reached over TCP.
	Host string `yaml:"host"`
	Port int    `yaml:"port"`
	// Database is where the watching role runs its SQL; empty limits the
	// position probe to physical mode.
	Database string `yaml:"database"`
	// SSLMode and RootCert are libpq's, for connections to other nodes.
	SSLMode  string `yaml:"sslmode"`
	RootCert string `yaml:"sslrootcert"`

	// Driver is systemd, pg_ctl or compose. The systemd driver never starts PostgreSQL
	// by pg_ctl: it would land in our own unit's group and die with it.
	Driver string `yaml:"driver"`
	// Unit is the systemd unit, for the systemd driver.
	Unit string `yaml:"unit"`
	// Container is the docker compose service that runs PostgreSQL, as
	// PROJECT/SERVICE, for the compose driver. Its command is the boot gate.
	Container string `yaml:"container"`
	// ContainerRestart is the restart policy that a start puts back after a
	// fence switched it off: no, on-failure, unless-stopped or always.
	ContainerRestart string `yaml:"container_restart"`
	// LogFile takes the server's output, for the pg_ctl driver.
	LogFile string `yaml:"log_file"`
	// StartCommand replaces `pg_ctl start` for the pg_ctl driver: an argument
	// vector, never a shell string.
	StartCommand []string `yaml:"start_command"`

	// Monitor watches: pg_monitor and nothing else.
	Monitor Login `yaml:"monitor"`
	// Act promotes, checkpoints and makes slots, on the local server alone.
	Act Login `yaml:"act"`
	// Replication is the role of primary_conninfo; its password stands in a
	// passfile of the postgres user, never in primary_conninfo.
	Replication Login `yaml:"replication"`
	// SlotPrefix and a node's name make the name of the slot that is kept for
	// that node.
	SlotPrefix string `yaml:"slot_prefix"`
}

// Login is a PostgreSQL role and where its password is. A password comes from
// a passfile (libpq's format) or from none, as with peer authentication.
type Login struct {
	User     string `yaml:"user"`
	PassFile Secret `yaml:"passfile"`
}

// Probes are the periods and deadlines of what is observed.
type Probes struct {
	// Position is the period of the position probe. Lower knows a hung server
	// sooner (a killed one is known at once anyway) and costs one statement
	// each; not below 100ms.
	Position time.Duration `yaml:"position"`
	// PositionDeadline bounds one position probe.
	PositionDeadline time.Duration `yaml:"position_deadline"`
	// SQL is the period of the SQL probe.
	SQL time.Duration `yaml:"sql"`
	// SQLDeadline bounds one SQL probe.
	SQLDeadline time.Duration `yaml:"sql_deadline"`
	Commit      Commit        `yaml:"commit"`
	// Misses is how many SQL, commit or application probes in a row must fail
	// before the failure counts.
	Misses int `yaml:"misses"`
	// Edge is the period of the direct measurement of every other node's
	// control API; EdgeDeadline bounds one.
	Edge         time.Duration `yaml:"edge"`
	EdgeDeadline time.Duration `yaml:"edge_deadline"`
	// Readiness is how often it is checked whether a promotion or a switchover
	// would work; sooner, each 15 s at most, while something fails. It asks
	// every service, fence device and server a little more than a probe does.
	Readiness time.Duration `yaml:"readiness"`
	// ClockSkew is how far two nodes' clocks may differ before it is told.
	ClockSkew time.Duration `yaml:"clock_skew"`
}

// Commit is the commit probe of the primary's own service.
type Commit struct {
	Enabled  bool          `yaml:"enabled"`
	Period   time.Duration `yaml:"period"`
	Deadline time.Duration `yaml:"deadline"`
}

// Gossip are memberlist's timings. Its opinion of who is alive is a hint that
// triggers probing, so short values cost traffic and no safety.
type Gossip struct {
	// Probe is the period of its liveness probe, ProbeTimeout bounds one.
	Probe        time.Duration `yaml:"probe"`
	ProbeTimeout time.Duration `yaml:"probe_timeout"`
	// Suspicion times the probe period is how long a silent node is suspected
	// before it is given up.
	Suspicion int `yaml:"suspicion"`
	// Report is how often the newest report is sent.
	Report time.Duration `yaml:"report"`
	// Rejoin is how often a configured node that is not alive is joined again,
	// for ever: a pair does not heal by itself after a cut.
	Rejoin time.Duration `yaml:"rejoin"`
}
