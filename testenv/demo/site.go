package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// SiteOptions say what site to make: a pair with its two services.
type SiteOptions struct {
	Pair Options
	// Binary is the watchdog program; it is copied to where the servers' user
	// can run it.
	Binary string
	// Hold is every hold time of the alerts, the hold-down, and how long the
	// boot gate asks its peer. The demo and the tests use 2 s.
	Hold time.Duration
	// Witness adds a third service without PostgreSQL.
	Witness bool
	// Extra is configuration added to every node's file, by top-level key; and
	// NodeExtra below `nodes:` of one node (a fence device, say), as lines of YAML.
	Extra     string
	NodeExtra map[string]string
	// Env is added to the environment of the services.
	Env []string
	// NoAdopt leaves the pair as it is after the first installation.
	NoAdopt bool
	// Mail is how the mail server behaves; its folder is chosen by the site.
	Mail MailOptions
	// Say is told each command as an operator would type it, with its output.
	Say func(command, output string)
}

// SiteNode is one node of a site.
type SiteNode struct {
	Name       string `json:"name"`
	Home       string `json:"home"`
	Config     string `json:"config"`
	Socket     string `json:"control_socket"`
	StateDir   string `json:"state_dir"`
	LogFile    string `json:"log_file"`
	ServicePid int    `json:"service_pid"`

	Control int `json:"control_port"`
	Gossip  int `json:"gossip_port"`
	Web     int `json:"web_port"`

	key     string
	process *process
}

// Site is a whole small installation: two servers, their services, an
// application and a mail box.
type Site struct {
	Dir     string      `json:"dir"`
	Binary  string      `json:"binary"`
	Nodes   []*SiteNode `json:"nodes"`
	MailDir string      `json:"mail_dir"`
	MailCA  string      `json:"mail_ca"`
	SMTP    string      `json:"smtp"`
	AppURL  string      `json:"app_url"`
	// ExtrasPid is the process of application and mail box, when it is another one.
	ExtrasPid int `json:"extras_pid,omitempty"`

	Pair *Pair `json:"-"`

	options SiteOptions
	extras  *Extras
	stop    context.CancelFunc
	ended   chan error
}

// siteFile describes a site in its own folder, for OpenSite.
const siteFile = "site.json"

// smtpUser and its password are what the demo's mail server asks for.
const (
	smtpUser     = "watchdog@example.it"
	smtpPassword = "demo only, not a secret"
)

