package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

func runApp(ctx context.Context, c call) error {
	listen := c.flags.String("listen", ":8080", "address of "+demo.HealthPath)
	dsn := c.flags.String("dsn", "", "connection string of the database, as libpq reads it")
	passfile := c.flags.String("passfile", "", "file of passwords, as libpq reads it")
	name := c.flags.String("name", "", "key of the row that is written (default: the host's name)")
	if err := c.parse(0, "dsn"); err != nil {
		return err
	}
	if *name == "" {
		var err error
		if *name, err = os.Hostname(); err != nil {
			return fmt.Errorf("read the host's name: %w; give --name", err)
		}
	}
	full, err := withPassfile(*dsn, *passfile)
	if err != nil {
		return err
	}
	app, err := demo.NewApp(ctx, demo.AppOptions{Listen: *listen, DSN: full, Write: true, Name: *name})
	if err != nil {
		return err
	}
	fmt.Fprintf(c.err, "application %s listens: %s%s\n", *name, app.URL(), demo.HealthPath)
	return app.Run(ctx)
}

// withPassfile names the file in a connection string of either form. The file
// has to be there: without it the driver says nothing and sends no password.
func withPassfile(dsn, passfile string) (string, error) {
	if passfile == "" {
		return dsn, nil
	}
	if _, err := os.Stat(passfile); err != nil {
		return "", fmt.Errorf("find file of passwords: %w", err)
	}
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return dsn + " passfile=" + quoteDSN(passfile), nil
	}
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	// The driver, as libpq, takes a plus for a plus.
	return dsn + separator + "passfile=" + strings.ReplaceAll(url.QueryEscape(passfile), "+", "%20"), nil
}
