package config

import (
	"fmt"
	"path/filepath"
)

// use is one secret with its place in the file and whether this node needs it.
type use struct {
	path   string
	secret *Secret
	needed bool
}

// secrets finds the file of every named secret, and looks at those that this
// node uses. Passwords of a node's own fence devices are for the others.
func (v *validator) secrets(configDir string, o Options) {
	if abs, err := filepath.Abs(configDir); err == nil {
		configDir = abs
	}
	c := v.c
	server := !c.Nodes[c.Node].Witness
	uses := []use{
		{"keys.node_key_file", &c.Keys.NodeKeyFile, true},
		{"keys.gossip_key_file", &c.Keys.GossipKeyFile, true},
		{"postgres.monitor.passfile", &c.Postgres.Monitor.PassFile, true},
		{"postgres.act.passfile", &c.Postgres.Act.PassFile, server},
		{"postgres.replication.passfile", &c.Postgres.Replication.PassFile, server},
		{"alerts.email.password_file", &c.Alerts.Email.PasswordFile, len(c.Alerts.Email.To) > 0},
	}
	for _, name := range v.nodeNames() {
		devices := c.Nodes[name].Fence
		for i := range devices {
			uses = append(uses, use{fmt.Sprintf("nodes.%s.fence[%d].password_file", name, i), &devices[i].PasswordFile, name != c.Node})
		}
	}
	for _, u := range uses {
		if !u.secret.Set() {
			continue
		}
		u.secret.Path = locate(u.secret.Name, o.CredentialsDir, configDir)
		if o.SkipSecrets || !u.needed {
			continue
		}
		if reason, hint := checkSecret(u.secret.Path, o.CredentialsDir); reason != "" {
			v.bad(u.path, reason, v.secretHint(u.path, hint))
		}
	}
}

// secretHint names the command that makes a key, where there is one.
func (v *validator) secretHint(path, hint string) string {
	if hint != missingHint {
		return hint
	}
	switch path {
	case "keys.node_key_file":
		return "watchdog key node makes it, once per server"
	case "keys.gossip_key_file":
		return "watchdog key gossip makes it on one server; copy it to the others"
	}
	return hint
}
