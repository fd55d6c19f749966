// Command labctl starts and removes the compose lab: `make lab`, `make lab-down`.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/gestionale-fullstack/watchdog/testenv/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "lab:", err)
	if errors.Is(err, lab.ErrNoEngine) {
		os.Exit(exitNoEngine)
	}
	os.Exit(1)
}

// exitNoEngine tells a machine without a container engine from a lab that failed.
const exitNoEngine = 3

func run(ctx context.Context, args []string) error {
	if len(args) != 1 || (args[0] != "up" && args[0] != "down" && args[0] != "check") {
		return fmt.Errorf("usage: labctl check|up|down, with LAB_PG (15 or 17), LAB_PORT, LAB_LAN and LAB_COMPOSE in the environment")
	}
	l, err := lab.New(ctx, lab.Options{Postgres: os.Getenv("LAB_PG"), Port: os.Getenv("LAB_PORT"), Subnet: os.Getenv("LAB_LAN"), Compose: strings.Fields(os.Getenv("LAB_COMPOSE")),
		Say: func(format string, a ...any) { fmt.Printf("lab: "+format+"\n", a...) }})
	if err != nil {
		return err
	}
	switch args[0] {
	case "check":
		return nil
	case "down":
		return l.Down(ctx)
	}
	if major, ready := l.Ready(ctx); ready {
		fmt.Printf("lab: it is up already, with PostgreSQL %s\n\n%s", major, l.Try())
		return nil
	}
	if err := l.Up(ctx); err != nil {
		return err
	}
	fmt.Printf("\n%s", l.Try())
	return nil
}
