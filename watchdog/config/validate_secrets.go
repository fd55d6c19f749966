package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// use is one secret with its place in the file and whether this node needs it.
type use struct {
	path   string
	secret *Secret
	needed bool
}

// nodeKeyPath is the setting that names the node's own key.
const nodeKeyPath = "keys.node_key_file"

// secrets finds the file of every named secret, and looks at those that this
// node uses. Passwords of a node's own fence devices are for the others.
func (v *validator) secrets(configDir string, o Options) {
	if abs, err := filepath.Abs(configDir); err == nil {
		configDir = abs
	}
	for _, u := range v.c.secretUses() {
		if !u.secret.Set() {
			continue
		}
		u.secret.Path = locate(u.secret.Name, o.CredentialsDir, configDir)
		if o.SkipSecrets || !u.needed || o.OnlyNodeKey && u.path != nodeKeyPath {
			continue
		}
		if reason, hint := checkSecret(u.secret.Path, o.CredentialsDir); reason != "" {
			v.bad(u.path, reason, v.secretHint(u.path, hint))
		}
	}
}

// secretUses lists every secret that can be named, with its place in the file.
func (c *Config) secretUses() []use {
	server := !c.Nodes[c.Node].Witness
	uses := []use{
		{nodeKeyPath, &c.Keys.NodeKeyFile, true},
		{"keys.gossip_key_file", &c.Keys.GossipKeyFile, true},
		{"postgres.monitor.passfile", &c.Postgres.Monitor.PassFile, true},
		{"postgres.act.passfile", &c.Postgres.Act.PassFile, server},
		{"postgres.replication.passfile", &c.Postgres.Replication.PassFile, server},
		{"alerts.email.password_file", &c.Alerts.Email.PasswordFile, len(c.Alerts.Email.To) > 0},
	}
	for _, name := range c.NodeNames() {
		devices := c.Nodes[name].Fence
		for i := range devices {
			uses = append(uses, use{fmt.Sprintf("nodes.%s.fence[%d].password_file", name, i), &devices[i].PasswordFile, name != c.Node})
		}
	}
	return uses
}

// SecretFaults looks again at the secret files that this node uses, as Load did:
// how many there are, and what is wrong with some by now.
func (c *Config) SecretFaults() (looked int, faults []string) {
	for _, u := range c.secretUses() {
		if !u.secret.Set() || !u.needed {
			continue
		}
		looked++
		if reason, _ := checkSecret(u.secret.Path, os.Getenv(credentialsEnv)); reason != "" {
			faults = append(faults, u.path+": "+reason)
		}
	}
	return looked, faults
}

// authorities looks at the files of certificate authorities, which are no
// secrets: without them every connection would be refused, and the first mail is
// the wrong moment to find out.
func (v *validator) authorities() {
	for _, f := range []struct{ path, file string }{
		{"postgres.sslrootcert", v.c.Postgres.RootCert},
		{"alerts.email.ca_file", v.c.Alerts.Email.CAFile},
	} {
		if !filepath.IsAbs(f.file) {
			continue // not set, or a finding already
		}
		b, err := os.ReadFile(f.file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			v.bad(f.path, fmt.Sprintf("the file %s does not exist", f.file), "put the authority's certificate there, or remove the key to use the system's")
		case err != nil:
			v.bad(f.path, fmt.Sprintf("the file %s cannot be read: %v", f.file, errors.Unwrap(err)), "the user that the service runs as must be able to read it")
		case !x509.NewCertPool().AppendCertsFromPEM(b):
			v.bad(f.path, fmt.Sprintf("the file %s holds no certificate", f.file), "it begins with -----BEGIN CERTIFICATE-----")
		}
	}
}

// secretHint names the command that makes a key, where there is one.
func (v *validator) secretHint(path, hint string) string {
	if hint != missingHint {
		return hint
	}
	switch path {
	case nodeKeyPath:
		return "watchdog key node makes it, once per server"
	case "keys.gossip_key_file":
		return "watchdog key gossip makes it on one server; copy it to the others"
	}
	return hint
}
