package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/replication/admin"
	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

// applyLimit bounds the installation: a few statements in one transaction.
const applyLimit = time.Minute

func newConfigInitDB(a *app) *cobra.Command {
	var apply, superuser bool
	var dsn, database string
	var major int
	var passwords map[string]string
	c := &cobra.Command{
		Use: "init-db", Short: "print, or apply, the SQL for schema and roles", Args: takes(),
		Long: `init-db prints the SQL that makes the schema watchdog and the separate roles
` + strings.Join(admin.Roles(), ", ") + `. With --apply it is run
in one transaction on the server at --dsn, which must be the primary; it may be
run again. Passwords come from files only.`,
		Example: "  watchdog config init-db | sudo -u postgres psql\n" +
			"  watchdog config init-db --apply --dsn 'host=/run/postgresql user=postgres' --password-file watchdog_mon=mon.password",
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := admin.Options{Database: database, PasswordFiles: passwords, SuperuserAct: superuser, ServerVersion: major * 10000}
			if apply {
				return a.applyInitDB(cmd.Context(), dsn, o)
			}
			return a.printInitDB(o, dsn)
		},
	}
	f := c.Flags()
	f.BoolVar(&apply, "apply", false, "run it on the server at --dsn")
	f.StringVar(&dsn, "dsn", "", "connection `STRING` of a superuser; a password comes from PGPASSFILE")
	f.StringVar(&database, "database", "", "database of the schema (postgres.database of the configuration)")
	f.IntVar(&major, "postgres-version", 0, "major `VERSION` to print for (PG_VERSION of the data directory)")
	f.StringToStringVar(&passwords, "password-file", nil, "`ROLE=FILE` with a password to set, with --apply")
	f.BoolVar(&superuser, "superuser-act", false, "on PostgreSQL 14, let watchdog_act be a superuser")
	return c
}

func (a *app) printInitDB(o admin.Options, dsn string) error {
	if dsn != "" || len(o.PasswordFiles) > 0 {
		return &usageError{reason: "--dsn and --password-file belong to --apply", hint: "watchdog config init-db --help"}
	}
	data, database := a.postgresSettings()
	if o.Database == "" {
		o.Database = database
	}
	if o.ServerVersion == 0 {
		major, err := majorOf(data)
		if err != nil {
			return &usageError{reason: err.Error(), hint: "watchdog config init-db --postgres-version 15"}
		}
		o.ServerVersion = major * 10000
	}
	text, err := admin.Script(o)
	if err != nil {
		return initDBError(err)
	}
	if a.json {
		return a.printDoc(map[string]any{"v": 1, "sql": text})
	}
	a.out("%s", text)
	return nil
}

func (a *app) applyInitDB(ctx context.Context, dsn string, o admin.Options) error {
	switch {
	case dsn == "":
		return &usageError{reason: "--apply needs --dsn", hint: "such as --dsn 'host=/run/postgresql user=postgres dbname=postgres'"}
	case o.Database != "" || o.ServerVersion != 0:
		return &usageError{reason: "--apply asks the server for its version and database", hint: "name the database in --dsn"}
	}
	ctx, cancel := context.WithTimeout(ctx, applyLimit)
	defer cancel()
	if err := admin.Apply(ctx, dsn, o); err != nil {
		return initDBError(err)
	}
	if a.json {
		return a.printDoc(map[string]any{"v": 1, "changed": true, "roles": admin.Roles()})
	}
	a.say("schema and roles are installed: %s\n", strings.Join(admin.Roles(), ", "))
	return nil
}

func initDBError(err error) error {
	switch {
	case errors.Is(err, admin.ErrNeedsSuperuser):
		return refuse(runbooks.ExitRefused, "superuser", "watchdog config init-db --superuser-act, or PostgreSQL 15", "%v", err)
	case errors.Is(err, admin.ErrStandby):
		return refuse(runbooks.ExitRefused, "primary", "run it with --dsn of the primary", "%v", err)
	}
	return refuse(runbooks.ExitFailed, "", "", "%v", err)
}

// postgresSettings gives the data directory and the database of the
// configuration, or the defaults when it cannot be read.
func (a *app) postgresSettings() (dataDir, database string) {
	path, _ := a.configPath()
	c, err := config.LoadWith(path, config.Options{SkipSecrets: true})
	if err != nil {
		c = config.Defaults()
	}
	return c.Postgres.DataDir, c.Postgres.Database
}

// majorOf reads the file by which PostgreSQL itself knows a data directory's
// major version.
func majorOf(dataDir string) (int, error) {
	b, err := os.ReadFile(filepath.Join(dataDir, "PG_VERSION"))
	if dataDir == "" || err != nil {
		return 0, errors.New("the version of PostgreSQL is not known here")
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read PG_VERSION of %s: %w", dataDir, err)
	}
	return major, nil
}
