package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/gestionale-fullstack/watchdog/runbooks"
	"github.com/gestionale-fullstack/watchdog/watchdog/config"
	"github.com/gestionale-fullstack/watchdog/watchdog/control"
)

// app is one run of the program: what it reads and writes, and the global
// flags. Every command gets it instead of using the process's own.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	now            func() time.Time

	configFile string
	socket     string
	json       bool
	noColor    bool
	noInput    bool
	quiet      bool
	timeout    time.Duration
}

// out writes the command's answer.
func (a *app) out(format string, args ...any) { _, _ = fmt.Fprintf(a.stdout, format, args...) }

// say writes talk: what a script need not read.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		_, _ = fmt.Fprintf(a.stderr, format, args...)
	}
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// mayAsk reports whether a person can answer a question.
func (a *app) mayAsk() bool { return !a.noInput && isTerminal(a.stdin) }

// style says how text may look: colour only on a terminal that wants it, and
// never as the only signal (https://no-color.org).
func (a *app) style() style {
	onTerminal := isTerminal(a.stdout)
	dumb := a.env("TERM") == "dumb" || a.env("ACCESSIBLE") != ""
	forced := a.env("CLICOLOR_FORCE") != "" && a.env("CLICOLOR_FORCE") != "0" // https://bixense.com/clicolors
	return style{
		colour: (onTerminal || forced) && !dumb && !a.noColor && a.env("NO_COLOR") == "",
		live:   onTerminal && !dumb,
	}
}

// configPath gives the configuration file and whether it was named.
func (a *app) configPath() (path string, named bool) {
	switch {
	case a.configFile != "":
		return a.configFile, true
	case a.env("WATCHDOG_CONFIG") != "":
		return a.env("WATCHDOG_CONFIG"), true
	}
	return config.DefaultFile, false
}

// socketPath finds the service: the flag, the environment, the configuration,
// the packaged path. Only a configuration that was named must be readable.
func (a *app) socketPath() (string, error) {
	if a.socket != "" {
		return a.socket, nil
	}
	if s := a.env("WATCHDOG_SOCKET"); s != "" {
		return s, nil
	}
	path, named := a.configPath()
	c, err := config.LoadWith(path, config.Options{SkipSecrets: true})
	switch {
	case err == nil:
		return c.Listen.Socket, nil
	case named:
		return "", err
	}
	return config.DefaultSocket, nil
}

// client connects to the service when it is first called.
func (a *app) client() (*control.Client, error) {
	path, err := a.socketPath()
	if err != nil {
		return nil, err
	}
	return control.NewLocalClient(path), nil
}

// ask makes one call that changes nothing. A call that got no answer is then
// no unknown outcome but missing data.
func ask[Req, Resp any](ctx context.Context, a *app, e control.Endpoint[Req, Resp], id string, req Req) (Resp, error) {
	resp, err := act(ctx, a, e, id, req)
	return resp, onlyRead(err)
}

// act makes one call that may change something.
func act[Req, Resp any](ctx context.Context, a *app, e control.Endpoint[Req, Resp], id string, req Req) (Resp, error) {
	var none Resp
	c, err := a.client()
	if err != nil {
		return none, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return control.Call(ctx, c, e, id, req)
}

// refuse makes an error with an exit code and what to do about it.
func refuse(exit int, gate, hint, format string, args ...any) *runbooks.Refusal {
	return &runbooks.Refusal{Exit: exit, Gate: gate, Reason: fmt.Sprintf(format, args...), Hint: hint}
}
