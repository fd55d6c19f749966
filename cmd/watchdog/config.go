package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

func newConfig(a *app) *cobra.Command {
	return group(&cobra.Command{Use: "config", Short: "start, check and show the configuration"},
		newConfigInit(a), newConfigCheck(a), newConfigShow(a), newConfigInitDB(a))
}

func newConfigInit(a *app) *cobra.Command {
	var e config.Example
	var first, second string
	c := &cobra.Command{
		Use: "init", Short: "print a configuration to start from", Args: takes(),
		Example: "  watchdog config init --cluster gestionale --db1 10.0.0.11 --db2 10.0.0.12 > /etc/pg-watchdog/watchdog.yaml",
		RunE: func(*cobra.Command, []string) error {
			e.Address = map[string]string{"db1": first, "db2": second}
			text := e.Text()
			// What is printed has to load, whatever was typed.
			if _, err := config.Parse("config init", []byte(text), config.Options{SkipSecrets: true}); err != nil {
				return &usageError{reason: firstReason(err), hint: "watchdog config init --help"}
			}
			a.out("%s", text)
			return nil
		},
	}
	c.Flags().StringVar(&e.Cluster, "cluster", "", "`NAME` of the cluster")
	c.Flags().StringVar(&e.Node, "node", "", "`NODE` that the file is for: db1 or db2")
	c.Flags().StringVar(&first, "db1", "", "`ADDRESS` of db1")
	c.Flags().StringVar(&second, "db2", "", "`ADDRESS` of db2")
	c.Flags().BoolVar(&e.Full, "full", false, "every key with its default")
	return c
}

func firstReason(err error) string {
	var e *config.Error
	if errors.As(err, &e) {
		return fmt.Sprintf("%s: %s", e.Path, e.Reason)
	}
	return err.Error()
}

func newConfigCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "check the configuration and the files that it names", Args: takes(),
		Long: "check reads the configuration exactly as the service does, secrets' modes included,\nand says all that it finds. Exit 3 when it is invalid.",
		RunE: func(*cobra.Command, []string) error {
			path, _ := a.configPath()
			c, err := config.LoadWith(path, config.Options{CredentialsDir: a.env("CREDENTIALS_DIRECTORY")})
			if err != nil {
				return err
			}
			if a.json {
				return a.printDoc(map[string]any{"v": 1, "file": c.File, "cluster": c.Cluster, "node": c.Node, "warnings": c.Warnings})
			}
			if !a.quiet {
				a.out("ok  %s\n", c)
			}
			for _, w := range c.Warnings {
				a.say("warning: %s\n", w)
			}
			return nil
		},
	}
}

func newConfigShow(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "print the configuration with every default that applies", Args: takes(),
		Long: "show prints the configuration as the service understands it. Secrets appear as the\nnames of their files, which are not opened.",
		RunE: func(*cobra.Command, []string) error {
			path, _ := a.configPath()
			c, err := config.LoadWith(path, config.Options{SkipSecrets: true})
			if err != nil {
				return err
			}
			if a.json {
				return a.printDoc(map[string]any{"v": 1, "config": c})
			}
			a.out("%s", c.Show())
			return nil
		},
	}
}
