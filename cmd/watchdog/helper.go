package main

import (
	"errors"
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
	var name string
	c := &cobra.Command{
		Use: "helper", Short: "serve fixed verbs on the configured unit, as root", Args: takes(), Hidden: true,
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
			s, err := pgctl.NewHelperServer(pgctl.HelperOptions{UID: uid, Units: []string{cfg.Postgres.Unit}, Do: pgctl.InProcess{}, Log: log, Deadline: helperDeadline})
			if err != nil {
				return err
			}
			l, err := pgctl.ActivatedListener()
			if err != nil {
				return errors.Join(errors.New("helper is started by pg-watchdog-helper.socket"), err)
			}
			return s.Run(cmd.Context(), l)
		},
	}
	c.Flags().StringVar(&name, "user", "postgres", "the only `USER` served")
	return c
}
