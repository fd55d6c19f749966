package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/gestionale-fullstack/watchdog/fence"
	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog"
	"github.com/gestionale-fullstack/watchdog/watchdog/bootgate"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
	"github.com/gestionale-fullstack/watchdog/watchdog/state"
)

// startOptions is the variable in the overrides file that the unit's start
// command reads.
const startOptions = "PG_WATCHDOG_START_OPTIONS"

func newGate(a *app) *cobra.Command {
	var execute bool
	var overrides string
	c := &cobra.Command{
		Use: "gate [--exec -- COMMAND...]", Short: "decide whether and how PostgreSQL may start",
		Long: `gate runs before PostgreSQL starts, as PostgreSQL's user, and needs no service, no
database and no right clock. It lets the start pass (exit 0) as primary, as standby,
or read-only and cut off; or it refuses (exit 5) and says why.

With --exec it runs COMMAND in its own place, with the overrides that a read-only
start needs. Without, it leaves them in --overrides-file for a unit's start command.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if execute && len(args) == 0 || !execute && len(args) > 0 {
				return &usageError{reason: "gate takes a command after --exec --, and only then", hint: "watchdog gate --exec -- pg_ctl start -D DIR"}
			}
			return a.gate(cmd.Context(), execute, overrides, args)
		},
	}
	c.Flags().BoolVar(&execute, "exec", false, "run COMMAND when the start may pass")
	c.Flags().StringVar(&overrides, "overrides-file", "", "`FILE` that takes the overrides of a read-only start, as "+startOptions)
	return c
}

func (a *app) gate(ctx context.Context, execute bool, overridesFile string, command []string) error {
	if a.neverSetUp(command) {
		a.say("gate: inactive: there is no configuration and no state yet\n")
		return a.pass(execute, overridesFile, command)
	}
	path, _ := a.configPath()
	cfg, err := config.LoadWith(path, config.Options{CredentialsDir: a.env("CREDENTIALS_DIRECTORY"), OnlyNodeKey: true})
	if err != nil {
		return err
	}
	if cfg.Self().Witness {
		return refuse(runbooks.ExitUsage, "gate", "", "%s is a witness: it has no PostgreSQL", cfg.Node)
	}
	if err := asOwner(cfg.Postgres.DataDir); err != nil {
		return err
	}
	peers, err := gatePeers(cfg)
	if err != nil {
		return err
	}
	var isolated []pgctl.Setting
	d, err := bootgate.Run(ctx, bootgate.Options{Node: cfg.Node, DataDir: cfg.Postgres.DataDir, Store: state.Open(cfg.StateDir, cfg.Node),
		Peers: peers, PeerWait: cfg.Gate.PeerWait, Now: time.Now, Say: func(text string) { a.say("gate: %s\n", text) },
		Isolate: func() error {
			if !execute && overridesFile == "" {
				// The server would follow whatever its configuration says.
				return errors.New("a read-only start needs overrides, and there is no --overrides-file to leave them in")
			}
			if err := pgctl.WriteStandbySignal(cfg.Postgres.DataDir); err != nil {
				return err
			}
			var err error
			if isolated, err = pgctl.IsolatedStandbyIn(cfg.Postgres.DataDir); err != nil {
				return err
			}
			return writeOverrides(overridesFile, isolated)
		},
		Configured: func() error { return writeOverrides(overridesFile, nil) }})
	if err != nil {
		return refuse(runbooks.ExitRefused, "gate", "watchdog status", "the gate could not apply its decision: %v", err)
	}
	a.say("gate: %s: %s\n", d.Outcome, d.Reason)
	if d.Next != "" {
		a.say("gate: next: %s\n", d.Next)
	}
	if d.Outcome == fence.GateRefuse || d.Outcome == fence.GateUndecided {
		return &runbooks.Refusal{Exit: runbooks.ExitRefused, Rule: "4", Gate: "gate", Reason: d.Reason, Hint: d.Next}
	}
	if !execute {
		return nil
	}
	if command, err = pgctl.ApplyOverrides(command, isolated); err != nil {
		return refuse(runbooks.ExitRefused, "gate", "", "%v", err)
	}
	return replaceProcess(command)
}

// asOwner refuses to decide for anybody but the owner of the data directory:
// another user can read neither the key nor the state as the service does, and
// what he could not read would isolate a healthy primary.
func asOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return nil //nolint:nilerr // a missing directory is the gate's own business
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return nil
	}
	return refuse(runbooks.ExitUsage, "gate", fmt.Sprintf("run it as the user with id %d, as PostgreSQL itself", st.Uid),
		"the gate runs as the owner of the data directory, not as user id %d: nothing was decided", os.Geteuid())
}

// neverSetUp says that the package is installed and nothing else was done yet:
// no configuration at the packaged place, no state, and no mark of an adoption in
// the data directory of the command. A configuration that was named and is not
// there, or a state without its configuration, is not that: whatever the node is,
// nobody can ask for it.
func (a *app) neverSetUp(command []string) bool {
	path, _ := a.configPath()
	absent := []string{path}
	for _, name := range []string{state.EpochFile, state.FenceFile} {
		absent = append(absent, filepath.Join(config.Defaults().StateDir, name))
	}
	if dir := dataDirOf(command, a.env("PGDATA")); dir != "" {
		absent = append(absent, filepath.Join(dir, bootgate.AdoptedMark))
	}
	for _, f := range absent {
		if _, err := os.Stat(f); !errors.Is(err, os.ErrNotExist) {
			return false
		}
	}
	return path == config.DefaultFile
}

// dataDirOf finds the data directory in a start command: -D DIR, -DDIR or
// --pgdata=DIR, else the environment's.
func dataDirOf(command []string, dir string) string {
	for i, word := range command {
		switch {
		case (word == "-D" || word == "--pgdata") && i+1 < len(command):
			dir = command[i+1]
		case strings.HasPrefix(word, "-D"):
			dir = word[2:]
		case strings.HasPrefix(word, "--pgdata="):
			dir = word[len("--pgdata="):]
		}
	}
	return dir
}

// pass lets the start go on as configured.
func (a *app) pass(execute bool, overridesFile string, command []string) error {
	if err := writeOverrides(overridesFile, nil); err != nil {
		return err
	}
	if !execute {
		return nil
	}
	return replaceProcess(command)
}

// gatePeers prepares asking every other node. Without a key of our own nobody
// can be asked, which the gate then says.
func gatePeers(cfg *config.Config) ([]bootgate.Peer, error) {
	key, keyErr := control.LoadNodeKey(cfg.Keys.NodeKeyFile.Path)
	pins, err := watchdog.Pins(cfg)
	if err != nil {
		return nil, err
	}
	var out []bootgate.Peer
	for _, p := range cfg.Peers() {
		peer := bootgate.Peer{Node: p.Name, Witness: p.Witness}
		c, err := (*control.Client)(nil), keyErr
		if err == nil {
			c, err = control.NewNodeClient(control.NodeOptions{Node: cfg.Node, Key: key, Pins: pins, Log: zap.NewNop()}, p.Name, p.Control)
		}
		peer.Ask = func(ctx context.Context) (control.Facts, error) {
			if err != nil {
				return control.Facts{}, err
			}
			return control.Call(ctx, c, control.NodeFacts, "", control.None{})
		}
		out = append(out, peer)
	}
	return out, nil
}

// writeOverrides leaves the settings of a read-only start where the unit's
// start command reads them (an EnvironmentFile), durably; none empties it.
func writeOverrides(path string, settings []pgctl.Setting) error {
	if path == "" {
		return nil
	}
	text := ""
	if len(settings) > 0 {
		text = startOptions + "=" + unitOptions(settings) + "\n"
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return fmt.Errorf("write overrides: %w", err)
	}
	return os.Rename(path+".new", path)
}

// unitOptions are the overrides as options of pg_ctlcluster, one word each:
// systemd splits an unbraced variable at blanks, and the values pass through a
// shell, so that they hold neither blanks nor quotes.
func unitOptions(settings []pgctl.Setting) string {
	var words []string
	for _, s := range settings {
		words = append(words, "--options=-c"+s.Name+"="+s.Value)
	}
	return strings.Join(words, " ")
}

// replaceProcess runs the command in this process's place, so that signals and
// exit status are the server's own.
func replaceProcess(command []string) error {
	program, err := exec.LookPath(command[0])
	if err != nil {
		return refuse(runbooks.ExitUsage, "gate", "", "find program: %v", err)
	}
	if program, err = filepath.Abs(program); err != nil {
		return err
	}
	env := append(slices.Clone(os.Environ()), "LC_ALL=C")
	if err := syscall.Exec(program, command, env); err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}

// pgCtl finds pg_ctl for the configured data directory.
func pgCtl(cfg *config.Config) (string, error) {
	if cfg.Postgres.BinDir != "" {
		return filepath.Join(cfg.Postgres.BinDir, "pg_ctl"), nil
	}
	b, err := pgctl.FindBinariesFor(cfg.Postgres.DataDir)
	if err != nil {
		return "", err
	}
	return b.Path("pg_ctl"), nil
}
