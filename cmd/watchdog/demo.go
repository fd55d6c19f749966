package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/testenv/demo"
)

func newDemo(a *app) *cobra.Command {
	var async, keep bool
	c := group(&cobra.Command{
		Use: "demo", Short: "show it all on two real servers of this machine",
		Long: `demo makes two PostgreSQL servers with their services, kills the primary, promotes
the standby and restarts the old primary by mistake, in less than a minute, and
prints every command as an operator would type it. Then it removes everything.
It uses loopback addresses, free ports and a folder of its own, and no PostgreSQL
that is already there. To play by hand: demo up, demo break, demo down.`,
		Example: "  watchdog demo\n  watchdog demo --async\n  watchdog demo up",
	}, newDemoUp(a), newDemoBreak(a), newDemoDown(a), newDemoServe(a))
	none := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return none(cmd, args)
		}
		return demoError(a.tellStory(cmd.Context(), async, keep))
	}
	c.Flags().BoolVar(&async, "async", false, "an asynchronous pair, which loses rows within what the plan announced")
	c.Flags().BoolVar(&keep, "keep", false, "leave the servers to play with; watchdog demo down removes them")
	return c
}

// demoError gives an error of the demo its exit code.
func demoError(err error) error {
	if errors.Is(err, demo.ErrNoPostgres) {
		return refuse(runbooks.ExitUnavailable, "", "apt-get install --no-install-recommends postgresql", "no PostgreSQL server programs on PATH, through pg_config or under /usr/lib/postgresql")
	}
	return err
}

// ended gives an error of what made a site; all of it is gone by then.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return refuse(runbooks.ExitInterrupted, "", "", "interrupted; everything that was started is gone again")
	}
	return err
}

// tellStory tells the story to standard output; with --json standard output
// takes the ledger's verdict alone.
func (a *app) tellStory(ctx context.Context, async, keep bool) error {
	ctx, stop := untilHangup(ctx)
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	o := demo.StoryOptions{Program: self, Out: a.stdout, Colour: a.style().colour, Async: async, Keep: keep, Site: demoSite}
	if a.json {
		o.Out, o.Colour = a.stderr, false
	}
	if a.quiet {
		o.Out = io.Discard
	}
	if keep {
		release, dir, err := a.claim(ctx, "")
		if err != nil {
			return err
		}
		defer release()
		o.Dir = dir
	}
	report, err := demo.TellStory(ctx, o)
	if err != nil {
		return ended(ctx, err)
	}
	if a.json {
		return a.printDoc(report)
	}
	_, _ = io.WriteString(o.Out, a.demoEnd(ctx, report, o))
	return nil
}

// untilHangup ends the context also when the terminal is closed, so that what
// was started is ended. A reader that went away (| head) must not end us
// before that.
func untilHangup(ctx context.Context) (context.Context, func()) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return ctx, func() {
		signal.Stop(broken)
		stop()
	}
}

// demoDir is the folder that was named, or the user's own.
func demoDir(dir string) (string, error) {
	if dir == "" {
		return demo.DefaultDir()
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find folder of the demo: %w", err)
	}
	return dir, nil
}

// errRunning says that the demo in its folder runs already.
type errRunning struct{ dir string }

func (e errRunning) Error() string { return "a demo runs already in " + e.dir }

// claim waits until nobody else of this user makes or removes a demo, cleans up
// what a crash left in the folder, and refuses with errRunning one that lives.
func (a *app) claim(ctx context.Context, dir string) (release func(), claimed string, err error) {
	// Before the user postgres is looked for: the package brings both.
	if _, err := demo.FindBinaries(ctx); err != nil {
		return nil, "", err
	}
	if dir, err = demoDir(dir); err != nil {
		return nil, "", err
	}
	unlock, err := demo.LockSites(ctx, a.waiting)
	if err != nil {
		return nil, "", err
	}
	release = func() { _ = unlock() } // the kernel lets go at the end anyway
	pids, err := demo.Alive(dir)
	switch {
	case err != nil:
	case len(pids) > 0:
		err = errRunning{dir}
	case demo.IsSite(dir):
		a.say("removing what an interrupted demo left in %s\n", dir)
		err = demo.Remove(ctx, dir)
	}
	if err == nil {
		err = demo.Usable(dir)
	}
	if err != nil {
		release()
		return nil, "", err
	}
	return release, dir, nil
}

func newDemoUp(a *app) *cobra.Command {
	var dir string
	var async bool
	c := &cobra.Command{Use: "up", Short: "start two servers, two services, an application and a mail box, and leave them running", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error { return demoError(a.demoUp(cmd.Context(), dir, async)) }}
	c.Flags().StringVar(&dir, "dir", "", "`DIR` for all of it, absent or empty (one per user below /var/tmp)")
	c.Flags().BoolVar(&async, "async", false, "an asynchronous pair: the primary does not wait for the standby")
	return c
}