// NewSite makes and starts a site and adopts it: when it returns, the pair is
// healthy and watched. On error nothing is left behind.
func NewSite(ctx context.Context, o SiteOptions) (*Site, error) {
	if o.Hold == 0 {
		o.Hold = 2 * time.Second
	}
	if o.Say == nil {
		o.Say = func(string, string) {}
	}
	p, err := NewPair(ctx, o.Pair)
	if err != nil {
		return nil, err
	}
	s := &Site{Dir: p.Dir, Pair: p, options: o, MailDir: filepath.Join(p.Dir, "mail"), MailCA: filepath.Join(p.Dir, "mail-ca.pem")}
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Site) build(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.copyBinary, s.layOut, s.startExtras, s.makeKeys, s.writeConfigs, s.initDB, s.StartServices, s.save, s.adopt} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) copyBinary(context.Context) error {
	s.Binary = filepath.Join(s.Dir, "watchdog")
	in, err := os.Open(s.options.Binary)
	if err != nil {
		return fmt.Errorf("open program: %w", err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(s.Binary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return fmt.Errorf("copy program: %w", err)
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), os.Chmod(s.Binary, 0o755))
}

// layOut takes ports and makes the folders of every node.
func (s *Site) layOut(ctx context.Context) error {
	names := []string{s.Pair.Servers[0].Name, s.Pair.Servers[1].Name}
	if s.options.Witness {
		names = append(names, "wit")
	}
	for _, name := range names {
		home := filepath.Join(s.Dir, name)
		n := &SiteNode{Name: name, Home: home, Config: filepath.Join(home, "watchdog.yaml"), Socket: filepath.Join(home, "wd", "control.sock"),
			StateDir: filepath.Join(home, "state"), LogFile: filepath.Join(home, "watchdog.log")}
		for _, port := range []*int{&n.Control, &n.Gossip, &n.Web} {
			hold, err := takePort(ctx, s.Pair.owner, 0)
			if err != nil {
				return err
			}
			s.Pair.ports = append(s.Pair.ports, hold)
			*port = hold.port
		}
		for _, dir := range []string{home, filepath.Dir(n.Socket)} {
			if err := s.Pair.owner.Mkdir(dir); err != nil {
				return err
			}
		}
		s.Nodes = append(s.Nodes, n)
	}
	return nil
}

// Run runs one command of the program against a node's service, as the
// servers' user, and gives what it printed and its exit code.
func (s *Site) Run(ctx context.Context, n *SiteNode, args ...string) (stdout, stderr string, exit int) {
	cmd := s.Pair.owner.Command(ctx, s.Binary, append(args, "--config", n.Config, "--socket", n.Socket)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		return out.String(), err.Error(), -1
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (s *Site) must(ctx context.Context, n *SiteNode, args ...string) (string, error) {
	out, errs, exit := s.Run(ctx, n, args...)
	if exit != 0 {
		return out, fmt.Errorf("watchdog %s: exit %d: %s%s", strings.Join(args, " "), exit, errs, out)
	}
	return out, nil
}

// makeKeys makes one key per node and the shared gossip key with the program's
// own commands.
func (s *Site) makeKeys(ctx context.Context) error {
	shared := filepath.Join(s.Dir, "gossip.key")
	if _, err := s.must(ctx, s.Nodes[0], "key", "gossip", shared); err != nil {
		return err
	}
	raw, err := os.ReadFile(shared)
	if err != nil {
		return fmt.Errorf("read gossip key: %w", err)
	}
	for _, n := range s.Nodes {
		out, err := s.must(ctx, n, "key", "node", filepath.Join(n.Home, "node.key"))
		if err != nil {
			return err
		}
		for _, word := range strings.Fields(out) {
			if strings.HasPrefix(word, "wdpub-") {
				n.key = strings.Trim(word, `"',`)
			}
		}
		if n.key == "" {
			return fmt.Errorf("watchdog key node printed no public key: %q", out)
		}
		if err := s.Pair.owner.WriteFile(filepath.Join(n.Home, "gossip.key"), raw); err != nil {
			return err
		}
		if err := s.Pair.owner.WriteFile(filepath.Join(n.Home, "smtp.password"), []byte(smtpPassword+"\n")); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) initDB(ctx context.Context) error {
	_, err := s.must(ctx, s.Nodes[0], "config", "init-db", "--apply", "--dsn", s.Pair.Servers[0].DSN("postgres"))
	return err
}

// save writes what another process needs to find the site again.
func (s *Site) save(context.Context) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode site: %w", err)
	}
	return s.Pair.owner.WriteFile(filepath.Join(s.Dir, siteFile), append(data, '\n'))
}

// OpenSite finds a detached site again.
func OpenSite(ctx context.Context, dir string) (*Site, error) {
	data, err := os.ReadFile(filepath.Join(dir, siteFile))
	if err != nil {
		return nil, fmt.Errorf("open site: %w", err)
	}
	s := &Site{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("read site: %w", err)
	}
	s.options = SiteOptions{Say: func(string, string) {}}
	if s.Pair, err = OpenPair(ctx, dir); err != nil {
		return nil, err
	}
	return s, nil
}

// Node gives a node by name; nil when there is none.
func (s *Site) Node(name string) *SiteNode {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// adopt waits until both services see both servers, then records the first
// server as the primary of the first epoch.
func (s *Site) adopt(ctx context.Context) error {
	if s.options.NoAdopt {
		return nil
	}
	first := s.Nodes[0]
	if err := s.await(ctx, "both services see a healthy pair", func() (bool, string) {
		out, errs, exit := s.Run(ctx, first, "adopt", first.Name, "--no-input")
		return exit == 0, fmt.Sprintf("exit %d: %s%s", exit, out, errs)
	}); err != nil {
		return err
	}
	out, err := s.must(ctx, first, "adopt", first.Name, "--confirm="+first.Name, "--no-input")
	if err != nil {
		return err
	}
	s.options.Say("watchdog adopt "+first.Name+" --confirm", out)
	for _, n := range s.Nodes {
		if err := s.await(ctx, "status of "+n.Name+" is HEALTHY", func() (bool, string) {
			out, errs, exit := s.Run(ctx, n, "status", "--json")
			return exit == 0 && strings.Contains(out, `"state": "HEALTHY"`), fmt.Sprintf("exit %d: %s%s", exit, out, errs)
		}); err != nil {
			return err
		}
	}
	return nil
}

// await asks done until it says yes or the context (or a minute) ends.
func (s *Site) await(ctx context.Context, what string, done func() (bool, string)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t := time.NewTicker(150 * time.Millisecond)
	defer t.Stop()
	for {
		ok, state := done()
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: last seen: %s", what, state)
		case <-t.C:
		}
	}
}

// Close ends every process of the site and removes its folder.
func (s *Site) Close() error {
	var errs []error
	for _, n := range s.Nodes {
		errs = append(errs, s.StopService(n))
	}
	errs = append(errs, s.stopExtras(), s.Pair.Close())
	return errors.Join(errs...)
}
