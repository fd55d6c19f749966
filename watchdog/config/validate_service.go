package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
)

func (v *validator) postgres() {
	p := v.c.Postgres
	v.oneOf("postgres.driver", p.Driver, DriverSystemd, DriverPgCtl, DriverCompose)
	v.port("postgres.port", p.Port)
	v.oneOf("postgres.sslmode", p.SSLMode, "disable", "allow", "prefer", "require", "verify-ca", "verify-full")
	for _, l := range []struct{ path, user string }{
		{"postgres.monitor.user", p.Monitor.User}, {"postgres.act.user", p.Act.User}, {"postgres.replication.user", p.Replication.User},
	} {
		if !roleName.MatchString(l.user) {
			v.bad(l.path, fmt.Sprintf("%q is no name of a role", l.user), "use a-z, 0-9 and _, at most 63 characters")
		}
	}
	if !slotPrefix.MatchString(p.SlotPrefix) {
		v.bad("postgres.slot_prefix", fmt.Sprintf("%q cannot begin a slot's name", p.SlotPrefix), "use a-z, 0-9 and _, at most 30 characters")
	}
	if v.c.Nodes[v.c.Node].Witness {
		return
	}
	v.absolute("postgres.data_dir", p.DataDir, true)
	if p.SocketDir == "" && p.Host == "" {
		v.bad("postgres.socket_dir", "is empty, and postgres.host too", "set one of the two: the service must reach its own server")
	}
	v.driver(p)
}

func (v *validator) driver(p Postgres) {
	switch {
	case p.Driver == DriverSystemd && p.Unit == "":
		v.bad("postgres.unit", "is missing", "name the unit that runs PostgreSQL, such as postgresql@15-main.service, or use driver: pg_ctl")
	case p.Driver == DriverSystemd && !unitName.MatchString(p.Unit):
		v.bad("postgres.unit", fmt.Sprintf("%q is no unit", p.Unit), "write the whole name, such as postgresql@15-main.service")
	case p.Driver != DriverPgCtl && len(p.StartCommand) > 0:
		v.bad("postgres.start_command", "the "+p.Driver+" driver does not run a command", "remove it, or use driver: pg_ctl")
	case p.Driver != DriverSystemd && p.Unit != "":
		v.bad("postgres.unit", "the "+p.Driver+" driver starts no unit", "remove it, or use driver: systemd")
	}
	v.container(p)
	if len(p.StartCommand) > 0 && !slices.Contains(p.StartCommand, "gate") {
		v.bad("postgres.start_command", "goes past the boot gate", "pg-watchdog gate --config FILE --exec -- PROGRAM...: the gate decides whether this server may start writable")
	}
	if len(p.StartCommand) > 0 && p.StartCommand[0] == "" {
		v.bad("postgres.start_command", "begins with an empty word", "the first word is the program")
	}
}

func (v *validator) container(p Postgres) {
	switch {
	case p.Driver == DriverCompose && !pgctl.ValidContainer(p.Container):
		v.bad("postgres.container", fmt.Sprintf("%q is no compose service", p.Container), "write PROJECT/SERVICE, such as gestionale/db: docker ps --format '{{.Label \"com.docker.compose.project\"}}/{{.Label \"com.docker.compose.service\"}}'")
	case p.Driver != DriverCompose && p.Container != "":
		v.bad("postgres.container", "the "+p.Driver+" driver runs no container", "remove it, or use driver: compose")
	}
	v.oneOf("postgres.container_restart", p.ContainerRestart, pgctl.RestartPolicies...)
}

// times checks periods, deadlines, and how they relate: a deadline longer than
// its period would leave two probes in flight.
func (v *validator) times() {
	p, g := v.c.Probes, v.c.Gossip
	const minute, hour = time.Minute, time.Hour
	if p.Position < positionFloor {
		v.bad("probes.position", fmt.Sprintf("%s is below the floor of %s", p.Position, positionFloor), "a killed server is known at once whatever this is")
	}
	v.between("probes.position", max(p.Position, positionFloor), positionFloor, minute)
	v.between("probes.position_deadline", p.PositionDeadline, 50*time.Millisecond, minute)
	v.between("probes.sql", p.SQL, 500*time.Millisecond, hour)
	v.between("probes.sql_deadline", p.SQLDeadline, 100*time.Millisecond, minute)
	v.between("probes.commit.period", p.Commit.Period, 200*time.Millisecond, hour)
	v.between("probes.commit.deadline", p.Commit.Deadline, 100*time.Millisecond, minute)
	v.between("probes.edge", p.Edge, 100*time.Millisecond, minute)
	v.between("probes.edge_deadline", p.EdgeDeadline, 50*time.Millisecond, minute)
	v.between("probes.readiness", p.Readiness, 5*time.Second, 2*time.Minute)
	v.between("probes.clock_skew", p.ClockSkew, 100*time.Millisecond, hour)
	v.notLonger("probes.sql_deadline", p.SQLDeadline, "probes.sql", p.SQL)
	v.notLonger("probes.commit.deadline", p.Commit.Deadline, "probes.commit.period", p.Commit.Period)
	v.notLonger("probes.edge_deadline", p.EdgeDeadline, "probes.edge", p.Edge)
	v.count("probes.misses", p.Misses, 1, 100)

	v.between("gossip.probe", g.Probe, 50*time.Millisecond, minute)
	v.between("gossip.probe_timeout", g.ProbeTimeout, 10*time.Millisecond, minute)
	v.between("gossip.report", g.Report, 50*time.Millisecond, minute)
	v.between("gossip.rejoin", g.Rejoin, 100*time.Millisecond, 10*minute)
	v.count("gossip.suspicion", g.Suspicion, 1, 100)
	if g.ProbeTimeout >= g.Probe {
		v.clash("gossip.probe_timeout", "gossip.probe", fmt.Sprintf("%s is not shorter than gossip.probe (%s)", g.ProbeTimeout, g.Probe), "a probe must end before the next one begins")
	}
	v.holds()
	v.between("gate.peer_wait", v.c.Gate.PeerWait, time.Second, hour)
	v.between("plan.valid_for", v.c.Plan.ValidFor, 10*time.Second, hour)
}