func (a *app) demoUp(ctx context.Context, dir string, async bool) error {
	ctx, stop := untilHangup(ctx)
	defer stop()
	release, dir, err := a.claim(ctx, dir)
	var running errRunning
	if errors.As(err, &running) {
		return a.demoRunning(ctx, running, async)
	}
	if err != nil {
		return err
	}
	defer release()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	a.talk("starting two servers and their services in %s ...\n", dir)
	site, err := demo.NewSite(ctx, demo.SiteOptions{Binary: self, Pair: demo.Options{Dir: dir, Sync: !async, Detached: true}})
	if err != nil {
		return ended(ctx, err)
	}
	return a.printSite(site.Describe(ctx), true)
}

// demoRunning answers a second demo up: done already, when it is what was asked
// for.
func (a *app) demoRunning(ctx context.Context, r errRunning, async bool) error {
	site, err := demo.OpenSite(ctx, r.dir)
	if err != nil {
		return refuse(runbooks.ExitFailed, "", "watchdog demo down"+dirFlag(r.dir), "%v, or what is left of one", r)
	}
	d := site.Describe(ctx)
	if d.Sync == async {
		return refuse(runbooks.ExitFailed, "", "watchdog demo down"+dirFlag(r.dir), "%v, of the other kind", r)
	}
	a.talk("%s; nothing was started\n", r.Error())
	return a.printSite(d, true)
}

func newDemoBreak(a *app) *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "break [NODE]", Short: "kill every process of one server (the primary) and nothing else", Args: atMostOne("NODE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return demoError(a.demoBreak(cmd.Context(), dir, strings.Join(args, "")))
		}}
	c.Flags().StringVar(&dir, "dir", "", "`DIR` of the demo")
	return c
}

// openDemo finds the demo that runs in a folder.
func openDemo(ctx context.Context, dir string) (*demo.Site, error) {
	dir, err := demoDir(dir)
	if err != nil {
		return nil, err
	}
	if !demo.IsSite(dir) {
		return nil, refuse(runbooks.ExitUnavailable, "", "watchdog demo up"+dirFlag(dir), "no demo runs in %s", dir)
	}
	return demo.OpenSite(ctx, dir)
}

func (a *app) demoBreak(ctx context.Context, dir, node string) error {
	site, err := openDemo(ctx, dir)
	if err != nil {
		return err
	}
	n := site.Node(node)
	switch {
	case node == "":
		if n = site.Primary(ctx); n == nil {
			return refuse(runbooks.ExitUnavailable, "", "watchdog demo break NODE"+dirFlag(site.Dir), "no server of the demo answers as a primary")
		}
	case n == nil || site.Pair.Server(node) == nil:
		return &usageError{reason: fmt.Sprintf("the demo has no node %q", clean(node)), hint: "db1 or db2"}
	}
	server := site.Pair.Server(n.Name)
	pids, err := server.Processes()
	if err != nil {
		return err
	}
	if err := server.Kill(ctx); err != nil {
		return err
	}
	if !a.json {
		a.out("%s\n", demo.BreakText(n.Name, len(pids)))
	}
	return a.printSite(site.Describe(ctx), false)
}

func newDemoDown(a *app) *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "down", Short: "end everything that demo up started and remove its folder", Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error { return demoError(a.demoDown(cmd.Context(), dir)) }}
	c.Flags().StringVar(&dir, "dir", "", "`DIR` of the demo")
	return c
}

// waiting says why nothing happens: the other demo may have been forgotten.
func (a *app) waiting() {
	a.say("waiting: this user makes or removes another demo (look for `watchdog demo` with ps); Ctrl-C ends this one\n")
}

func (a *app) demoDown(ctx context.Context, dir string) error {
	dir, err := demoDir(dir)
	if err != nil {
		return err
	}
	unlock, err := demo.LockSites(ctx, a.waiting)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // the kernel lets go at the end anyway
	d := demo.SiteDoc{V: 1, Dir: dir, Nodes: []demo.NodeDoc{}}
	if site, err := demo.OpenSite(ctx, dir); err == nil {
		d = site.Describe(ctx)
	}
	if !demo.IsSite(dir) {
		a.talk("no demo runs in %s\n", dir)
		return a.printSite(d, false)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second) // half gone is worse than all gone
	defer cancel()
	if err := demo.Remove(ctx, dir); err != nil {
		return err
	}
	for i := range d.Nodes {
		d.Nodes[i].Role, d.Nodes[i].PgPid, d.Nodes[i].ServicePid = "unknown", 0, 0
	}
	a.talk("the demo in %s is gone\n", dir)
	return a.printSite(d, false)
}

// newDemoServe is the process of a demo's application and mail box.
func newDemoServe(a *app) *cobra.Command {
	var dir string
	c := &cobra.Command{Use: "serve", Short: "serve application and mail box of a demo", Hidden: true, Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return &usageError{reason: "serve needs --dir", hint: cmd.UseLine()}
			}
			p, err := demo.OpenPair(cmd.Context(), dir)
			if err != nil {
				return demoError(err)
			}
			e, err := demo.NewExtras(cmd.Context(), p, demo.MailOptions{})
			if err != nil {
				return err
			}
			return e.Run(cmd.Context())
		}}
	c.Flags().StringVar(&dir, "dir", "", "`DIR` of the demo")
	return c
}
