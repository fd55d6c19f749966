package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Options say what pair to make. The zero value is an asynchronous pair db1,
// db2 in a temporary folder.
type Options struct {
	// Dir is the folder of the pair, made when absent and removed by Close.
	// Empty: a new temporary one.
	Dir string
	// Sync makes each server wait for the other at commit.
	Sync bool
	// Names of the two nodes, default db1 (primary) and db2 (standby).
	Names [2]string
	// BasePort and the next one are the servers' ports; 0 means any free ones.
	BasePort int
	// Detached servers go on when this process ends; another reaches them
	// again with OpenPair.
	Detached bool
	// Fresh runs initdb instead of copying the prepared data directory, whose
	// copies all share one system identifier.
	Fresh bool
	// Network says where each node lives; the zero value: all on 127.0.0.1.
	Network Network
	// Ready is called when the standby streams, before NewPair returns: the
	// place to install roles and tables on the primary.
	Ready func(ctx context.Context, primary *Server) error
}

// Pair is two servers, of which the first began as the primary.
type Pair struct {
	Dir     string     `json:"dir"`
	Servers [2]*Server `json:"servers"`
	Sync    bool       `json:"sync"`

	owner   Owner
	network Network
	ports   []portHold
	further []*Server // standbys that no node looks after
	entry   string    // this pair's line in the register of pairs
}

// maxSocketPath is the longest path of a unix socket (sun_path, without the
// closing zero byte).
const maxSocketPath = 107

