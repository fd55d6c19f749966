//go:build failpoints

package main

import (
	"os"
	"syscall"
)

// failpoint kills the process by SIGKILL when an operation reaches the point
// that WATCHDOG_FAILPOINT names, as a power loss would.
func failpoint() func(string) {
	at := os.Getenv("WATCHDOG_FAILPOINT")
	if at == "" {
		return nil
	}
	return func(point string) {
		if point == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}