// maxHold is long enough for an update that takes its days.
const maxHold = 30 * 24 * time.Hour

func (v *validator) holds() {
	for name, h := range v.c.Hold {
		path := "hold." + name
		v.oneOf(path, name, HoldNames()...)
		v.between(path, h, 0, maxHold)
	}
	v.between("hold_down", v.c.HoldDown, 0, 24*time.Hour)
	v.between("alerts.take_over", v.c.Alerts.TakeOver, time.Second, 10*time.Minute)
	if least := 2 * v.c.Gossip.Report; v.c.Alerts.TakeOver < least {
		v.clash("alerts.take_over", "gossip.report", fmt.Sprintf("%s is shorter than two gossip reports (%s)", v.c.Alerts.TakeOver, least), "word that the other has sent could not arrive in time: two mails")
	}
}

func (v *validator) notLonger(path string, value time.Duration, ofPath string, of time.Duration) {
	if value > of {
		v.clash(path, ofPath, fmt.Sprintf("%s is longer than its period %s (%s)", value, ofPath, of), "one probe must end before the next one begins")
	}
}

func (v *validator) count(path string, value, low, high int) {
	if value < low || value > high {
		v.bad(path, fmt.Sprintf("%d is out of range", value), fmt.Sprintf("use %d to %d", low, high))
	}
}

func (v *validator) app() {
	a := v.c.App
	v.between("app.period", a.Period, 200*time.Millisecond, time.Hour)
	v.between("app.timeout", a.Timeout, 50*time.Millisecond, time.Minute)
	v.notLonger("app.timeout", a.Timeout, "app.period", a.Period)
	v.count("app.status", a.Status, 100, 599)
	v.between("app.healthy_within", a.HealthyWithin, time.Second, 10*time.Minute)
	v.oneOf("app.container_restart", a.ContainerRestart, pgctl.RestartPolicies...)
	for _, name := range a.Containers {
		switch {
		case !pgctl.ValidContainer(name):
			v.bad("app.containers", fmt.Sprintf("%q is no compose service", name), "write PROJECT/SERVICE, such as gestionale/web")
		case name == v.c.Postgres.Container:
			v.bad("app.containers", fmt.Sprintf("%q is PostgreSQL's own", name), "name the application's services only")
		}
	}
	if a.HealthURL == "" {
		return
	}
	u, err := url.Parse(a.HealthURL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		v.bad("app.health_url", "is no address of a page", "write http://HOST:PORT/PATH")
	case u.User != nil:
		v.bad("app.health_url", "holds a user name or password", "let the health page answer without a login, on an address that only the nodes reach")
	}
}

func (v *validator) email() {
	e := v.c.Alerts.Email
	const path = "alerts.email"
	v.oneOf(path+".tls", e.TLS, TLSStartTLS, TLSNone)
	v.between(path+".timeout", e.Timeout, time.Second, 10*time.Minute)
	if len(e.To) == 0 {
		if e.SMTP != "" {
			v.bad(path+".to", "is missing", "name who is told: to: \"a@example.org, b@example.org\"")
		}
		return
	}
	if _, ok := mailAddress(e.From); !ok {
		v.bad(path+".from", "is missing or no mail address", "name the sender, such as watchdog@example.org")
	}
	host, port, err := net.SplitHostPort(e.SMTP)
	if err != nil || host == "" || port == "" {
		v.bad(path+".smtp", fmt.Sprintf("%q is no relay", e.SMTP), "write HOST:PORT, such as smtp.example.org:587")
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		v.bad(path+".smtp", fmt.Sprintf("%q is no port", port), "write HOST:PORT with a number, such as smtp.example.org:587")
	}
	if (e.Username == "") != !e.PasswordFile.Set() {
		v.bad(path, "username and password_file belong together", "set both, or neither")
	}
	if e.TLS == TLSNone && (!loopback(host) || e.Username != "") {
		v.bad(path+".tls", "none is accepted only for a relay on loopback without a password", "use tls: starttls")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
