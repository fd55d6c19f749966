// Command watchdog is the operator's tool and the service of a watched pair of
// PostgreSQL servers. main parses, listens for signals and maps errors to exit
// codes; each command has a file of its own.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// run carries out one command line and gives its exit code. Nothing below it
// ends the process, so that a test can run whole commands.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, env: env, now: time.Now}
	a.json = slices.Contains(args, "--json") // so that an unreadable command line is answered in JSON too
	root := newRoot(a)
	root.SetArgs(args)
	return a.exit(root.ExecuteContext(ctx))
}
