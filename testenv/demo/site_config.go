package demo

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// writeConfigs writes each node's configuration: what an administrator would
// write, save that both nodes share one machine, so ports and folders differ.
func (s *Site) writeConfigs(context.Context) error {
	for _, n := range s.Nodes {
		if err := s.WriteConfig(n); err != nil {
			return err
		}
	}
	return nil
}

// WriteConfig writes one node's configuration.
func (s *Site) WriteConfig(n *SiteNode) error {
	return s.Pair.owner.WriteFile(n.Config, []byte(s.configOf(n)))
}

func (s *Site) configOf(n *SiteNode) string {
	var b strings.Builder
	hold := s.options.Hold
	fmt.Fprintf(&b, `# Written by watchdog demo. A real one: watchdog config init
version: 1
cluster: demo
node: %s
state_dir: %s
listen:
  control: %[3]s:%[4]d
  gossip: %[3]s:%[5]d
  web: %[3]s:%[6]d
  socket: %[7]s
nodes:
`, n.Name, n.StateDir, s.Pair.network.Host(n.Name), n.Control, n.Gossip, n.Web, n.Socket)
	for _, m := range s.Nodes {
		b.WriteString(s.nodeEntry(m))
	}
	b.WriteString("keys: {node_key_file: node.key, gossip_key_file: gossip.key}\n")
	if server := s.Pair.Server(n.Name); server != nil {
		fmt.Fprintf(&b, "postgres: {driver: pg_ctl, data_dir: %s, socket_dir: %s, port: %d, log_file: %s}\n",
			server.DataDir, server.SocketDir, server.Port, server.LogFile)
	}
	health, _ := url.JoinPath(s.AppURL, HealthPath)
	fmt.Fprintf(&b, "app: {health_url: %q, period: 1s, timeout: 1s, body_contains: '\"ok\":true'}\n", health)
	fmt.Fprintf(&b, "hold: {no_primary: %[1]s, postgres_down: %[1]s, replication_down: %[1]s, peer_unreachable: %[1]s}\nhold_down: %[1]s\n", hold)
	fmt.Fprintf(&b, `alerts:
  take_over: 4s
  email: {to: "ced@example.it, titolare@example.it", from: %s, smtp: "%s", username: %s, password_file: smtp.password, ca_file: %s}
gate: {peer_wait: %s}
`, smtpUser, s.SMTP, smtpUser, s.MailCA, hold)
	b.WriteString(s.options.Extra)
	return b.String()
}

// nodeEntry is one node as all of them know it.
func (s *Site) nodeEntry(m *SiteNode) string {
	entry := fmt.Sprintf("  %s:\n    address: %s\n    control_port: %d\n    gossip_port: %d\n    key: %s\n", m.Name, s.Pair.network.Host(m.Name), m.Control, m.Gossip, m.key)
	if server := s.Pair.Server(m.Name); server != nil {
		entry += fmt.Sprintf("    postgres: {host: %s, port: %d}\n", server.Host, server.Port)
	} else {
		entry += "    witness: true\n"
	}
	for _, line := range strings.Split(strings.TrimRight(s.options.NodeExtra[m.Name], "\n"), "\n") {
		if line != "" {
			entry += "    " + line + "\n"
		}
	}
	return entry
}
