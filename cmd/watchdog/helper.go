package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/replication/pgctl"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

// helperDeadline bounds one request: a start may have crash recovery to do.
const helperDeadline = 5 * time.Minute

// newHelper is the root side of the service, started by its systemd socket. It
// is for units, not for people.
func newHelper(a *app) *cobra.Command {
	var name, listen string
	c := &cobra.Command{
		Use: "helper", Short: "serve fixed verbs on the configured unit and containers, as root", Args: takes(), Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// The helper opens no secret and needs none.
			path, _ := a.configPath()
			cfg, err := config.LoadWith(path, config.Options{SkipSecrets: true})
			if err != nil {
				return err
			}
			log, _, err := newLogger(cfg.Log, a.stderr)
			if err != nil {
				return err
			}
			u, err := user.Lookup(name)
			if err != nil {
				return refuse(runbooks.ExitConfig, "helper", "--user NAME", "find user: %v", err)
			}
			uid, err := strconv.Atoi(u.Uid)
			if err != nil {
				return err
			}
			s, err := pgctl.NewHelperServer(pgctl.HelperOptions{UID: uid, Units: cfg.Managed(), Do: pgctl.InProcess{Engine: cfg.Helper.Engine}, Log: log, Deadline: helperDeadline})
			if err != nil {
				return err
			}
			l, err := helperListener(listen, uid)
			if err != nil {
				return err
			}
			return s.Run(cmd.Context(), l)
		},
	}
	c.Flags().StringVar(&name, "user", "postgres", "the only `USER` served")
	c.Flags().StringVar(&listen, "listen", "", "listen on this `SOCKET` instead of the one that systemd hands over; for a container")
	return c
}

// helperListener takes over systemd's socket, or makes one that belongs to the
// user who is served. What is in its way is removed only if it is a socket on
// which nobody listens.
func helperListener(path string, uid int) (net.Listener, error) {
	if path == "" {
		l, err := pgctl.ActivatedListener()
		if err != nil {
			return nil, errors.Join(errors.New("helper is started by pg-watchdog-helper.socket, or with --listen SOCKET"), err)
		}
		return l, nil
	}
	switch info, err := os.Lstat(path); {
	case err == nil && info.Mode().Type() != os.ModeSocket:
		return nil, refuse(runbooks.ExitConfig, "helper", "name another path", "%s is there and is no socket: it is left alone", path)
	case err == nil:
		if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
			return nil, errors.Join(refuse(runbooks.ExitConfig, "helper", "stop the other one first", "another helper listens on %s", path), conn.Close())
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the socket of an earlier helper: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for the service: %w", err)
	}
	if err := errors.Join(os.Chown(path, uid, -1), os.Chmod(path, 0o600)); err != nil {
		return nil, errors.Join(fmt.Errorf("give the socket to user %d: %w", uid, err), l.Close())
	}
	return l, nil
}
