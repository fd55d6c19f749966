package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// address gives a host's place in lan: servers at 11, services at 21 and up.
func (l *Lab) address(service string) string {
	return l.o.Subnet + "." + map[string]string{"db1": "11", "db2": "12", "wd1": "21", "wd2": "22", "witness": "23"}[service]
}

// secrets are made anew for every lab.
type secrets struct {
	passwords map[string]string // by role, or by what they open
	public    map[string]string // public key by node
	private   map[string][]byte
	gossip    []byte
}

var nodes = []string{"db1", "db2", "witness"}

func newSecrets() (secrets, error) {
	s := secrets{passwords: map[string]string{}, public: map[string]string{}, private: map[string][]byte{}}
	for _, who := range []string{"watchdog_mon", "watchdog_act", "watchdog_repl", "gestionale", "smtp", "power"} {
		b := make([]byte, 18)
		_, _ = rand.Read(b) // never fails (crypto/rand)
		s.passwords[who] = base64.RawURLEncoding.EncodeToString(b)
	}
	for _, node := range nodes {
		key, err := control.GenerateNodeKey()
		if err != nil {
			return s, err
		}
		if s.private[node], err = control.EncodeNodeKey(key); err != nil {
			return s, err
		}
		s.public[node] = control.PublicOf(key).String()
	}
	key, err := control.GenerateGossipKey()
	s.gossip = control.EncodeGossipKeys(key)
	return s, err
}

// pgpass is libpq's password file for some roles.
func (s secrets) pgpass(roles ...string) string {
	var b strings.Builder
	for _, r := range roles {
		fmt.Fprintf(&b, "*:*:*:%s:%s\n", r, s.passwords[r])
	}
	return b.String()
}

// file is one file or folder in a volume.
type file struct {
	path  string // below the mount of all volumes
	text  string
	mode  int64
	owner int
	group int
	dir   bool
}

// files lays out what every volume begins with.
func (l *Lab) files(s secrets) ([]file, error) {
	uid, err := strconv.Atoi(l.uid)
	if err != nil {
		return nil, fmt.Errorf("read user of the node image: %q: %w", l.uid, err)
	}
	var out []file
	for _, node := range []string{"db1", "db2"} {
		for _, v := range []struct {
			name string
			mode int64
		}{{"data", 0o700}, {"run", 0o775}, {"state", 0o750}, {"helper", 0o750}} {
			out = append(out, file{path: node + "-" + v.name, mode: v.mode, owner: uid, group: uid, dir: true})
		}
		out = append(out, l.serviceFiles(s, node, node+"-etc", uid)...)
		out = append(out,
			file{path: node + "-etc/pgpass", text: s.pgpass("watchdog_mon", "watchdog_act", "watchdog_repl"), mode: 0o600, owner: uid, group: uid},
			file{path: node + "-etc/node.conf", text: nodeConf(node), mode: 0o640, group: uid})
	}
	out = append(out, file{path: "witness-state", mode: 0o750, owner: uid, group: uid, dir: true})
	out = append(out, l.serviceFiles(s, "witness", "witness-etc", uid)...)
	out = append(out, file{path: "witness-etc/pgpass", text: s.pgpass("watchdog_mon"), mode: 0o600, owner: uid, group: uid})
	// The mail sink writes as the tool's user what the services only read.
	out = append(out, file{path: "mailbox", mode: 0o755, owner: uid, group: uid, dir: true}, file{path: "ledger", mode: 0o755, owner: uid, group: uid, dir: true},
		file{path: "app-secret", mode: 0o750, owner: uid, group: uid, dir: true},
		file{path: "app-secret/pgpass", text: s.pgpass("gestionale"), mode: 0o600, owner: uid, group: uid},
		file{path: "app-secret/smtp.password", text: s.passwords["smtp"] + "\n", mode: 0o600, owner: uid, group: uid},
		file{path: "app-secret/power.password", text: s.passwords["power"] + "\n", mode: 0o600, owner: uid, group: uid})
	return out, nil
}

// serviceFiles are what one service is configured with.
func (l *Lab) serviceFiles(s secrets, node, volume string, uid int) []file {
	// Root owns what the helper believes: PostgreSQL's user must not be able to
	// name the containers that root then starts and stops.
	return []file{
		{path: volume, mode: 0o750, group: uid, dir: true},
		{path: volume + "/watchdog.yaml", text: l.config(s, node), mode: 0o640, group: uid},
		{path: volume + "/node.key", text: string(s.private[node]), mode: 0o600, owner: uid, group: uid},
		{path: volume + "/gossip.key", text: string(s.gossip), mode: 0o600, owner: uid, group: uid},
		{path: volume + "/smtp.password", text: s.passwords["smtp"] + "\n", mode: 0o600, owner: uid, group: uid},
		{path: volume + "/power.password", text: s.passwords["power"] + "\n", mode: 0o600, owner: uid, group: uid},
	}
}

// volumes lists the volumes that files go into.
func volumes(all []file) []string {
	var out []string
	for _, f := range all {
		if v, _, _ := strings.Cut(f.path, "/"); !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// fill writes files into the lab's volumes, all in one container.
func (l *Lab) fill(ctx context.Context, all []file) error {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range all {
		h := &tar.Header{Name: f.path, Mode: f.mode, Uid: f.owner, Gid: f.group, Size: int64(len(f.text)), Typeflag: tar.TypeReg}
		if f.dir {
			h.Name, h.Typeflag = f.path+"/", tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return fmt.Errorf("pack files of the lab: %w", err)
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			return fmt.Errorf("pack files of the lab: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack files of the lab: %w", err)
	}
	argv := l.oneOff("-i", "--network", "none", "--user", "root")
	for _, v := range volumes(all) {
		argv = append(argv, "-v", volume(v)+":"+path.Join("/volumes", v))
	}
	// Modes as they are in the archive, whatever the folder had before.
	_, err := l.run(ctx, &b, append(argv, l.node, "tar", "-x", "-p", "--numeric-owner", "-C", "/volumes")...)
	return err
}

func volume(name string) string { return Project + "_" + name }

// oneOff begins the command line of a container that is gone when it ends.
func (l *Lab) oneOff(args ...string) []string {
	return append([]string{"docker", "run", "--rm", "--label", LabelLab + "=" + Project}, args...)
}
