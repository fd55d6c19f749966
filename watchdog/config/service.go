package config

import "time"

// App is the application's health endpoint, asked from every node. An empty
// HealthURL leaves the application out of everything.
type App struct {
	HealthURL string        `yaml:"health_url"`
	Period    time.Duration `yaml:"period"`
	Timeout   time.Duration `yaml:"timeout"`
	// Status is the HTTP status of a healthy answer.
	Status int `yaml:"status"`
	// BodyContains must stand in the first 64 KiB of the answer; empty accepts
	// any body.
	BodyContains string `yaml:"body_contains"`
	// Containers are the docker compose services that make up the application
	// on this node, as PROJECT/SERVICE, in the order in which they are started.
	// They run on the primary's node alone: promote stops them on the old one
	// and starts them on the new one. Empty leaves starting to the operator.
	Containers []string `yaml:"containers"`
	// ContainerRestart is the restart policy that a start gives them; a stop
	// switches it off, so that nothing starts them on a passive node.
	ContainerRestart string `yaml:"container_restart"`
	// HealthyWithin is how long a started application may take until its health
	// endpoint answers as it should.
	HealthyWithin time.Duration `yaml:"healthy_within"`
}

// Alerts are the ways out.
type Alerts struct {
	Email Email `yaml:"email"`
	// Log writes every incident to the service's log as well.
	Log bool `yaml:"log"`
	// TakeOver is how long the other service waits for word that the lowest
	// node alive has sent, before it sends itself.
	TakeOver time.Duration `yaml:"take_over"`
}

// Email is mail through a relay. It is off while To is empty.
type Email struct {
	// To lists recipients, separated by commas; each gets a message of its own.
	To   Addresses `yaml:"to"`
	From string    `yaml:"from"`
	// SMTP is HOST:PORT of the relay.
	SMTP     string `yaml:"smtp"`
	Username string `yaml:"username"`
	// PasswordFile holds the relay's (or Gmail's application) password.
	PasswordFile Secret `yaml:"password_file"`
	// TLS is starttls, or none for a relay on loopback without a password.
	TLS string `yaml:"tls"`
	// CAFile replaces the system's certificate authorities.
	CAFile string `yaml:"ca_file"`
	// Timeout bounds one delivery attempt.
	Timeout time.Duration `yaml:"timeout"`
}

// The kinds of transport security of mail.
const (
	TLSStartTLS = "starttls"
	TLSNone     = "none"
)

// Loss is what a promote may lose without the operator typing it.
type Loss struct {
	// Allowed is compared with the upper figure; unknown counts as above it.
	Allowed Size `yaml:"allowed"`
}

// Gate is the boot gate.
type Gate struct {
	// PeerWait is how long a former primary asks for its peer before it is
	// started as an isolated standby.
	PeerWait time.Duration `yaml:"peer_wait"`
}

// Plan is how long a shown plan may be confirmed.
type Plan struct {
	ValidFor time.Duration `yaml:"valid_for"`
}

// Helper is the root helper.
type Helper struct {
	// Socket of pg-watchdog-helper. Default: the packaged one for the systemd
	// and compose drivers, off for pg_ctl. "off" runs privileged verbs
	// in-process.
	Socket string `yaml:"socket"`
	// Engine is the container engine's own socket, which the helper uses (or
	// the service itself, when the helper is off). Whoever reaches it is root.
	Engine string `yaml:"engine"`
}

// Path gives the helper's socket; empty when privileged verbs run in-process.
func (h Helper) Path() string {
	if h.Socket == Off {
		return ""
	}
	return h.Socket
}

// Log is the service's own log.
type Log struct {
	Level string `yaml:"level"` // debug, info, warn, error
	// Format is auto, console or json; auto is console on a terminal and
	// journald's priorities under systemd.
	Format string `yaml:"format"`
}
