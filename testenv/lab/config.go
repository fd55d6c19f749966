package lab

import (
	"fmt"
	"strings"
)

// nodeConf is what differs between the two servers' postgresql.conf: whom the
// primary waits for at commit.
func nodeConf(node string) string {
	other := map[string]string{"db1": "db2", "db2": "db1"}[node]
	return fmt.Sprintf("synchronous_standby_names = '%s'\n", other)
}

// serverConf is the rest of it. It lies in the data directory, is copied with it,
// and reads the node's own part from outside.
const serverConf = `
listen_addresses = '*'
wal_level = replica
wal_log_hints = on
max_wal_senders = 10
max_replication_slots = 10
max_slot_wal_keep_size = 1GB
max_connections = 60
shared_buffers = 32MB
unix_socket_directories = '/var/run/postgresql'
logging_collector = off
log_line_prefix = '%m [%p] %a '
include_if_exists = '/etc/pg-watchdog/node.conf'
`

// hba lets in who has a password, from the networks of the lab.
const hba = `local all postgres peer
local all all scram-sha-256
host replication watchdog_repl samenet scram-sha-256
host all all samenet scram-sha-256
`

// hosts are the services of the two machines that hold data.
var hosts = map[string]struct{ server, service, app string }{
	"db1": {"db1", "wd1", "app1"}, "db2": {"db2", "wd2", "app2"},
}

// config is one node's watchdog.yaml. On a real site both hosts have the same
// file, but for `node:`; here the two share an engine, so the containers of each
// have names of their own.
func (l *Lab) config(s secrets, node string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Written by the lab; a real one: watchdog config init
version: 1
cluster: gestionale
node: %s
listen: {web: "0.0.0.0:8432"}
nodes:
`, node)
	for _, n := range []string{"db1", "db2"} {
		fmt.Fprintf(&b, `  %[1]s:
    address: %[2]s
    key: %[3]s
    postgres: {host: %[4]s}
    # The switch that cuts its power, asked by Debian's own agent.
    fence: [{type: agent, agent: fence_redfish, password_file: power.password, off_limit: 30s, status_interval: 5s,
      options: {ip: power, ipport: 8000, username: admin, ssl_insecure: 1, redfish_uri: /redfish/v1, systems_uri: /redfish/v1/Systems/%[1]s}}]
`, n, l.address(hosts[n].service), s.public[n], l.address(n))
	}
	fmt.Fprintf(&b, "  witness: {address: %s, key: %s, witness: true}\n", l.address("witness"), s.public["witness"])
	if h, has := hosts[node]; has {
		fmt.Fprintf(&b, `postgres:
  driver: compose
  container: %[1]s/%[2]s
  data_dir: /var/lib/postgresql/data
  monitor: {user: watchdog_mon, passfile: pgpass}
  act: {user: watchdog_act, passfile: pgpass}
  replication: {user: watchdog_repl, passfile: pgpass}
app:
  health_url: http://proxy:8080/api/health
  period: 1s
  timeout: 1s
  body_contains: '"ok":true'
  containers: [%[1]s/%[3]s]
helper: {socket: /run/pg-watchdog-helper/helper.sock}
`, Project, h.server, h.app)
	} else {
		b.WriteString("postgres: {monitor: {user: watchdog_mon, passfile: pgpass}}\n")
	}
	// Short holds: the lab's tests wait for them. Real ones: watchdog config init --full.
	b.WriteString(`hold: {no_primary: 3s, postgres_down: 3s, replication_down: 5s, peer_unreachable: 5s}
hold_down: 3s
alerts:
  take_over: 5s
  email: {to: "ced@example.it, titolare@example.it", from: watchdog@example.it, smtp: "mail:587", username: watchdog@example.it,
    password_file: smtp.password, ca_file: /mail/ca.pem}
gate: {peer_wait: 5s}
`)
	return b.String()
}
