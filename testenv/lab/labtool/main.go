// Labtool is everything in the compose lab that is neither PostgreSQL nor
// watchdog: the toy application, the mail server, the client that keeps the
// ledger, and the power switch. One static program, so that its image is made
// from scratch.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