var nodeName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// NewPair makes and starts two servers, the second streaming from the first
// through a slot, and returns when they do. On error nothing is left behind.
func NewPair(ctx context.Context, o Options) (*Pair, error) {
	p, err := layOut(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := p.build(ctx, o); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// layOut finds PostgreSQL, makes the folders and holds two ports.
func layOut(ctx context.Context, o Options) (*Pair, error) {
	binaries, err := FindBinaries(ctx)
	if err != nil {
		return nil, err
	}
	user, err := FindOwner()
	if err != nil {
		return nil, err
	}
	if err := sweep(ctx, user); err != nil {
		return nil, err
	}
	if o.Names == ([2]string{}) {
		o.Names = [2]string{"db1", "db2"}
	}
	if o.Names[0] == o.Names[1] {
		return nil, fmt.Errorf("two nodes of one name %q", o.Names[0])
	}
	dir, err := pairDir(user, o.Dir)
	if err != nil {
		return nil, err
	}
	p := &Pair{Dir: dir, Sync: o.Sync, owner: user, network: o.Network}
	for i, name := range o.Names {
		server, err := p.addServer(ctx, o, i, name)
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		server.binaries = binaries
		p.Servers[i] = server
	}
	if err := p.register(o.Detached); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func pairDir(user Owner, dir string) (string, error) {
	if dir == "" {
		var err error
		if dir, err = user.TempDir("wd-"); err != nil {
			return "", err
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find folder of the pair: %w", err)
	}
	if err := user.Mkdir(dir); err != nil {
		return "", err
	}
	// Processes are found by their working folder, which the kernel gives
	// without symbolic links.
	return filepath.EvalSymlinks(dir)
}

func (p *Pair) addServer(ctx context.Context, o Options, i int, name string) (*Server, error) {
	if !nodeName.MatchString(name) {
		return nil, fmt.Errorf("node name %q: use a to z, 0 to 9 and _, at most 32", name)
	}
	base := o.BasePort
	if base != 0 {
		base += i
	}
	hold, err := takePort(ctx, p.owner, base)
	if err != nil {
		return nil, err
	}
	p.ports = append(p.ports, hold)
	home := filepath.Join(p.Dir, name)
	s := &Server{
		Name: name, Host: o.Network.Host(name), Port: hold.port, SocketDir: filepath.Join(home, "run"),
		DataDir: filepath.Join(home, "data"), LogFile: filepath.Join(home, "postgres.log"),
		owner: p.owner, detached: o.Detached, enter: o.Network.entry(name),
	}
	socket := filepath.Join(s.SocketDir, fmt.Sprintf(".s.PGSQL.%d", s.Port))
	if len(socket) > maxSocketPath {
		return nil, fmt.Errorf("socket path of %d bytes is longer than the system's %d: %s; choose a shorter folder", len(socket), maxSocketPath, socket)
	}
	for _, dir := range []string{home, s.SocketDir} {
		if err := p.owner.Mkdir(dir); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// build makes the primary, the slot and the standby, and waits for streaming.
func (p *Pair) build(ctx context.Context, o Options) error {
	first, second := p.Servers[0], p.Servers[1]
	if err := p.writeNodeConf(); err != nil {
		return err
	}
	if err := makeData(ctx, first.binaries, p.owner, first.DataDir, o.Fresh); err != nil {
		return err
	}
	for name, text := range map[string]string{"postgresql.conf": common, "pg_hba.conf": hba + p.network.hba()} {
		if err := p.owner.WriteFile(filepath.Join(first.DataDir, name), []byte(text)); err != nil {
			return err
		}
	}
	if err := first.Start(ctx); err != nil {
		return err
	}
	if err := p.MakeStandby(ctx, second, first); err != nil {
		return err
	}
	if err := p.AwaitStreaming(ctx, first, second); err != nil {
		return err
	}
	if o.Ready != nil {
		return o.Ready(ctx, first)
	}
	return nil
}

func (p *Pair) writeNodeConf() error {
	for i, s := range p.Servers {
		text := s.nodeConf(p.Servers[1-i], p.Sync)
		if err := p.owner.WriteFile(filepath.Join(filepath.Dir(s.DataDir), "node.conf"), []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// MakeStandby copies upstream with pg_basebackup into the standby's absent
// data directory, with a slot named after the standby, and starts it.
func (p *Pair) MakeStandby(ctx context.Context, standby, upstream *Server) error {
	const slot = `SELECT pg_create_physical_replication_slot($1, true)
		WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`
	if err := upstream.Exec(ctx, slot, SlotName(standby.Name)); err != nil {
		return err
	}
	err := run(p.owner.Command(ctx, standby.binaries.Path("pg_basebackup"),
		"--pgdata="+standby.DataDir, "--dbname="+standby.upstreamInfo(upstream), "--wal-method=stream",
		"--write-recovery-conf", "--slot="+SlotName(standby.Name), "--checkpoint=fast", "--no-sync", "--no-password"))
	if err != nil {
		return err
	}
	return standby.Start(ctx)
}

// AwaitStreaming waits until standby streams from upstream, as its synchronous
// standby when the pair is synchronous; at most 30 seconds.
func (p *Pair) AwaitStreaming(ctx context.Context, upstream, standby *Server) error {
	const query = `SELECT coalesce((SELECT state || ' ' || sync_state FROM pg_stat_replication
		WHERE application_name = $1 ORDER BY backend_start DESC LIMIT 1), 'not connected')`
	want := "streaming async"
	if p.Sync {
		want = "streaming sync"
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := upstream.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var seen string
	err = poll(ctx, 20*time.Millisecond, func() (bool, error) {
		err := conn.QueryRow(ctx, query, standby.Name).Scan(&seen)
		return seen == want, err
	})
	if err != nil {
		return fmt.Errorf("wait for %s to be %q on %s (last seen %q): %w\n%s", standby.Name, want, upstream.Name, seen, err, standby.LogTail(2048))
	}
	return nil
}

// Server finds a node by name; nil when there is none.
func (p *Pair) Server(name string) *Server {
	for _, s := range p.Servers {
		if s != nil && s.Name == name {
			return s
		}
	}
	return nil
}

// Close ends every process of both servers and removes the pair's folder. It
// may be called again.
func (p *Pair) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var errs []error
	for _, s := range append(p.further, p.Servers[:]...) {
		if s != nil {
			errs = append(errs, s.wipe(ctx))
		}
	}
	for _, h := range p.ports {
		errs = append(errs, h.close())
	}
	p.ports = nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close pair in %s: %w", p.Dir, err)
	}
	if err := os.RemoveAll(p.Dir); err != nil {
		return fmt.Errorf("remove folder of the pair: %w", err)
	}
	return p.deregister()
}
