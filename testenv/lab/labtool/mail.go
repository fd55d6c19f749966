package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

func runMail(ctx context.Context, c call) error {
	listen := c.flags.String("listen", ":587", "address of the mail server")
	dir := c.flags.String("dir", "/mail", "folder of the mails, of ca.pem, and of the key")
	name := c.flags.String("name", "mail", "host name that clients use")
	user := c.flags.String("user", "", "name that clients must give; empty: anybody may send")
	passwordFile := c.flags.String("password-file", "", "file with the password of --user")
	if err := c.parse(0, "dir", "name"); err != nil {
		return err
	}
	if (*user == "") != (*passwordFile == "") {
		return fmt.Errorf("%w: --user and --password-file go together", errUsage)
	}
	o := demo.MailOptions{Dir: *dir, Listen: *listen, User: *user, Names: []string{*name, "localhost", "127.0.0.1"},
		CAFile: filepath.Join(*dir, "ca.pem"), KeyFile: filepath.Join(*dir, "key.pem")}
	if *passwordFile != "" {
		var err error
		if o.Password, err = readSecret(*passwordFile); err != nil {
			return err
		}
	}
	sink, err := demo.NewMailSink(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.err, "mail server %s listens on %s, mails in %s\n", *name, sink.Addr(), *dir)
	return sink.Run(ctx)
}
