package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gestionale-fullstack/watchdog/watchdog/config"
)

const rootLong = `watchdog looks after two PostgreSQL servers: it tells what it sees, from where
and how old it is, and it makes a promotion safe that an operator confirms. It
never promotes by itself.

Exit codes:
  0  done, or already so            6  not confirmed, or the plan went stale
  1  stopped before any change      7  stopped part-way: type what it prints
  2  usage                          8  outcome unknown or still running
  3  configuration invalid          9  another operation holds the lock
  4  service or data not reachable  130  interrupted before the start
  5  refused by a safety rule, which is named`

// defaultTimeout bounds one call to the service: it may ask the other node,
// whose own deadline is shorter.
const defaultTimeout = 15 * time.Second

// newRoot builds the whole command line.
func newRoot(a *app) *cobra.Command {
	root := group(&cobra.Command{Use: "watchdog", Short: "look after two PostgreSQL servers", Long: rootLong}, commands(a)...)
	root.SilenceErrors, root.SilenceUsage, root.DisableAutoGenTag = true, true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return a.usableTimeout() }
	f := root.PersistentFlags()
	f.StringVar(&a.configFile, "config", "", "configuration `FILE` (WATCHDOG_CONFIG; "+config.DefaultFile+")")
	f.StringVar(&a.socket, "socket", "", "`PATH` of the service's socket (WATCHDOG_SOCKET; from the configuration)")
	f.BoolVar(&a.json, "json", a.json, "answer in JSON, version 1")
	f.BoolVar(&a.noColor, "no-color", false, "no colour, as with NO_COLOR")
	f.BoolVar(&a.noInput, "no-input", false, "ask nothing")
	f.BoolVar(&a.quiet, "quiet", false, "answer only, without talk")
	f.DurationVar(&a.timeout, "timeout", defaultTimeout, "limit of one call to the service")
	return root
}

func (a *app) usableTimeout() error {
	if a.timeout <= 0 {
		return &usageError{reason: fmt.Sprintf("--timeout %s leaves no time for an answer", a.timeout), hint: "such as 15s"}
	}
	return nil
}

// group makes a command that only has commands below it. Naming none shows
// them; naming an unknown one is a usage error with the nearest name.
func group(c *cobra.Command, children ...*cobra.Command) *cobra.Command {
	c.AddCommand(children...)
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var known []string
		for _, k := range cmd.Commands() {
			if k.IsAvailableCommand() {
				known = append(known, k.Name())
			}
		}
		return &usageError{
			reason: fmt.Sprintf("unknown command %q for %q", clean(args[0]), cmd.CommandPath()),
			hint:   didYouMean(args[0], known, cmd.CommandPath()+" --help"),
		}
	}
	return c
}

func didYouMean(word string, known []string, otherwise string) string {
	if s := config.Suggest(word, known); s != "" {
		return fmt.Sprintf("did you mean %q?", s)
	}
	return otherwise
}

// flagError gives an unknown flag its nearest name.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return &usageError{reason: clean(err.Error()), hint: cmd.CommandPath() + " --help"}
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	name := unknown.GetSpecifiedName()
	hint := didYouMean(name, known, cmd.CommandPath()+" --help")
	if strings.HasPrefix(hint, "did you") {
		hint = strings.Replace(hint, `"`, `"--`, 1)
	}
	return &usageError{reason: fmt.Sprintf("unknown flag --%s for %q", clean(name), cmd.CommandPath()), hint: hint}
}

// takes checks the number of arguments; names says what they are, in order.
func takes(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return &usageError{reason: fmt.Sprintf("%s needs %s", cmd.CommandPath(), strings.Join(names[len(args):], " and ")), hint: cmd.UseLine()}
		case len(args) > len(names):
			return &usageError{reason: fmt.Sprintf("%s does not take %q", cmd.CommandPath(), clean(args[len(names)])), hint: extraHint(cmd, args[len(names)])}
		}
		return nil
	}
}

// extraHint catches the blank that people write in --confirm NODE: the name
// would be an argument of its own, because --confirm alone has a meaning.
func extraHint(cmd *cobra.Command, word string) string {
	if f := cmd.Flags().Lookup("confirm"); f != nil && f.Changed && f.Value.String() == askConfirm {
		return "write --confirm=" + clean(word)
	}
	return cmd.UseLine()
}

// atMost takes one argument or none.
func atMost(name string) cobra.PositionalArgs {
	one := takes(name)
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return one(cmd, args)
	}
}
