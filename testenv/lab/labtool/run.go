package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// command is one subcommand. Its flags are all there is: no variable of the
// environment changes what it does, so that a compose file shows everything.
type command struct {
	name, usage string
	run         func(ctx context.Context, c call) error
}

// call is one run of a command.
type call struct {
	flags    *flag.FlagSet
	args     []string
	out, err io.Writer
}

// errUsage marks what was wrong with the command line.
var errUsage = errors.New("usage")

var commands = []command{
	{"app", "toy application with a health endpoint that writes", runApp},
	{"get", "URL: exit 0 when it answers 200 within two seconds", runGet},
	{"mail", "mail server that keeps everything", runMail},
	{"mailbox", "print the mails that were kept", runMailbox},
	{"client", "write the ledger for ever", runClient},
	{"report", "compare the ledger with the present primary", runReport},
	{"power", "power switch of the lab's hosts, speaking Redfish", runPower},
}

// run gives the exit status: 0, 1 with a reason on stderr, 2 for usage.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	if len(args) > 0 {
		for _, c := range commands {
			if c.name == args[0] {
				return c.call(ctx, args[1:], out, errOut)
			}
		}
		fmt.Fprintf(errOut, "labtool: no command %q\n", args[0])
	}
	fmt.Fprintln(errOut, "usage: labtool COMMAND [--flag value ...]; labtool COMMAND --help lists its flags")
	for _, c := range commands {
		fmt.Fprintf(errOut, "  %-8s %s\n", c.name, c.usage)
	}
	return 2
}

func (c command) call(ctx context.Context, args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("labtool "+c.name, flag.ContinueOnError)
	flags.SetOutput(errOut)
	err := c.run(ctx, call{flags, args, out, errOut})
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(errOut, "labtool %s: %v; labtool %s --help lists its flags\n", c.name, err, c.name)
		return 2
	}
	fmt.Fprintf(errOut, "labtool %s: %v\n", c.name, err)
	return 1
}

// parse reads the flags and wants each of those named, and as many arguments
// as said.
func (c call) parse(arguments int, needed ...string) error {
	if err := c.flags.Parse(c.args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if n := c.flags.NArg(); n != arguments {
		return fmt.Errorf("%w: %d arguments %q, want %d", errUsage, n, c.flags.Args(), arguments)
	}
	for _, name := range needed {
		if c.flags.Lookup(name).Value.String() == "" {
			return fmt.Errorf("%w: --%s is missing", errUsage, name)
		}
	}
	return nil
}

// readSecret reads a file of one line.
func readSecret(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	secret := strings.TrimRight(string(data), "\r\n")
	if secret == "" || strings.ContainsAny(secret, "\r\n") {
		return "", fmt.Errorf("read secret: %s does not hold one line", file)
	}
	return secret, nil
}

// quoteDSN quotes a value of a connection string.
func quoteDSN(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}
