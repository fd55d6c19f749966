package config

import (
	"fmt"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"
)

var (
	clusterName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	nodeName    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	roleName    = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
	slotPrefix  = regexp.MustCompile(`^[a-z0-9_]{0,30}$`)
	unitName    = regexp.MustCompile(`^[A-Za-z0-9:_.@\\-]+\.service$`)
)

// validator checks ranges and relations of a decoded, completed configuration
// and points its findings at the lines that the decoder remembered.
type validator struct {
	*decoder
	c *Config
}

func (v *validator) bad(path, reason, hint string) {
	v.fail(v.find(path), path, reason, hint)
}

// clash reports that two settings do not fit together, at whichever of them
// stands in the file.
func (v *validator) clash(path, other, reason, hint string) {
	at, ok := v.at[path]
	if !ok {
		if at, ok = v.at[other]; !ok {
			at = v.find(path)
		}
	}
	v.fail(at, path, reason, hint)
}

func (v *validator) run() {
	if v.c.Version != 1 {
		v.bad("version", fmt.Sprintf("shape %d of the file is not known", v.c.Version), "this program reads version: 1")
	}
	v.names()
	v.paths()
	v.nodes()
	v.listen()
	v.postgres()
	v.times()
	v.lagThresholds()
	v.thresholds()
	v.app()
	v.email()
	v.oneOf("log.level", v.c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", v.c.Log.Format, "auto", "console", "json")
}

func (v *validator) names() {
	c := v.c
	switch {
	case c.Cluster == "":
		v.bad("cluster", "the cluster has no name", "add a line such as: cluster: gestionale")
	case !clusterName.MatchString(c.Cluster):
		v.bad("cluster", fmt.Sprintf("%q is no name of a cluster", c.Cluster), "use a-z, 0-9 and -, at most 63 characters")
	}
	_, listed := c.Nodes[c.Node]
	switch {
	case c.Node == "":
		v.bad("node", "this server's own name is missing", "add a line such as: node: "+first(v.nodeNames(), "db1"))
	case !listed:
		hint := "the nodes are " + strings.Join(v.nodeNames(), ", ")
		if s := Suggest(c.Node, v.nodeNames()); s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		}
		v.bad("node", fmt.Sprintf("%q is not among the nodes", c.Node), hint)
	}
}

func (v *validator) nodeNames() []string {
	names := make([]string, 0, len(v.c.Nodes))
	for n := range v.c.Nodes {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func first(words []string, fallback string) string {
	if len(words) > 0 {
		return words[0]
	}
	return fallback
}

// maxSocketPath is what a unix socket's address holds (unix(7)), less its
// terminating zero.
const maxSocketPath = 107

func (v *validator) paths() {
	c := v.c
	for _, p := range []struct {
		path, value string
		required    bool
	}{
		{"state_dir", c.StateDir, true},
		{"listen.socket", c.Listen.Socket, true},
		{"postgres.archive_dir", c.Postgres.ArchiveDir, false},
		{"postgres.bin_dir", c.Postgres.BinDir, false},
		{"postgres.socket_dir", c.Postgres.SocketDir, false},
		{"postgres.log_file", c.Postgres.LogFile, false},
		{"postgres.sslrootcert", c.Postgres.RootCert, false},
		{"alerts.email.ca_file", c.Alerts.Email.CAFile, false},
		{"helper.socket", c.Helper.Path(), false},
		{"helper.engine", c.Helper.Engine, false},
	} {
		v.absolute(p.path, p.value, p.required)
	}
	for _, s := range []struct{ path, value string }{{"listen.socket", c.Listen.Socket}, {"helper.socket", c.Helper.Socket}} {
		if len(s.value) > maxSocketPath {
			v.bad(s.path, fmt.Sprintf("the path has %d bytes, a unix socket's may have %d", len(s.value), maxSocketPath), "choose a shorter folder")
		}
	}
	if d := c.Postgres.DataDir; d != "" && inside(c.StateDir, d) {
		v.bad("state_dir", "lies inside the data directory", "pg_rewind deletes there what its source lacks: use a folder outside, such as /var/lib/pg-watchdog")
	}
}

func (v *validator) absolute(path, value string, required bool) {
	switch {
	case value == "" && required:
		v.bad(path, "is empty", "name an absolute path")
	case value != "" && !filepath.IsAbs(value):
		v.bad(path, fmt.Sprintf("%q is not an absolute path", value), "begin it with /")
	}
}

func inside(path, folder string) bool {
	rel, err := filepath.Rel(filepath.Clean(folder), filepath.Clean(path))
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

func (v *validator) oneOf(path, value string, allowed ...string) {
	for _, a := range allowed {
		if a == value {
			return
		}
	}
	hint := "use " + strings.Join(allowed, ", ")
	if s := Suggest(value, allowed); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s)
	}
	v.bad(path, fmt.Sprintf("%q is not known here", value), hint)
}

func (v *validator) between(path string, value, low, high time.Duration) {
	switch {
	case value < low:
		v.bad(path, fmt.Sprintf("%s is too short", value), fmt.Sprintf("use %s to %s", low, high))
	case value > high:
		v.bad(path, fmt.Sprintf("%s is too long", value), fmt.Sprintf("use %s to %s", low, high))
	}
}
